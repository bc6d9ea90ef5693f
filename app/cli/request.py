"""Asking the running server for a restart, with a token; insisting, and following it. A person approves on the page."""

import uuid
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from app.cli.answers import Answer, AsJson, Exit, Line, Wiring, finish, show
from app.cli.server import Server, connected
from app.core.manager import Action

_COMMANDS = ("ask", "show", "insist")
_TONES = {
    "succeeded": "good",
    "waiting": "wait",
    "approved": "wait",
    "running": "wait",
    "settling": "wait",
    "open": "wait",
}
_CERTAINTIES = {"proved": "good", "not proved": "bad", "said": "wait"}


class _AskFirst(TyperGroup):
    """`request SERVICE` asks; a word that names a command is that command."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Put the command ask before what names none."""
        if args and args[0] not in {*_COMMANDS, "--help", "-h"}:
            args = ["ask", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_AskFirst,
    help="Ask for a restart: askfirst request SERVICE --reason TEXT. Follow it: askfirst request show ID.",
    no_args_is_help=True,
)
Token = Annotated[str, typer.Option(envvar="ASKFIRST_TOKEN", help="A token; better as ASKFIRST_TOKEN than here.")]


@app.command("ask")
def ask(
    context: typer.Context,
    service: Annotated[str, typer.Argument(help="The service's exact name.")],
    *,
    reason: Annotated[str, typer.Option(help="Why; an approver reads it.")],
    ticket: Annotated[str, typer.Option(help="Where more is written.")] = "",
    action: Annotated[
        str, typer.Option(help="restart, or what `verify` offers instead: reload, daemon-reload.")
    ] = Action.RESTART,
    said: Annotated[
        list[str] | None,
        typer.Option(help="What you say is so, and no host can tell: committed. Logged as said, not as proved."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it to its end; 0 only if it succeeded.")] = False,
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Ask for a restart of a service (the word ask may be left out)."""
    body = {"service": service, "reason": reason, "ticket": ticket, "action": action, "said": said or []}

    async def act(server: Server) -> Answer:
        asked = await server.post("/api/v1/requests", body, key=uuid.uuid4().hex)
        if not wait:
            return Answer(asked, _lines(asked))
        if not as_json:
            show([f"{asked['short_id']}  {asked['url']}"])
        await _follow(server, asked["id"], quiet=as_json)
        return _shown(await server.get(f"/api/v1/requests/{asked['id']}"), has_waited=True)

    _with_server(context, token, act, as_json=as_json)


@app.command("show")
def show_one(
    context: typer.Context,
    request_id: Annotated[str, typer.Argument(metavar="ID", help="Such as R-7F3K, or the whole id.")],
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Show a request; exits 0 if it succeeded or is under way, 1 if it ended otherwise, 2 if that is not known."""

    async def act(server: Server) -> Answer:
        return _shown(await server.get(f"/api/v1/requests/{request_id}"), has_waited=False)

    _with_server(context, token, act, as_json=as_json, asks=True)


@app.command("insist")
def insist(
    context: typer.Context,
    request_id: Annotated[str, typer.Argument(metavar="ID", help="Such as R-7F3K, or the whole id.")],
    *,
    reason: Annotated[str, typer.Option(help="Why restart it although the host shows no sign of need.")],
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Add the stronger reason that a restart without a sign of need asks for."""

    async def act(server: Server) -> Answer:
        asked = await server.post(f"/api/v1/requests/{request_id}/insist", {"reason": reason})
        return Answer(asked, _lines(asked))

    _with_server(context, token, act, as_json=as_json)


def _with_server(
    context: typer.Context, token: str, act: Callable[[Server], Awaitable[Answer]], *, as_json: bool, asks: bool = False
) -> None:
    wiring: Wiring = context.obj

    async def run() -> Answer:
        async with connected(wiring.settings.base_url, token) as server:
            return await act(server)

    finish(run, as_json=as_json, asks=asks)


async def _follow(server: Server, request_id: str, *, quiet: bool) -> None:
    async for kind, data in server.follow(request_id):
        if quiet:
            continue
        if kind == "happened":
            show([f"{data['at']}  {data['type'].replace('_', ' ')}"])
        elif kind == "printed":
            show(f"  | {line}" for line in data["lines"])


def _shown(asked: dict[str, Any], *, has_waited: bool) -> Answer:
    if asked["state"] == "succeeded":
        status = Exit.YES
    elif asked["state"] in {"unknown", "given_up"}:
        status = Exit.COULD_NOT_TELL
    else:
        status = Exit.NO if asked["has_ended"] or has_waited else Exit.YES
    return Answer(asked, _lines(asked), status)


def _lines(asked: dict[str, Any]) -> tuple[Line | str, ...]:
    what = "" if asked["action"] == Action.RESTART else f"{asked['action']} of "
    state = asked["state"].upper().replace("_", " ")
    head = f"{asked['short_id']} {what}{asked['service']} on {asked['host']}: {state}"
    lines: list[Line | str] = [Line(head, _TONES.get(asked["state"], "bad"))]
    if asked["outcome"]:
        lines.append(f"  {asked['outcome']}")
    proof = asked["verification"]
    if proof:
        lines.append(f"  verdict {proof['verdict']}, restart called for: {proof['need']['answer']}")
        lines += [
            Line(f"  {each['aspect']}: claimed {each['claimed']}; proved {each['observed']}", "bad")
            for each in proof["findings"]
            if each["agrees"] is not True
        ]
    lines += [
        Line(f"  {each['certainty']:10} {each['question']} {each['text']}", _CERTAINTIES.get(each["certainty"], ""))
        for each in asked["checklist"]
    ]
    if asked["by_hand"] and asked["state"] == "running":
        until = f" until {asked['by_hand']['until']}" if asked["by_hand"]["until"] else ""
        lines.append(
            Line(f"  {asked['by_hand']['person']} restarts it by hand{until}, and says so on the page", "wait")
        )
    for each in asked["approvals"]:
        how = f"with the {each['level']} {each['key']}" if each["key"] else "by a click"
        lines.append(f"  approved by {each['name']} at {each['at']}, {how}")
    if asked["warrant"]:
        lines.append(f"  warrant {asked['warrant']['short_digest']}; a yes to it is by {asked['assurance']}")
    if proof and proof["next"] and asked["state"] == "blocked":
        lines.append(f"Next: {proof['next']}")
    else:
        lines.append(f"Next: {asked['next']}")
    lines.append(asked["url"])
    return tuple(lines)
