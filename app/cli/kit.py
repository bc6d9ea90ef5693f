"""``host kit``: what a host's administrator runs there, printed. Askfirst itself never sets it up.

Standard output is the script alone, so that it can be read, kept, or given to a shell on the host; what has to be known
besides goes to standard error.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import asyncssh
import typer

from app.cli.answers import AsJson, Wiring, attempt
from app.core.display import visible
from app.core.errors import NotFound, Refused
from app.core.level import Level
from app.flow import kit as gathering
from app.gate.kit import script
from app.gate.kit_files import tree
from app.settings import Settings
from app.ssh.keys import ClientKey


def kit(  # noqa: PLR0917 - a command's options
    context: typer.Context,
    host: Annotated[str, typer.Argument(help="The host's name.")],
    level: Annotated[
        str, typer.Option(help="enforced or sealed; otherwise the host's own, enforced for an open one.")
    ] = "",
    certificates: Annotated[
        bool | None,
        typer.Option("--certificates/--key", help="Sign in by certificates, or by the key; otherwise the host's own."),
    ] = None,
    authority: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With certificates: the public key of what signs them, a .pub file."),
    ] = None,
    files: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write it as a folder of files with tasks for Ansible instead.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the script by which a host itself refuses all but its registered restarts. Its administrator runs it."""
    wiring: Wiring = context.obj

    async def run() -> tuple[gathering.Made, str, list[str]]:
        async with wiring.open_world() as world:
            wish = _wish(wiring.settings, level, certificates, authority)
            made = await gathering.make(world, host, wish)
        return made, script(made.kit), [] if files is None else _write(made, files)

    made, text, written = attempt(run, as_json=as_json)
    if as_json:
        left = [{"service": name, "why": why} for name, why in made.kit.left_out]
        data = {"host": made.kit.host, "level": made.kit.level, "script": text, "files": written}
        text = json.dumps({**data, "left_out": left, "notes": list(made.notes)}, indent=2) + "\n"
    elif files is not None:
        text = "".join(f"{name}\n" for name in written)
    for note in made.notes:
        typer.echo(visible(note, 2_000), err=True)
    sys.stdout.write(text)
    sys.stdout.flush()


def _wish(settings: Settings, level: str, certificates: bool | None, authority: Path | None) -> gathering.Wish:
    if level not in {"", Level.ENFORCED, Level.SEALED}:
        raise Refused(
            f"There is no level {level[:40]!r} that a kit could set up.",
            code="no_such_level",
            next_step="Write enforced or sealed. The way back to open is the kit's own --remove, on the host.",
        )
    assert settings.ssh_key is not None  # noqa: S101 - Settings fills it
    return gathering.Wish(
        key=_public(ClientKey(settings.ssh_key).pair),
        cooldown=settings.kit_cooldown_seconds,
        per_hour=settings.kit_runs_per_hour,
        authority=_public(_read(authority)) if authority else "",
        level=Level(level) if level else None,
        certificates=certificates,
    )


def _read(file: Path) -> asyncssh.SSHKey:
    try:
        return asyncssh.read_public_key(file)
    except (OSError, asyncssh.KeyImportError) as error:
        raise NotFound(
            f"{file} holds no public key: {error}.",
            code="no_authority",
            next_step="Name the .pub file beside the signer's key, or a file with Vault's public key.",
        ) from error


def _public(key: asyncssh.SSHKey) -> str:
    """Write a public key as ``TYPE BASE64``, without its comment."""
    return " ".join(key.export_public_key("openssh").decode("ascii").split()[:2])


def _write(made: gathering.Made, folder: Path) -> list[str]:
    """Write the kit's files below a folder here, which is new or an earlier kit's."""
    if folder.exists() and any(folder.iterdir()) and not (folder / "kit.sh").is_file():
        raise Refused(
            f"{folder} holds something else than a kit.",
            code="not_empty",
            next_step="Name a folder that is new, or one that an earlier kit was written to.",
        )
    for each in tree(made.kit):
        path = folder / each.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(each.text, encoding="utf-8", newline="\n")
        path.chmod(int(each.mode, 8) | 0o400)
    return [str(folder / each.path) for each in tree(made.kit)]
