"""A host with a little world inside: a supervisord with its programs, processes by hand, ports, code, and a spool.

It does not answer for SSH (``hosts`` does) and judges nothing: it makes the records that the gate prints of a real
host with supervisor, and they are read by the same code. What the world does is told by the test: start, kill, replace,
reboot, pull.
"""

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.core import warrant as warrants
from app.core.errors import Refused
from app.core.facts import Facts, Record
from app.core.level import Level
from app.core.reading import facts
from app.core.records import HEADER
from app.core.run import Differs, Refusal, Spool, SpoolState
from app.core.service import Host, Service
from app.gate.build import expected
from app.ssh.keys import fingerprint, pinned
from tests.fakes.clock import FakeClock

CONFIG = "/etc/supervisor/supervisord.conf"
_HZ = 100


@dataclass(slots=True)
class Process:
    """A process of the little world, and the JSON that it serves on its ports: the one that lay there at its start."""

    pid: int
    ppid: int
    start: int
    user: str
    argv: tuple[str, ...]
    cwd: str
    comm: str
    cgroup: str
    ports: tuple[int, ...] = ()
    serves: str = "{}"
    status: int = 200


@dataclass(slots=True)
class Program:
    """A program of the supervisord. ``pid`` is None while it does not run."""

    unit: str
    user: str
    path: str
    ports: tuple[int, ...]
    pid: int | None = None
    comes_back: bool = True
    status: int = 200


@dataclass(slots=True)
class Run:
    """A spent warrant: burned, or a command that ends at a time by the clock."""

    state: SpoolState
    unit: str = ""
    ends_at: float = 0.0
    exit_status: int = 0
    output: bytes = b""


