"""Checking this installation: one line for each thing that has to hold, with what to do where it does not.

The checks are listed here by name and lie beside, a file for each noun. Nothing that stays is changed: that the log
takes no change is tried inside a transaction that is then taken back.
"""

from collections.abc import Awaitable, Callable
from functools import partial

import typer

from app.cli.answers import Answer, AsJson, Wiring, finish
from app.cli.doctor import log, machine, people, registry, secret
from app.cli.doctor.diagnosis import Diagnosis, told
from app.core.errors import AskfirstError
from app.settings import Settings
from app.store import dialect
from app.store.engine import Database, open_database


def doctor(context: typer.Context, as_json: AsJson = False) -> None:
    """Check this installation, and say what to do where something is amiss.

    Before each point stands ok, NO, or ? where it cannot be told from here, or is not there yet. Exits 1 where one is
    NO, 2 where none is and one is ?.
    """
    wiring: Wiring = context.obj

    async def run() -> Answer:
        settings = wiring.settings
        return told({**await _of_the_machine(settings), **await _of_the_database(settings)})

    finish(run, as_json=as_json)


async def _of_the_machine(settings: Settings) -> dict[str, Diagnosis]:
    found = {
        "versions": machine.versions(),
        "ssh-keygen": machine.ssh_keygen(),
        "data directory": secret.data_dir(settings),
        "SSH key": secret.ssh_key(settings),
        "secrets": secret.others(settings),
        "certificates": secret.certificates(settings),
        "server": await machine.server(settings),
        "disk": machine.disk(settings),
    }
    return {name: each for name, each in found.items() if each is not None}


async def _of_the_database(settings: Settings) -> dict[str, Diagnosis]:
    try:
        name = dialect.shown(settings.database_url)
        if not dialect.is_made(settings.database_url):
            return {"database": Diagnosis(None, f"{name} is not there yet", "`askfirst serve` makes it.")}
        db = await open_database(settings.database_url, make=False, upgrade=False)
    except AskfirstError as error:
        return {"database": Diagnosis(False, error.message, error.next_step)}
    try:
        return {"database": Diagnosis(True, f"{name}, of this version"), **await _in_the_database(db, settings)}
    finally:
        await db.close()


async def _in_the_database(db: Database, settings: Settings) -> dict[str, Diagnosis]:
    checks: dict[str, Callable[[], Awaitable[Diagnosis]]] = {
        "append-only log": partial(log.append_only, db),
        "durability": partial(log.durability, db),
        "clock": partial(log.clock, db),
        "people": partial(people.people, db),
        "registry": partial(registry.registry, db),
        "anchor": partial(log.anchor, db, settings),
        "sweeps": partial(registry.sweeps, db, settings),
    }
    return {name: await _by_itself(check) for name, check in checks.items()}


async def _by_itself(check: Callable[[], Awaitable[Diagnosis]]) -> Diagnosis:
    """Make one check; what keeps it from being made is what it says, and keeps no other one from it."""
    try:
        return await check()
    except AskfirstError as error:
        holds = None if error.code == "store_rights" else False
        return Diagnosis(holds, error.message, error.next_step)
