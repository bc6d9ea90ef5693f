"""Real hosts, by way of the gate: probe, restart, burn, result, and the checks. Fulfils ``flow.ports.Hosts``.

Nothing else in Askfirst starts a program on a host, and this starts only one, the gate: on an open host it is given to
the constant command ``sh -s`` (or ``sudo -n sh -s``) on its standard input, so that no login shell reads data; on one
with the kit it is there, and the command is one of the four verbs that the host's door knows. A run on a host that
asks for certificates has a connection of its own, by a certificate for that service's restart. It decides nothing and
repeats nothing that may have run. Keeps law 12: before the first byte of a warrant is sent a failure is Unreachable,
ever after it is Lost; and a reader who goes away closes the channel, never the command.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from app.core.errors import Refused, Unreachable
from app.core.facts import Facts, Record
from app.core.reading import facts
from app.core.records import Reader, garbled
from app.core.run import Checked, Exited, Progress, Refusal, Spool, SpoolState
from app.core.service import Check, Host, Service
from app.core.warrant import Warrant, read
from app.gate import build
from app.ssh import answers, failures, http
from app.ssh.certificates import BEFORE_SECONDS, Certificates, restart_of
from app.ssh.keys import ClientKey, fingerprint, pinned
from app.ssh.pool import Connections
from app.ssh.session import Talk

# A run may print much more than is stored; that is read on, and dropped, so that its end is seen.
STREAM_BYTES = 64 << 20
_LAST_WORDS_SECONDS = 5.0


class SshHosts:
    """The hosts of the registry, over SSH."""

    def __init__(
        self,
        key_path: Path,
        *,
        now: Callable[[], float] = time.time,
        answer_seconds: float = 20.0,
        run_seconds: float = 900.0,
        certificates: Certificates | None = None,
    ) -> None:
        """Take the private key's path, who makes certificates, and how long an answer and a run may take."""
        self._connections = Connections(ClientKey(key_path), certificates)
        self._now = now
        self._answer_seconds = answer_seconds
        self._run_seconds = run_seconds

    async def probe(
        self,
        host: Host,
        services: Sequence[Service],
        via: Sequence[Host] = (),
        *,
        whole: bool = False,
        git: bool = False,
    ) -> Facts:
        """Take the facts of a host in one go: what these services need, or ``whole``, all that it runs."""
        records = await self._ask(
            host,
            via,
            "probe",
            lambda nonce: build.probe_input(nonce, services, whole=whole, git=git, level=host.level),
        )
        seen = facts(records, self._now(), services)
        if host.certificates and abs(seen.now - seen.taken_at) > BEFORE_SECONDS:
            raise failures.clock_differs(host, seen.now - seen.taken_at)
        return seen

    async def restart(
        self,
        host: Host,
        warrant: str,
        via: Sequence[Host] = (),
        *,
        signatures: Sequence[str] = (),
        serial: int = 0,
    ) -> AsyncIterator[Progress]:
        """Run a warrant's text. Raises Unreachable only where nothing can have run, Lost ever after."""
        nonce = secrets.token_hex(16)
        try:
            service = _check_address(host, warrant).service
            command = build.command(host.level, "restart", service, sudo=host.sudo)
            data = build.restart_input(nonce, warrant, signatures, level=host.level)
        except Refused as refused:
            yield Refusal(refused.message)
            return
        talking = (
            self._connections.talk_alone(host, via, command, restart_of(service), serial)
            if host.certificates
            else self._connections.talk(host, via, command)
        )
        async with talking as talk:
            await _send(host, talk, data)
            async for progress in _follow(host, talk, Reader(nonce, "restart", STREAM_BYTES), self._run_seconds):
                yield progress

    async def burn(self, host: Host, request_id: str, via: Sequence[Host] = ()) -> Spool:
        """Make the warrant unusable, or read what became of it. Never answers UNSPENT."""
        records = await self._about(host, via, "burn", request_id, build.burn_input)
        spool = _spool(host, records)
        if spool.state is SpoolState.UNSPENT:
            raise garbled("it neither burned the warrant nor knows of a run")
        return spool

    async def result(self, host: Host, request_id: str, via: Sequence[Host] = ()) -> Spool:
        """Read what the spool holds about a warrant, changing nothing."""
        return _spool(host, await self._about(host, via, "result", request_id, build.result_input))

    async def check(self, host: Host, check: Check, via: Sequence[Host] = ()) -> Checked:
        """Make one check through the SSH connection, from the host's own point of view."""
        async with self._connections.connection(host, via) as connection:
            checked = await http.run(connection, check)
            if connection.is_closed():
                raise failures.of_session(host, ConnectionError())
            return checked

    def keep(self, host: str) -> None:
        """Keep the connection to this host open from now on: a request on it is alive."""
        self._connections.keep(host)

    def release(self, host: str) -> None:
        """Let the connection go once nothing needs it."""
        self._connections.release(host)

    async def close(self) -> None:
        """Close all connections. What runs on a host goes on."""
        await self._connections.close()

    async def _about(
        self, host: Host, via: Sequence[Host], verb: str, request_id: str, made: Callable[..., bytes]
    ) -> list[Record]:
        """Ask about one warrant, on a host with the kit by the command, else by what is sent."""
        ask = lambda nonce: made(nonce, request_id, level=host.level)  # noqa: E731
        return await self._ask(host, via, verb, ask, request_id)

    async def _ask(
        self, host: Host, via: Sequence[Host], verb: str, ask: Callable[[str], bytes], argument: str = ""
    ) -> list[Record]:
        """Have the gate answer, whole. Raises Unreachable: a partial answer is no answer."""
        nonce = secrets.token_hex(16)
        records: list[Record] = []
        reader = Reader(nonce, verb)
        try:
            data, command = ask(nonce), build.command(host.level, verb, argument, sudo=host.sudo)
            async with (
                asyncio.timeout(self._answer_seconds),
                self._connections.talk(host, via, command) as talk,
            ):
                await _send(host, talk, data)
                while piece := await talk.read():
                    records += reader.feed(piece)
                _check_end(host, talk, reader)
        except Refused as refused:
            raise Unreachable(refused.message, code=refused.code, next_step=refused.next_step) from refused
        except TimeoutError as error:
            raise failures.late(host, self._answer_seconds) from error
        return records


