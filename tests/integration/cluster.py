"""A real PostgreSQL for the tests: a server of its own on a Unix socket, durable as in production, gone afterwards.

It runs as an ordinary user, which is the package's own where the tests run as root. Databases are made from templates,
so that a test pays for a copy and not for a migration.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg import sql

_EMPTY = "TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
_SECONDS = 30.0
# The server ends with whoever started it, however that one ends: then the pipe that this reads is closed.
_ENDS_WITH_US = 'exec 3<&0; "$@" </dev/null & read -r _ <&3; kill -QUIT $!; wait $!'


def programs() -> Path | None:
    """Return the folder of the newest server that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda file: int(file.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


class Cluster:
    """One server. ``url`` names a database of it as the program is told it."""

    def __init__(self, bin_folder: Path) -> None:
        self._bin = bin_folder
        # A socket's path may have 107 characters, fewer than the folders of a test runner.
        self.folder = Path(tempfile.mkdtemp(prefix="askfirst-pg-"))
        self._user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count(1)

    def __enter__(self) -> Self:
        if os.geteuid() == 0:
            shutil.chown(self.folder, self._user, self._user)
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"]
        made = [str(self._bin / "initdb"), "-D", str(self.folder / "data"), *options]
        subprocess.run(made, check=True, capture_output=True, **self._as_user())
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder)

    def start(self) -> None:
        """Start the server, and return once it answers."""
        settings = {"listen_addresses": "", "unix_socket_directories": str(self.folder), "shared_buffers": "32MB"}
        arguments = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            command = [str(self._bin / "postgres"), "-D", str(self.folder / "data"), *arguments]
            guarded = ["/bin/sh", "-c", _ENDS_WITH_US, "sh", *command]
            self._process = subprocess.Popen(guarded, stdin=subprocess.PIPE, stderr=log, **self._as_user())
        until = time.monotonic() + _SECONDS
        while True:
            try:
                psycopg.connect(self.conninfo("postgres")).close()
                return
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError((self.folder / "log").read_text()) from error
                time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT rolls back what runs and closes, SIGQUIT is a crash."""
        if self._process is None or self._process.stdin is None:
            return
        pid_file = self.folder / "data" / "postmaster.pid"
        os.kill(int(pid_file.read_text().split("\n", 1)[0]), how)
        until = time.monotonic() + _SECONDS
        while pid_file.exists() and how is not signal.SIGQUIT and time.monotonic() < until:
            time.sleep(0.02)
        self._process.stdin.close()
        self._process.wait(_SECONDS)
        self._process = None

    def conninfo(self, database: str, user: str = "postgres") -> str:
        return f"host={self.folder} user={user} dbname={database}"

    def url(self, database: str, user: str = "postgres") -> str:
        return f"postgresql+psycopg://{user}@/{database}?host={self.folder}"

    def place(self) -> str:
        """Return the URL of a database that is not there yet."""
        return self.url(f"t{next(self._numbers)}")

    def create(self, url: str) -> None:
        """Make a database with nothing in it."""
        self.run("postgres", sql.SQL("CREATE DATABASE {} {}").format(_named(url), sql.SQL(_EMPTY)))

    def copy(self, template: str, url: str) -> None:
        """Make a database that holds what another one holds, to which nobody may be connected."""
        self.drop(url)
        self.run("postgres", sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(_named(url), _named(template)))

    def drop(self, url: str) -> None:
        """Take a database away, whoever is still connected to it."""
        self.run("postgres", sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(_named(url)))

    def run(self, database: str, statement: Any) -> None:
        """Run one statement as the server's administrator."""
        with psycopg.connect(self.conninfo(database), autocommit=True) as connection:
            connection.execute(statement)

    def psql(self, script: str) -> str:
        """Run a script as the server's administrator would, and return what that printed, errors included."""
        argv = [str(self._bin / "psql"), "-X", "-q", "-h", str(self.folder), "-U", "postgres", "-d", "postgres"]
        done = subprocess.run(
            [*argv, "-v", "ON_ERROR_STOP=1"], input=script, capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr

    def _as_user(self) -> dict[str, Any]:
        if os.geteuid() != 0:
            return {}
        return {"user": self._user, "group": self._user, "extra_groups": [], "cwd": self.folder}


def _named(url: str) -> sql.Identifier:
    return sql.Identifier(url.rpartition("@/")[2].partition("?")[0])
