"""The command line: one file for each noun, put together here. No token approves by any of them.

``main`` passes the wiring as the context's object. Every command that answers takes ``--json``;
``audit export`` and ``audit bundle`` write what is to be kept, as it is.
"""

from typing import Annotated

import typer

from app import __version__
from app.cli import (
    approve,
    audit,
    db,
    demo,
    discover,
    docs,
    doctor,
    freeze,
    host,
    registry,
    request,
    serve,
    signer,
    token,
    user,
    verify,
)

app = typer.Typer(
    name="askfirst",
    help="Nothing is restarted before the host itself has proved what runs there, and a human has clicked.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 yes, 1 no, 2 could not tell. Settings are variables such as ASKFIRST_BASE_URL.",
)
app.command("serve")(serve.serve)
app.command("signer")(signer.signer)
app.command("demo")(demo.demo)
app.add_typer(user.app, name="user")
app.add_typer(token.app, name="token")
app.add_typer(registry.app, name="registry")
app.command("verify")(verify.verify)
app.command("discover")(discover.discover)
app.command("docs")(docs.docs)
app.add_typer(request.app, name="request")
app.command("approve")(approve.approve)
app.add_typer(host.app, name="host")
app.add_typer(audit.app, name="audit")
app.add_typer(freeze.app, name="freeze")
app.add_typer(db.app, name="db")
app.command("doctor")(doctor.doctor)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"askfirst {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Nothing is restarted before the host itself has proved what runs there, and a human has clicked."""
