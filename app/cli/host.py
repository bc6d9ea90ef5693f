"""Hosts from the machine: fetching a host's keys, so that a person can compare and pin them. It trusts nothing."""

from typing import Annotated

import typer

from app.cli.answers import Answer, AsJson, Exit, Line, answer
from app.cli.kit import kit
from app.core.errors import NotFound, Unreachable
from app.core.service import Host, host_problems
from app.flow.ports import World
from app.ssh.scan import scan as fetch
from app.store import services

app = typer.Typer(help="Hosts: scan, kit.", no_args_is_help=True)
app.command("kit")(kit)


@app.command("scan")
def scan(
    context: typer.Context,
    host: Annotated[str, typer.Argument(help="A host of the registry, or ADDRESS or ADDRESS:PORT.")],
    as_json: AsJson = False,
) -> None:
    """Fetch a host's keys to compare and pin. Exits 1 where keys are pinned and the host shows none of them."""

    async def act(world: World) -> Answer:
        registered = (await services.registry(world.db)).host(host)
        target = registered or _address(host)
        if target.jump is not None:
            raise Unreachable(
                f"{target.name} is reached by way of {target.jump}, and a key is fetched directly only.",
                next_step="Run cat /etc/ssh/ssh_host_ed25519_key.pub on the host, and put the line into the registry.",
            )
        keys = await fetch(target)
        pinned = set(target.host_keys)
        shown = {key.text for key in keys}
        data = {
            "host": target.name,
            "address": target.address,
            "port": target.port,
            "keys": [
                {"key": key.text, "fingerprint": key.fingerprint, "line": key.line, "is_pinned": key.text in pinned}
                for key in keys
            ],
        }
        lines: list[Line | str] = []
        for key in keys:
            lines += [Line(key.line, "good" if key.text in pinned else ""), f"  {key.text}"]
        lines.append("Compare on the host itself: for k in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $k; done")
        if pinned and not pinned & shown:
            lines.append(Line("None of these is the pinned key. Do not pin before you know why.", "bad"))
            return Answer(data, tuple(lines), Exit.NO)
        return Answer(data, tuple(lines))

    answer(context, act, as_json=as_json, asks=True)


def _address(text: str) -> Host:
    """Return a host that is not registered, by its address."""
    address, colon, port = text.rpartition(":")
    if not colon or ":" in address or not port.isdecimal():
        address, port = text, "22"
    found = Host(name="unregistered", address=address, environment="none", port=int(port[:9]))
    if host_problems(found):
        raise NotFound(
            f"{text[:60]!r} is neither a host of the registry nor an address.",
            code="no_such_host",
            next_step="Write the host's name, ADDRESS or ADDRESS:PORT.",
        )
    return found