def _check_address(host: Host, text: str) -> Warrant:
    """Read a warrant. Raises Refused unless it names this host by its name and one of its pinned keys."""
    warrant = read(text)
    if warrant.host != host.name or warrant.host_key not in map(fingerprint, pinned(host)):
        raise Refused(
            f"The warrant is for {warrant.host} with the host key {warrant.host_key}, which {host.name} is not.",
            code="another_host",
            next_step="Ask again for a new request.",
        )
    return warrant


async def _follow(host: Host, talk: Talk, reader: Reader, seconds: float) -> AsyncIterator[Progress]:
    """Read the gate's answer to a warrant as it comes. Whatever goes wrong from here on is Lost."""
    deadline = asyncio.get_running_loop().time() + seconds
    run = answers.Run()
    try:
        while piece := await _next(talk, deadline):
            for record in reader.feed(piece):
                if progress := run.take(record):
                    yield progress
                if isinstance(progress, Exited):
                    return
        reader.close()
        yield run.end()
    except (Unreachable, TimeoutError, ValueError, KeyError) as error:
        cause = ConnectionError() if talk.was_cut else error
        raise _never_started(host, talk) or failures.lost(host, cause) from error


def _check_end(host: Host, talk: Talk, reader: Reader) -> None:
    """Raise Unreachable unless the answer is whole, saying as well as possible why it is not."""
    try:
        reader.close()
    except Unreachable as error:
        if talk.was_cut:
            raise failures.of_session(host, ConnectionError()) from error
        raise _never_started(host, talk) or error from error


def _never_started(host: Host, talk: Talk) -> Unreachable | None:
    """Tell that the gate was never started: something else complained and ended, and not a byte of an answer came.

    What a program has printed comes before its exit status, so that silence with a status is not a lost answer.
    """
    if talk.has_spoken or talk.status is None:
        return None
    return failures.of_starting(host, talk.status, talk.complaint)


def _spool(host: Host, records: Sequence[Record]) -> Spool:
    try:
        spool = answers.spool(records)
    except (ValueError, KeyError) as error:
        raise garbled(str(error)) from error
    if isinstance(spool, Refusal):
        raise failures.spool_unusable(host, spool.why)
    return spool


async def _next(talk: Talk, deadline: float) -> bytes:
    async with asyncio.timeout_at(deadline):
        return await talk.read()


async def _send(host: Host, talk: Talk, data: bytes) -> None:
    try:
        talk.send(data)
    except OSError as error:
        # What refuses at once ends before anything can be sent to it; why it did may still be on its way.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                while await talk.read():
                    pass
        raise _never_started(host, talk) or failures.of_session(host, error) from error
