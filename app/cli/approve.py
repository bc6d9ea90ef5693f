"""``approve``: a human's yes with an SSH key: the warrant is shown here, and signed here, by the person's own key.

Nothing that the server says is believed: what is shown is read from the warrant's text itself, its digest is computed
here, and that text is what ``ssh-keygen`` signs. The signature alone then goes to the server, with no token, since no
token may approve (law 8). It never signs without a person at a terminal, and there is no option that says yes.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from sqlalchemy import make_url

from app.cli.answers import Answer, AsJson, Line, Wiring, finish
from app.cli.server import connected, problem
from app.core.display import visible
from app.core.errors import Conflict, Lost, NotFound, Refused, Unreachable
from app.core.lifecycle import short_id
from app.core.sshsig import NAMESPACE
from app.core.warrant import Warrant, digest_of, read, short_digest
from app.identity.sshkeys import verify
from app.store import requests

_SECONDS = 60.0
_OWN_KEYS = ("id_ed25519_sk", "id_ecdsa_sk")


def approve(
    context: typer.Context,
    request_id: Annotated[str, typer.Argument(metavar="ID", help="Such as R-7F3K, or the whole id.")],
    *,
    key: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="The key to sign with; else ~/.ssh/id_ed25519_sk, then the agent's."),
    ] = None,
    token: Annotated[str, typer.Option(envvar="ASKFIRST_TOKEN", help="A token that reads; it approves nothing.")] = "",
    as_json: AsJson = False,
) -> None:
    """Approve a request with an SSH key: shows the exact warrant, and signs it here."""
    wiring: Wiring = context.obj

    async def act() -> Answer:
        if not sys.stdin.isatty():
            raise Refused(
                "A yes is a person's, and there is no terminal here.",
                code="no_terminal",
                next_step="Run it in a terminal of your own.",
            )
        text = await _fetched(wiring, request_id, token)
        warrant = warrant_of(text, request_id)
        for line in _shown(warrant, text):
            typer.echo(visible(line, 10_000), err=as_json)
        with tempfile.TemporaryDirectory(prefix="askfirst-") as folder:
            signer = _signer(key, Path(folder))
            if not _agrees(warrant, signer, is_quiet=as_json):
                raise Refused("You did not say yes.", code="not_signed", next_step="Nothing was signed or sent.")
            armored = _signed(text, signer, Path(folder) / "warrant")
        told = await _sent(wiring.settings.base_url, warrant.id, armored)
        of = f"{told['approvals']} of {told['approvers']} said yes"
        line = f"{told['short_id']} is {told['state']}: {of}. Your key: {verify(armored, text).fingerprint}"
        return Answer({**told, "digest": warrant.digest}, (Line(line, "good"),))

    finish(act, as_json=as_json)


async def _fetched(wiring: Wiring, request_id: str, token: str) -> str:
    """Return the warrant's text, from the server with a token, or from this machine's own store."""
    if token:
        async with connected(wiring.settings.base_url, token) as server:
            warrant = (await server.get(f"/api/v1/requests/{request_id}"))["warrant"]
            return str(warrant["text"]) if warrant else _nothing_to_sign()
    if not _has_store(wiring):
        raise Refused(
            "There is no server's store on this machine, and no token to ask a server with.",
            code="no_token",
            next_step="Set ASKFIRST_TOKEN (one that reads, made on the page Settings) and ASKFIRST_BASE_URL.",
        )
    async with wiring.open_world() as world:
        request = await requests.load(world.db, request_id)
        text = await requests.text(world.db, request.warrant) if request.warrant else None
    return text or _nothing_to_sign()


def _has_store(wiring: Wiring) -> bool:
    url = make_url(wiring.settings.database_url)
    return url.get_backend_name() != "sqlite" or Path(url.database or "").exists()


def warrant_of(text: str, request_id: str) -> Warrant:
    """Read the text, and hold it to what was asked for and to this machine's clock."""
    warrant = read(text)
    if request_id.upper() not in {warrant.id, short_id(warrant.id)}:
        raise Refused(
            f"The server answered with a warrant for {short_id(warrant.id)}, not for {request_id}.",
            code="other_warrant",
            next_step="Do not sign. Tell your administrator: the server may not be what it was.",
        )
    if warrant.not_after <= time.time():
        raise Conflict("This request has expired.", code="expired", next_step="Ask for a new one.")
    return warrant


