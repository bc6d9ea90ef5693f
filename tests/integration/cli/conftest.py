"""The command over a real database in a folder of the test: in this process, or as one of its own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner, Result

from app.cli.main import app
from app.main import Wiring

ROOT = Path(__file__).parents[3]
RUN = (sys.executable, "-c", "from app.main import run; run()")


@dataclass
class Command:
    """Runs ``askfirst`` with an environment of its own."""

    folder: Path
    environment: Mapping[str, str]

    def __call__(self, *words: str, given: str = "", **variables: str) -> Result:
        """Run in this process, to the end. Its log, which goes to a stream of the runner's, ends with it."""
        hidden = {name: None for name in os.environ if name.startswith("ASKFIRST_")}
        environment = {**hidden, **self.environment, **variables}
        before = structlog.get_config()
        try:
            done = CliRunner().invoke(app, words, obj=Wiring(), input=given, env=environment)
        finally:
            structlog.configure(**before)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done

    def json(self, *words: str, given: str = "", **variables: str) -> Any:
        """Run with ``--json`` and return the answer."""
        return json.loads(self(*words, "--json", given=given, **variables).stdout)

    def process(self, *words: str, given: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        """Run as a process of its own, to the end."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            [*RUN, *words],
            cwd=self.folder,
            env={**environment, **self.environment, **variables},
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def command(folder: Path) -> Command:
    """Return the command over a data directory in a folder. Nobody listens where it looks for a server."""
    data = str(folder / "data")
    return Command(folder, {"ASKFIRST_DATA_DIR": data, "ASKFIRST_BASE_URL": "http://127.0.0.1:9", "NO_COLOR": "1"})


@pytest.fixture
def askfirst(tmp_path: Path) -> Command:
    return command(tmp_path)


@pytest.fixture(scope="session")
def peopled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with an editor, an approver and an admin in it."""
    folder = tmp_path_factory.mktemp("people")
    for name, *roles in (("Ed", "editor", "requester"), ("Bo", "approver"), ("Rae", "admin")):
        given = [word for role in roles for word in ("--role", role)]
        email = f"{name.lower()}@example.org"
        done = command(folder)("user", "add", name, "--email", email, "--group", "lab-team", *given)
        assert done.exit_code == 0, done.stderr
    return folder / "data"


@pytest.fixture
def people(peopled: Path, tmp_path: Path) -> Command:
    """The command over a copy of that data directory."""
    shutil.copytree(peopled, tmp_path / "data")
    return command(tmp_path)