@dataclass(slots=True)
class FakeHost:
    """One host. The attributes that begin with ``next_`` tell what the next command does."""

    name: str
    clock: FakeClock
    environment: str = "production"
    level: Level = Level.OPEN
    certificates: bool = False
    processes: dict[int, Process] = field(default_factory=dict)
    programs: dict[str, Program] = field(default_factory=dict)
    code: dict[str, tuple[str, float, str]] = field(default_factory=dict)
    spool: dict[str, Run] = field(default_factory=dict)
    edited_at: int = 1_760_000_000
    boot: str = ""
    gate: str = ""
    permitted: frozenset[str] | None = None
    blind: tuple[tuple[str, str], ...] = ()
    next_exit: int = 0
    next_output: bytes | None = None
    next_seconds: float = 1.0
    _born: float = 0.0
    _last_pid: int = 0
    _last_start: int = 0
    _supervisord: int = 0

    def __post_init__(self) -> None:
        self.reboot()

    @property
    def host(self) -> Host:
        """The registry's entry."""
        key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(self.name.encode()).digest())
        line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        return Host(
            self.name,
            f"{self.name}.example",
            self.environment,
            host_keys=(line,),
            level=self.level,
            certificates=self.certificates,
        )

    def claim(self, unit: str = "lab:pypnm-gui", name: str = "pypnm-gui") -> Service:
        """The right claim for a program of the supervisord."""
        program = self.programs[unit]
        return Service(
            name,
            self.name,
            "lab-team",
            "supervisor",
            unit,
            user=program.user,
            path=program.path,
            ports=program.ports,
        )

    # What the world does.

    def supervise(
        self,
        unit: str = "lab:pypnm-gui",
        *,
        user: str = "rbron",
        path: str = "/opt/pypnm-gui-lab",
        port: int = 5050,
        document: str = '{"tftp": {"server": "10.0.0.1"}}',
    ) -> Program:
        """Give the supervisord a program whose code serves a JSON document, and start it."""
        self.programs[unit] = Program(unit, user, path, (port,))
        self.code.setdefault(path, (document, self.clock.now() - 3600, "first"))
        self.start(unit)
        return self.programs[unit]

    def start(self, unit: str) -> int:
        """Start a program; return its pid."""
        program = self.programs[unit]
        argv = ("/usr/bin/python3", "/usr/bin/gunicorn", "--chdir", program.path)
        program.pid = self._spawn(self._supervisord, program.user, argv, program.path, program.ports)
        self.processes[program.pid].status = program.status
        return program.pid

    def by_hand(self, port: int, *, user: str = "rbron", path: str = "/opt/pypnm-gui-lab") -> int:
        """Start a process that nobody manages; return its pid."""
        pid = self._spawn(1, user, ("python3", "-m", "http.server"), path, (port,))
        self.processes[pid].cgroup = "/user.slice/user-1000.slice/session-4.scope"
        return pid

    def kill(self, pid: int) -> None:
        """End a process. The supervisord does not start it again by itself."""
        del self.processes[pid]
        for program in self.programs.values():
            if program.pid == pid:
                program.pid = None

    def replace(self, unit: str, *, with_same_pid: bool = False) -> int:
        """Restart a program behind everybody's back; return its new pid, which may be the old one used again."""
        pid = self.programs[unit].pid
        if pid is not None:
            self.kill(pid)
        if with_same_pid and pid is not None:
            self._last_pid = pid - 1
        return self.start(unit)

    def pull(self, path: str, document: str, subject: str = "TFTP fix") -> None:
        """Check out new code; what runs goes on serving what lay there when it started."""
        self.code[path] = (document, self.clock.now(), subject)

    def edit_config(self) -> None:
        """Change the supervisord's configuration file."""
        self.edited_at += 1

    def reboot(self) -> None:
        """Boot: another boot id, the same programs; whatever ran is cut off."""
        for run in self.spool.values():
            self._settle(run)
            if run.state is SpoolState.RUNNING:
                run.state = SpoolState.INTERRUPTED
        self.boot, self._born = str(uuid.uuid4()), self.clock.now()
        self.processes.clear()
        self._last_pid, self._last_start = 300, 0
        self.processes[1] = Process(1, 0, 0, "root", ("/sbin/init",), "/", "systemd", "/init.scope")
        argv = ("/usr/bin/python3", "/usr/bin/supervisord", "-n", "-c", CONFIG)
        self._supervisord = self._spawn(1, "root", argv, "/", ())
        daemon = self.processes[self._supervisord]
        daemon.comm, daemon.cgroup = "supervisord", "/system.slice/supervisor.service"
        for unit in self.programs:
            self.start(unit)

    # What the gate answers.

    def probe(self, services: Sequence[Service], taken_at: float, *, git: bool = False) -> Facts:
        """Take the facts, by the gate's own records; with git's word on the code, all of which is pushed."""
        self._settle_all()
        told = list(self._records(services))
        pushed = {"changed": "0", "untracked": "0", "ahead": "0", "upstream": "origin/main"} if git else {}
        told = [Record(each.kind, {**each.fields, **pushed}) if each.kind == "code" else each for each in told]
        return replace(facts(told, taken_at, services), permitted=self.permitted)

    def spend(self, text: str) -> Run | Differs | Refusal:
        """Take a warrant's text as the gate does: compare, spend, start. Raises nothing."""
        self._settle_all()
        try:
            warrant = warrants.read(text)
        except Refused as refused:
            return Refusal(refused.message)
        if warrant.action not in {"restart", "start", "reload", "daemon-reload"}:
            return Refusal("this gate has no such action")
        if warrant.host != self.name or warrant.host_key != fingerprint(pinned(self.host)[0]):
            return Refusal("the warrant is for another host")
        if warrant.id in self.spool:
            return Refusal("spent")
        if warrant.not_after < self.clock.now():
            until, here = map(_time, (warrant.not_after, self.clock.now()))
            return Refusal(f"the warrant held until {until}, and this host's clock says {here}")
        now = self._identity(warrant.unit)
        if now != warrant.identity:
            return Differs(now)
        output = self.next_output
        if output is None:
            output = f"{warrant.unit}: stopped\n{warrant.unit}: started\n".encode()
        ends_at = self.clock.now() + self.next_seconds
        run = Run(SpoolState.RUNNING, warrant.unit, ends_at, self.next_exit, output)
        self.spool[warrant.id] = run
        return run

    def burn(self, request_id: str) -> Spool:
        """Make a warrant unusable, or tell what became of it."""
        self.spool.setdefault(request_id, Run(SpoolState.BURNED))
        return self.result(request_id)

    def result(self, request_id: str) -> Spool:
        """Tell what the spool holds."""
        self._settle_all()
        run = self.spool.get(request_id)
        if run is None:
            return Spool(SpoolState.UNSPENT)
        if run.state is SpoolState.BURNED:
            return Spool(run.state)
        return Spool(run.state, run.exit_status if run.state is SpoolState.EXITED else None, run.output)

    def holder(self, port: int) -> Process | None:
        """Return the process that holds a port."""
        self._settle_all()
        return next((each for each in self.processes.values() if port in each.ports), None)

    def runs(self) -> int:
        """How many warrants were spent for a run."""
        return sum(run.state is not SpoolState.BURNED for run in self.spool.values())

    def _settle_all(self) -> None:
        for run in list(self.spool.values()):
            self._settle(run)

    def _settle(self, run: Run) -> None:
        """Let a command that is due end: it goes on whether or not anybody listens."""
        if run.state is not SpoolState.RUNNING or run.ends_at > self.clock.now():
            return
        run.state = SpoolState.EXITED
        program = self.programs.get(run.unit)
        if program is None or run.exit_status:
            return
        if program.pid is not None:
            self.kill(program.pid)
        if program.comes_back:
            self.start(program.unit)

    def _spawn(self, ppid: int, user: str, argv: tuple[str, ...], cwd: str, ports: tuple[int, ...]) -> int:
        self._last_pid += 1
        self._last_start = max(self._last_start + 1, round((self.clock.now() - self._born) * _HZ))
        self.processes[self._last_pid] = Process(
            pid=self._last_pid,
            ppid=ppid,
            start=self._last_start,
            user=user,
            argv=argv,
            cwd=cwd,
            comm=argv[0].rsplit("/", 1)[-1],
            cgroup=self.processes[ppid].cgroup,
            ports=ports,
            serves=self.code[cwd][0] if cwd in self.code else "{}",
        )
        return self._last_pid

    def _identity(self, unit: str) -> tuple[str, ...]:
        program = self.programs.get(unit)
        if program is None:
            return (f"boot {self.boot}",)
        process = self.processes.get(program.pid or 0)
        lines = [f"process {process.pid} {process.start} {process.user} {process.cwd}"] if process else []
        state = "RUNNING" if process else "EXITED"
        return (f"boot {self.boot}", *lines, f"config {CONFIG} {self.edited_at}", f"program {unit} {state}")

    def _records(self, services: Sequence[Service]) -> Iterator[Record]:
        own = {"gate": self.gate or expected(self.level), "level": str(self.level)}
        yield Record(HEADER, {"version": "1", "nonce": "0" * 32, "verb": "probe", **own})
        now = f"{self.clock.now():.2f}"
        yield Record("host", {"name": self.name, "now": now, "uid": "0", "user": "root"})
        for process in self.processes.values():
            for port in process.ports:
                inode = str(10_000 + port)
                uid = _uid(process.user)
                yield Record("listen", {"port": str(port), "addr": "0.0.0.0", "uid": uid, "inode": inode})  # noqa: S104
                yield Record("holder", {"inode": inode, "pid": str(process.pid)})
            yield self._process_record(process)
        yield from self._supervisor_records()
        yield Record("systemd.manager", {"state": "absent"})
        for service in services:
            yield from self._claim_records(service)
        for what, why in self.blind:
            yield Record("blind", {"what": what, "why": why})

    def _process_record(self, process: Process) -> Record:
        return Record(
            "process",
            {
                "pid": str(process.pid),
                "ppid": str(process.ppid),
                "start": str(process.start),
                "started": f"{self._born + process.start / _HZ:.2f}",
                "uid": _uid(process.user),
                "user": process.user,
                "comm": process.comm,
                "cgroup": process.cgroup,
                "argv": "\0".join(process.argv),
                "exe": "/usr/bin/python3.11",
                "exe-uid": "0",
                "cwd": process.cwd,
            },
        )

    def _supervisor_records(self) -> Iterator[Record]:
        daemon = {"config": CONFIG, "default": "yes", "pid": str(self._supervisord), "is-own": "yes", "by": "curl"}
        yield Record("supervisor.daemon", {**daemon, "socket": "/run/supervisor.sock"})
        for program in self.programs.values():
            state = "RUNNING" if program.pid is not None else "EXITED"
            fields = {"config": CONFIG, "name": program.unit, "state": state, "pid": str(program.pid or 0)}
            yield Record("supervisor.program", {**fields, "error": ""})

    def _claim_records(self, service: Service) -> Iterator[Record]:
        if service.manager == "supervisor" and service.unit in self.programs:
            lines = self._identity(service.unit)
        elif service.manager == "manual":
            held = [each for each in self.processes.values() if set(each.ports) & set(service.ports)]
            lines = (
                f"boot {self.boot}",
                *(f"process {each.pid} {each.start} {each.user} {each.cwd}" for each in held),
            )
        else:
            lines = ()
        for line in lines:
            yield Record("identity", {"service": service.name, "line": line})
        if service.path in self.code:
            _, at, subject = self.code[service.path]
            commit = hashlib.sha1(f"{subject} {at}".encode(), usedforsecurity=False).hexdigest()
            fields = {"service": service.name, "commit": commit, "at": str(at), "subject": subject}
            yield Record("code", {**fields, "newest": f"{service.path}/app.py", "newest-at": str(at)})


def _uid(user: str) -> str:
    return "0" if user == "root" else str(1000 + sum(user.encode()) % 100)


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