def _shown(warrant: Warrant, text: str) -> list[str]:
    """Write the warrant for a person, every line of it, from the text that is signed."""
    command = " ".join(warrant.argv) or "none: a person does it by hand"
    rows = [
        ("id", warrant.id),
        ("does", f"{warrant.action} of {warrant.service}"),
        ("on", f"{warrant.host}, whose key is {warrant.host_key}"),
        ("command", command),
        ("as", warrant.argv_user),
        ("manager", f"{warrant.manager}: {warrant.unit}"),
        *(("proved" if number == 0 else "", line) for number, line in enumerate(warrant.identity)),
        ("asked by", warrant.requester),
        ("why", warrant.reason),
        ("policy", warrant.policy),
        ("until", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(warrant.not_after))),
        ("evidence", warrant.evidence),
        ("digest", digest_of(text)),
    ]
    head = f"{short_id(warrant.id)}, digest {short_digest(warrant.digest)}, as computed here:"
    return [head, *(f"  {name:9} {value}" for name, value in rows)]


def _agrees(warrant: Warrant, signer: Path, *, is_quiet: bool) -> bool:
    what = "the agent's security key" if signer.name == "agent.pub" else signer
    question = f"Sign {short_digest(warrant.digest)} with {what}?"
    try:
        return typer.confirm(question, default=False, err=is_quiet)
    except typer.Abort:
        return False


def _signer(given: Path | None, folder: Path) -> Path:
    """Return the key's file: the one named, a security key's in its usual place, or one that names the agent's."""
    if given is not None:
        if not given.is_file():
            raise NotFound(f"There is no key {given}.", code="no_key", next_step="Name the file of your key.")
        return given
    usual = [Path.home() / ".ssh" / name for name in _OWN_KEYS]
    found = next((each for each in usual if each.is_file()), None) or _of_the_agent(folder)
    if found is None:
        raise NotFound(
            f"There is no security key's file {' or '.join(map(str, usual))}, and not one alone in the agent.",
            code="no_key",
            next_step="Name yours with --key PATH (its .pub, for a key that ssh-agent holds), or make one:"
            " ssh-keygen -t ed25519-sk -O verify-required; then add its .pub in Settings.",
        )
    return found


def _of_the_agent(folder: Path) -> Path | None:
    """Return a file that names the only security key that ssh-agent holds, None where there is not exactly one."""
    asked = ["ssh-add", "-L"]
    try:
        held = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.splitlines()
    except FileNotFoundError:
        return None
    keys = [line for line in held if line.startswith("sk-")]
    if len(keys) != 1:
        return None
    file = folder / "agent.pub"
    file.write_text(keys[0] + "\n", encoding="utf-8")
    return file


def _signed(text: str, signer: Path, file: Path) -> str:
    """Let ssh-keygen sign the text; its touch or PIN is asked for on the terminal. Returns the armored signature."""
    file.write_text(text, encoding="ascii")
    asked = ["ssh-keygen", "-q", "-Y", "sign", "-n", NAMESPACE, "-f", str(signer), str(file)]
    try:
        # Its questions go to the terminal, and so does what it says: standard output is the answer's.
        done = subprocess.run(asked, stdout=sys.stderr, check=False)
    except FileNotFoundError as error:
        raise Refused(
            "There is no ssh-keygen here.", code="no_ssh_keygen", next_step="Install OpenSSH's client."
        ) from error
    made = file.with_suffix(".sig")
    if done.returncode != 0 or not made.is_file():
        raise Refused("ssh-keygen did not sign.", code="not_signed", next_step="Nothing was sent. Try again.")
    return verify(made.read_text(encoding="ascii"), text).armored


async def _sent(base_url: str, request_id: str, armored: str) -> Any:
    """Send the signature, and nothing beside it."""
    try:
        async with httpx.AsyncClient(base_url=base_url, timeout=_SECONDS, trust_env=False) as client:
            answer = await client.post(f"/requests/{request_id}/signed", json={"signature": armored})
    except (httpx.InvalidURL, httpx.ConnectError) as error:
        raise Unreachable(
            f"No server answers at {base_url}.",
            code="no_server",
            next_step="Set ASKFIRST_BASE_URL to where it is; nothing was sent.",
        ) from error
    except httpx.HTTPError as error:
        raise Lost(
            "The server did not answer; whether your yes was counted is not known here.",
            code="server_lost",
            next_step=f"Look: askfirst request show {request_id}. Signing again is safe: it counts once.",
        ) from error
    if not answer.is_success:
        raise problem(answer)
    try:
        return answer.json()
    except ValueError as error:
        raise Lost(
            f"{base_url} answered, and not as Askfirst does; whether your yes was counted is not known here.",
            code="not_askfirst",
            next_step=f"Check ASKFIRST_BASE_URL, then look: askfirst request show {request_id}",
        ) from error


def _nothing_to_sign() -> str:
    raise Conflict(
        "This request has no warrant to sign.",
        code="not_waiting",
        next_step="Look at it: askfirst request show ID. A warrant is there once the host has proved the claim.",
    )
