"""The process that holds the key which hosts trust: `askfirst signer`. It runs apart from the server, as another user.

What it signs is ``authority``'s rule; this file is how it is asked. It decides nothing about approvals: a stolen server
gets certificates from it too, one by one, each logged here, and the host's own table, caps and (on a sealed host)
signatures still stand.

One question a connection, over a Unix socket, whose other end is asked of the kernel (SO_PEERCRED)::

    {"key":"ssh-ed25519 AAAA…","principal":"restart-pypnm-gui","seconds":300,"serial":4711,"sources":["10.0.0.2"]}

and one answer, ``{"certificate":"ssh-ed25519-cert-v01@openssh.com AAAA…"}`` or ``{"refused":"WHY"}``.
"""

import asyncio
import contextlib
import ctypes
import json
import resource
import socket
import struct
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import structlog

from app.core.errors import Refused, Unreachable
from app.ssh.authority import Authority, refused
from app.ssh.certificates import AFTER_SECONDS, Wish

ANSWER_SECONDS = 5.0
_MOST_BYTES = 4096
_NOT_DUMPABLE = 4  # PR_SET_DUMPABLE, of <sys/prctl.h>
_LOG = structlog.get_logger("askfirst.signer")


def keep_to_itself() -> None:
    """Let nobody, not even another process of the same user, read this one's memory, nor a core dump be written."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if ctypes.CDLL(None, use_errno=True).prctl(_NOT_DUMPABLE, 0, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


@contextlib.contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """Listen on a Unix socket until the end of the block. Raises Refused where that cannot be."""
    if path.exists() and not path.is_socket():
        raise Refused(f"{path} is there, and is no socket.", code="socket_taken", next_step="Name another path.")
    path.unlink(missing_ok=True)  # of one that could not tidy up: the lock on the key says that none is alive
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
        try:
            made.bind(str(path))
        except OSError as error:
            raise Refused(
                f"The signer cannot listen at {path}: {error.strerror or error}.",
                code="no_socket",
                next_step=f"Make the folder {path.parent}, belonging to the signer's user and open to the server's.",
            ) from error
        try:
            path.chmod(0o666)  # who may ask is told by the kernel for each connection, not by the file's mode
            made.listen()
            yield made
        finally:
            path.unlink(missing_ok=True)


async def serve(authority: Authority, listener: socket.socket, users: Collection[int]) -> None:
    """Answer until cancelled, those processes only that run as one of these users."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(ANSWER_SECONDS):
                writer.write(json.dumps(await _answer(authority, users, reader, writer)).encode("ascii") + b"\n")
                await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(answer, sock=listener, limit=_MOST_BYTES)
    async with server:
        await server.serve_forever()


async def _answer(
    authority: Authority, users: Collection[int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> dict[str, str]:
    peer: socket.socket = writer.get_extra_info("socket")
    pid, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    about: dict[str, Any] = {"pid": pid, "uid": uid}
    try:
        # Read first, whoever asks: one who is hung up on in mid-question may never see the answer.
        line = await _line(reader)
        if uid not in users:
            raise refused(f"the user {uid} may not ask")
        wish, seconds = _wish(line)
        about |= {"principal": wish.principal, "serial": wish.serial, "sources": list(wish.sources)}
        made = authority.sign(wish, seconds)
    except Refused as no:
        _LOG.warning("refused", why=no.message, **about)
        return {"refused": no.message}
    except OSError as error:
        _LOG.error("not signed", why=str(error), **about)
        return {"refused": "what is signed cannot be noted on disk"}
    _LOG.info("signed", **about)
    return {"certificate": made}


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ValueError as error:
        raise refused("the question is too long") from error


def _wish(line: bytes) -> tuple[Wish, int]:
    try:
        match json.loads(line):
            case {
                "key": str(key),
                "principal": str(principal),
                "serial": int(serial),
                "sources": [*sources],
                "seconds": int(seconds),
                **more,
            } if not more and {type(serial), type(seconds)} == {int} and all(isinstance(each, str) for each in sources):
                return Wish(key, principal, serial, tuple(sources)), seconds
    except ValueError as error:
        raise refused("the question is not one line of JSON") from error
    raise refused("the question is not of the form that this signer knows")


class SocketSigner:
    """The signer on this machine, asked over its socket."""

    chooses_serial = False

    def __init__(self, path: Path) -> None:
        """Take the socket's path; it is asked anew for each certificate."""
        self._path = path

    async def sign(self, wish: Wish) -> str:
        """Return a certificate. Raises Unreachable where the signer refuses, or does not answer."""
        question = {"key": wish.key, "principal": wish.principal, "serial": wish.serial, "sources": [*wish.sources]}
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self._path)
                try:
                    writer.write(json.dumps({**question, "seconds": AFTER_SECONDS}).encode("ascii") + b"\n")
                    answer = json.loads(await reader.readline())
                finally:
                    writer.close()
        except TimeoutError as error:
            raise self._unusable("does not answer in time") from error
        except (OSError, ValueError) as error:
            raise self._unusable(f"does not answer: {error}") from error
        match answer:
            case {"certificate": str(certificate)}:
                return certificate
            case {"refused": str(why)}:
                raise self._unusable(f"refuses: {why}")
        raise self._unusable("answers something that no signer says")

    def _unusable(self, what: str) -> Unreachable:
        return Unreachable(
            f"The signer at {self._path} {what}. Nothing was run.",
            code="not_signed",
            next_step="Look at the signer's log, and start it where it does not run: `askfirst signer`.",
        )
