"""Checking this installation: one line for each thing that has to hold, with what to do where it does not.

It changes nothing that stays: that the log takes no change is tried inside a transaction that is then taken back.
"""

import os
import shutil
import stat
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import typer
from sqlalchemy import text

from app.cli.answers import Answer, AsJson, Exit, Line, Wiring, finish
from app.cli.start import refuse_open_secrets
from app.core.errors import AskfirstError, Refused
from app.core.events import iso
from app.core.policy import Role
from app.settings import Settings
from app.ssh.keys import ClientKey, fingerprint, refuse_open
from app.store import dialect, history, people, services, sqlite, sweeps
from app.store.anchor import BEGUN, Anchor
from app.store.engine import Database, open_database
from app.store.log import Tx

_LOG = "append-only log"
_SKEW_SECONDS = 5.0
_ANCHOR_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One thing that was looked at. ``holds`` is None where it could not be told."""

    name: str
    holds: bool | None
    seen: str
    next_step: str = ""


def doctor(context: typer.Context, as_json: AsJson = False) -> None:
    """Check this installation, and say what to do where something is amiss."""
    wiring: Wiring = context.obj

    async def run() -> Answer:
        settings = wiring.settings
        found = [_python(), _tools(), _data_dir(settings), _key(settings), _secrets(settings)]
        found += [
            *_certificates(settings),
            await _server(settings),
            *_disk(settings),
            *await _of_the_database(settings),
        ]
        return Answer([_data(each) for each in found], tuple(_lines(found)), _exit(found))

    finish(run, as_json=as_json)


def _python() -> Diagnosis:
    seen = ", ".join((f"Python {sys.version.split()[0]}", *dialect.versions()))
    holds = sys.version_info >= (3, 11) and sqlite.is_new_enough()
    return Diagnosis("versions", holds, seen, "" if holds else "Use Python 3.11 or newer with SQLite 3.37 or newer.")


def _tools() -> Diagnosis:
    if found := shutil.which("ssh-keygen"):
        return Diagnosis("ssh-keygen", True, found)
    return Diagnosis("ssh-keygen", None, "not found", "Install OpenSSH's client to compare host keys on this machine.")


def _data_dir(settings: Settings) -> Diagnosis:
    folder = settings.data_dir
    if not folder.is_dir():
        return Diagnosis("data directory", None, f"{folder} is not there yet", "`askfirst serve` makes it.")
    held = folder.stat()
    mode = stat.S_IMODE(held.st_mode)
    if mode & 0o077:
        return Diagnosis("data directory", False, f"{folder} is open to others ({mode:04o})", f"chmod 700 {folder}")
    if held.st_uid != os.geteuid():
        return Diagnosis("data directory", False, f"{folder} belongs to uid {held.st_uid}", "Run as that user.")
    return Diagnosis("data directory", True, f"{folder} ({mode:04o})")


def _key(settings: Settings) -> Diagnosis:
    path = settings.ssh_key or Path()
    if not path.exists():
        return Diagnosis("SSH key", None, f"{path} is not there yet", "`askfirst serve` makes it.")
    try:
        refuse_open(path)
        return Diagnosis("SSH key", True, f"{path} {fingerprint(ClientKey(path).pair)}")
    except AskfirstError as error:
        return Diagnosis("SSH key", False, error.message, error.next_step)


def _secrets(settings: Settings) -> Diagnosis:
    """Say whether a server would start with the other secrets as they are."""
    try:
        refuse_open_secrets(settings)
    except AskfirstError as error:
        return Diagnosis("secrets", False, error.message, error.next_step)
    return Diagnosis("secrets", True, "none that is a default, or open to others")


def _certificates(settings: Settings) -> list[Diagnosis]:
    """Say whether what certifies our sign-ins could be asked at all, where the settings name it."""
    files = (settings.signer_socket, settings.vault_token_file, settings.vault_secret_id_file, settings.vault_ca_file)
    named = [file for file in files if file]
    if absent := [str(file) for file in named if not os.access(file, os.R_OK)]:
        next_step = "Start `askfirst signer`, or let Vault's files be where the settings say."
        return [Diagnosis("certificates", False, f"not there, or not ours to read: {', '.join(absent)}", next_step)]
    return [Diagnosis("certificates", True, ", ".join(map(str, named)))] if named else []


async def _server(settings: Settings) -> Diagnosis:
    try:
        async with httpx.AsyncClient(base_url=settings.base_url, timeout=5.0, trust_env=False) as client:
            answer = await client.get("/readyz")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        seen = f"{settings.base_url} does not answer: {type(error).__name__}"
        return Diagnosis("server", None, seen, "Start it with `askfirst serve`.")
    if answer.status_code == 200:
        return Diagnosis("server", True, f"{settings.base_url} is ready")
    return Diagnosis("server", False, f"{settings.base_url} answers {answer.status_code}", "Read the server's log.")


def _disk(settings: Settings) -> list[Diagnosis]:
    """Say whether there is room where the database lies, where that can be seen from here."""
    try:
        free = dialect.room(settings.database_url)
    except AskfirstError:
        return []  # the next row says what is wrong with the URL
    if free is None:
        return []
    seen = f"{free / 2**20:.0f} MiB free where the database lies"
    if free < dialect.LEAST_ROOM:
        return [Diagnosis("disk", False, seen, "Free space there: nothing can be recorded, so nothing is done.")]
    return [Diagnosis("disk", True, seen)]


async def _of_the_database(settings: Settings) -> list[Diagnosis]:
    try:
        name = dialect.shown(settings.database_url)
        if not dialect.is_made(settings.database_url):
            return [Diagnosis("database", None, f"{name} is not there yet", "`askfirst serve` makes it.")]
        db = await open_database(settings.database_url, make=False, upgrade=False)
    except AskfirstError as error:
        return [Diagnosis("database", False, error.message, error.next_step)]
    try:
        checks: dict[str, Callable[[], Awaitable[Diagnosis]]] = {
            _LOG: partial(_append_only, db),
            "durability": partial(_durable, db),
            "clock": partial(_clock, db),
            "people": partial(_people, db),
            "registry": partial(_registry, db),
            "anchor": partial(_anchor, db, settings),
            "sweeps": partial(_sweeps, db, settings),
        }
        found = [await _by_itself(each, check) for each, check in checks.items()]
        return [Diagnosis("database", True, f"{name}, of this version"), *found]
    finally:
        await db.close()


async def _by_itself(name: str, check: Callable[[], Awaitable[Diagnosis]]) -> Diagnosis:
    """Make one check; what keeps it from being made is what it says, and keeps no other one from it."""
    try:
        return await check()
    except AskfirstError as error:
        holds = None if error.code == "store_rights" else False
        return Diagnosis(name, holds, error.message, error.next_step)


async def _append_only(db: Database) -> Diagnosis:
    """Try to change and to take away an event, in every way there is; all must be refused. What is tried is undone."""
    name = _LOG
    for statements in db.dialect.TAMPERING:
        verb = statements[-1].partition(" audit")[0].split("\n")[0]
        try:
            await db.write(lambda tx, statements=statements: _tamper(tx, statements))  # type: ignore[misc]
        except Refused as outcome:
            if outcome.code == "changed" and outcome.message == "0":
                return Diagnosis(name, None, "the log is empty, so there is nothing to try it on")
            if outcome.code != "append_only":
                return Diagnosis(
                    name, False, f"{verb} is possible", "Run `askfirst audit verify`, then restore a backup."
                )
        except AskfirstError as error:
            return Diagnosis(name, None, f"{verb} could not be tried: {error.message}", error.next_step)
    return Diagnosis(name, True, f"each of {len(db.dialect.TAMPERING)} ways to change it is refused")


async def _tamper(tx: Tx, statements: Iterable[str]) -> None:
    """Try one way to change the log. Always raises, so that nothing of it stays."""
    rows = 0
    try:
        for statement in statements:
            rows = (await tx.connection.execute(text(statement))).rowcount
    except tx.dialect.FAILURES as error:
        if not tx.dialect.is_refusal(error):
            raise
        raise Refused("as it should", code="append_only", next_step="") from None
    raise Refused(str(rows), code="changed", next_step="")


async def _durable(db: Database) -> Diagnosis:
    async with db.read() as connection:
        weakness = await db.dialect.weakness(connection)
    if weakness:
        return Diagnosis("durability", None, weakness, "`askfirst db roles` prints what a server's administrator runs.")
    return Diagnosis("durability", True, "what is acknowledged stays, and no right of ours could change it")


async def _clock(db: Database) -> Diagnosis:
    newest = (await history.page(db, history.Filter(), limit=1)).rows
    if not newest:
        return Diagnosis("clock", True, "no event yet to compare it with")
    ahead = newest[0].at - time.time()
    if ahead > _SKEW_SECONDS:
        return Diagnosis("clock", False, f"the last event is {ahead:.0f} s in the future", "Set this machine's clock.")
    return Diagnosis("clock", True, "not before the last event")


async def _anchor(db: Database, settings: Settings) -> Diagnosis:
    """Say whether the log is the one that was anchored, and whether it still is being anchored."""
    anchor = Anchor(settings.anchor_file)
    try:
        await anchor.check(db)
        end = await anchor.pending(db)
    except AskfirstError as error:
        return Diagnosis("anchor", False, error.message, error.next_step)
    if bare := await anchor.begins_anew(db):
        return Diagnosis("anchor", None, bare, BEGUN)
    if anchor.last is None:
        return Diagnosis("anchor", None, f"{anchor.path} holds nothing yet", "`askfirst serve` writes it.")
    behind = time.time() - end.at if end else 0.0
    if end and behind > _ANCHOR_SECONDS + settings.anchor_every:
        seen = f"rows {anchor.last.seq + 1} to {end.seq} are not anchored, the first for {behind:.0f} s"
        return Diagnosis("anchor", False, seen, f"Let a server run, and let it append to {anchor.path}.")
    return Diagnosis("anchor", True, f"{anchor.path} holds row {anchor.last.seq}, as the log does")


async def _people(db: Database) -> Diagnosis:
    everyone = [each.person for each in await people.everyone(db) if each.person.is_enabled]
    if not everyone:
        return Diagnosis("people", None, "nobody yet", "`askfirst serve` prints the link that makes the first person.")
    approvers = {each.human for each in everyone if Role.APPROVER in each.roles}
    if len({each.human for each in everyone}) < 2 or not approvers:
        return Diagnosis(
            "people", False, "nobody could approve what another asks", "Add an approver who is somebody else."
        )
    return Diagnosis("people", True, f"{len(everyone)}, of whom {len(approvers)} may approve")


async def _registry(db: Database) -> Diagnosis:
    registry = await services.registry(db)
    if not registry.hosts:
        return Diagnosis("registry", None, "no hosts yet", "Write one: askfirst registry plan FILE")
    if bare := [host.name for host in registry.hosts if not host.host_keys]:
        return Diagnosis("registry", False, f"no pinned key: {', '.join(bare)}", f"askfirst host scan {bare[0]}")
    ruled = {policy.environment for policy in registry.policies}
    if bare := sorted({host.environment for host in registry.hosts} - ruled):
        return Diagnosis("registry", False, f"no policy for {', '.join(bare)}", "Nobody can approve there: add one.")
    return Diagnosis("registry", True, f"{len(registry.hosts)} hosts, {len(registry.services)} services")


async def _sweeps(db: Database, settings: Settings) -> Diagnosis:
    """Say whether every host that has a service was looked at in time."""
    hosts = sorted({each.host for each in (await services.registry(db)).services})
    if not settings.sweep_every:
        return Diagnosis(
            "sweeps", None, "ASKFIRST_SWEEP_EVERY is 0: nothing is looked at unasked", "Set it, such as 15m."
        )
    if not hosts:
        return Diagnosis("sweeps", None, "no service yet that could be looked at")
    swept, now = await sweeps.every(db), time.time()
    patience = settings.sweep_every + settings.sweep_grace
    late = [name for name in hosts if name not in swept or now - swept[name].at > patience]
    if late:
        last = max((each.at for each in swept.values()), default=0.0)
        when = f"the last sweep of any host was at {iso(last)}" if last else "no host ever was"
        seen = f"{len(late)} of {len(hosts)} hosts not swept in the last {patience:.0f} s, such as {late[0]}; {when}"
        return Diagnosis("sweeps", False, seen, "Start a worker with `askfirst serve`, or read its log.")
    return Diagnosis("sweeps", True, f"{len(hosts)} hosts, each in the last {patience:.0f} s")


def _data(each: Diagnosis) -> dict[str, object]:
    return {"name": each.name, "holds": each.holds, "seen": each.seen, "next": each.next_step}


def _lines(found: list[Diagnosis]) -> list[Line | str]:
    lines: list[Line | str] = []
    for each in found:
        mark, tone = {True: ("ok", "good"), False: ("NO", "bad"), None: ("?", "wait")}[each.holds]
        lines.append(Line(f"{mark:<3} {each.name:<16} {each.seen}", tone))
        if each.next_step:
            lines.append(f"{'':20} {each.next_step}")
    return lines


def _exit(found: list[Diagnosis]) -> Exit:
    if any(each.holds is False for each in found):
        return Exit.NO
    return Exit.COULD_NOT_TELL if any(each.holds is None for each in found) else Exit.YES
