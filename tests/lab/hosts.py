"""Real hosts on this machine: each a systemd-nspawn machine with its own disk, address, host keys and boot id.

It does not say what runs on a host (scenarios/ does) and does not judge what is seen there. A host is booted over a
copy-on-write layer of build.sh's template, reached as root over its own sshd, and gone without a trace when the test
run that made it ends, or when the next run finds that its maker was killed.

For a person with a shell:

    python tests/lab/hosts.py up dev1 --scenario incident    boot, deploy, print how to reach it
    python tests/lab/hosts.py sh dev1 ss -ltn                run something there as root
    python tests/lab/hosts.py list
    python tests/lab/hosts.py down dev1                      power off, and forget its disk
"""

import argparse
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parents[1]))

from tests.lab import machine  # noqa: E402  (as a script, the line above must come first)
from tests.lab.machine import LabError, Process, call  # noqa: E402

LAST_FACT = "cgroup"  # a host's folder without it was never finished
SCENARIOS_THERE = "/usr/local/share/scenarios"
# Enter the host's control groups, then leave its systemd-nspawn behind as nobody's child and say its pid.
START = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs"; shift; done; shift; "$@" </dev/null >&2 & echo $!'


@dataclass(frozen=True, slots=True)
class Result:
    """What a command on a host came to: exit status (255: SSH itself failed), and its two outputs."""

    status: int
    out: str
    err: str


class LabHost:
    """One host. Its folder holds everything about it, so another process can pick it up by name."""

    def __init__(self, folder: Path, template: Path, key: Path) -> None:
        self.name = (folder / "hostname").read_text()
        self.folder = folder
        self.number = int((folder / "number").read_text())
        self.address = f"{machine.NETWORK}.{self.number}"
        self.key_path = key
        self._template = template
        self._port = f"vb-af-{self.number}"  # what systemd-nspawn calls its end of the wire

    @property
    def root(self) -> Path:
        """The host's root file system as this machine sees it, also while the host is off."""
        return self.folder / "root"

    @property
    def host_keys(self) -> tuple[str, ...]:
        """The public host keys, as `type base64`, for pinning."""
        files = sorted((self.root / "etc/ssh").glob("ssh_host_*_key.pub"))
        return tuple(" ".join(file.read_text().split()[:2]) for file in files)

    @property
    def is_up(self) -> bool:
        return Process.load(self.folder / "nspawn") is not None

    def boot(self) -> None:
        """Switch the host on and wait until its sshd lets us in."""
        if self.is_up:
            return
        machine.ensure_bridge()
        self.attach_disk()
        groups = map(str, machine.make_cgroups(self.number))
        environment = dict(os.environ)
        if (wanted := (self.folder / LAST_FACT).read_text()) != "hybrid":
            environment["SYSTEMD_NSPAWN_UNIFIED_HIERARCHY"] = "1" if wanted == "v2" else "0"
        with (self.folder / "console.log").open("ab") as console:
            started = subprocess.run(
                ["/bin/sh", "-c", START, "sh", *groups, "--", *self._nspawn_argv()],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=console,
                env=environment, start_new_session=True, check=True,
            )  # fmt: skip
        if nspawn := Process.of(int(started.stdout)):
            nspawn.save(self.folder / "nspawn")
        self._wait_for_sshd()

    def _nspawn_argv(self) -> list[str]:
        """Everything that Docker needs inside is allowed: a lab host is no jail, and runs nothing but our scenarios."""
        return [
            "systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--private-users=no",
            "--directory", str(self.root), f"--machine=af-{self.number}", f"--hostname={self.name}",
            f"--network-bridge={machine.BRIDGE}", "--capability=all", "--system-call-filter=@keyring bpf",
        ]  # fmt: skip

    def _wait_for_sshd(self) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if not self.is_up:
                raise LabError(f"{self.name}: ended while booting; see {self.folder}/console.log")
            try:
                socket.create_connection((self.address, 22), timeout=1).close()
            except OSError:
                time.sleep(0.2)
                continue
            # pam_nologin refuses all but root until the boot is done, and without its bus systemctl waits for nothing.
            boot = self.run(["systemctl", "is-system-running", "--wait"], check=False).out.strip()
            if boot in {"running", "degraded"} and self._lets_in():
                return
            time.sleep(0.2)
        raise LabError(f"{self.name}: its sshd did not answer in 120 s; see {self.folder}/console.log")

    def _lets_in(self) -> bool:
        """Whether an ordinary account signs in, where a scenario has made one; root, where none has."""
        homes = {line.split(":")[5] for line in (self.root / "etc/passwd").read_text().splitlines()}
        folders = [keys.parents[1] for keys in (self.root / "home").glob("*/.ssh/authorized_keys")]
        people = [folder.name for folder in folders if f"/home/{folder.name}" in homes]  # not one whom the kit moved
        return all(self.run(["true"], user=user, check=False).status == 0 for user in people or ["root"])

    def power_off(self) -> None:
        """Pull the plug: nothing on the host gets a chance to finish. Its disk stays for the next boot."""
        if nspawn := Process.load(self.folder / "nspawn"):
            # Ending the host's first process ends all others of its namespace; nspawn then goes by itself.
            for first in nspawn.children():
                first.kill()
            deadline = time.monotonic() + 20
            while nspawn.lives() and time.monotonic() < deadline:
                time.sleep(0.05)
            nspawn.kill()
        (self.folder / "nspawn").unlink(missing_ok=True)
        machine.remove_cgroups(self.number)

    def reboot(self) -> None:
        """Power off hard and boot: a new boot id, the same disk."""
        self.power_off()
        self.boot()

    def cut(self) -> None:
        """Take the host off the network: no answer and no error for either side, as if a cable had been cut."""
        call("ip", "link", "set", self._port, "nomaster")

    def mend(self) -> None:
        call("ip", "link", "set", self._port, "master", machine.BRIDGE)

    def hang_up(self) -> int:
        """End every SSH connection to the host at once, from its side. Returns how many there were."""
        sshds = [process for process in machine.processes_in(self.number) if _name_of(process) == "sshd"]
        parents = {child: parent for parent in sshds for child in parent.children()}
        listener = {sshd for sshd in sshds if sshd not in parents}
        connections = [sshd for sshd in sshds if parents.get(sshd) in listener]
        for sshd in connections:
            for process in [*sshd.children(), sshd]:
                if _name_of(process) == "sshd":
                    process.kill()
        return len(connections)

    def run(
        self,
        command: Sequence[str] | str,
        *,
        user: str = "root",
        stdin: str = "",
        timeout: float = 120,
        check: bool = True,
    ) -> Result:
        """Run an argv, or a script (a string, given to `sh -s`), over real SSH.

        Raises LabError where it ends with another status than 0, unless `check` is false.
        """
        if isinstance(command, str):
            remote, stdin = "sh -s", command
        else:
            remote = shlex.join(command)
        done = subprocess.run(
            self.ssh_argv(user, remote), input=stdin.encode(), capture_output=True, timeout=timeout, check=False
        )
        result = Result(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
        if check and result.status:
            raise LabError(f"{self.name}: {remote!r} ended with {result.status}: {result.err or result.out}")
        return result

    def ssh_argv(self, user: str, remote: str) -> list[str]:
        """The ssh command line that reaches the host, its key pinned, for a test that drives ssh by itself."""
        known = self.folder / "known_hosts"
        known.write_text("".join(f"{self.address} {key}\n" for key in self.host_keys))
        options = (
            "BatchMode=yes", "ConnectTimeout=5", "LogLevel=ERROR", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes",
            f"UserKnownHostsFile={known}",
            "ConnectionAttempts=5",  # an sshd that reads its settings again listens to nobody for a moment
        )  # fmt: skip
        words = ["ssh", "-F", "none", "-i", str(self.key_path), *(f"-o{option}" for option in options)]
        return [*words, f"{user}@{self.address}", remote]

    def replay(self, scenario: str) -> None:
        """Deploy scenarios/SCENARIO.sh on the host. It ends once everything that it started answers."""
        there = self.root / SCENARIOS_THERE.lstrip("/")
        shutil.copytree(HERE / "scenarios", there, dirs_exist_ok=True)
        self.run(["sh", f"{SCENARIOS_THERE}/{scenario}.sh"], timeout=600)

    def discard(self) -> None:
        """Power off and remove every trace. Works on what a killed run left half-made, too."""
        self.power_off()
        subprocess.run(["umount", "--lazy", str(self.root)], capture_output=True, check=False)
        if os.path.ismount(self.root):
            raise LabError(f"{self.root} is still mounted; unmount it before its folder can go")
        shutil.rmtree(self.folder, ignore_errors=True)
        machine.give_number_back(self.number)
        machine.drop_unused_bridge()

    def attach_disk(self) -> None:
        if not os.path.ismount(self.root):
            layers = f"lowerdir={self._template},upperdir={self.folder}/upper,workdir={self.folder}/work"
            call("mount", "-t", "overlay", "overlay", "-o", layers, self.root)


class Lab:
    """The lab as one user of it sees it: makes hosts, finds them again, and takes away what it made.

    `owner` is the process whose end makes a host a leftover; None keeps hosts until somebody discards them.
    `prefix` keeps the names of test runs apart that go on at the same time.
    """

    def __init__(self, owner: Process | None = None, prefix: str = "") -> None:
        self.folder = Path(os.environ.get("ASKFIRST_LAB_DIR", "/var/tmp/askfirst-lab"))
        self._owner = owner
        self.prefix = prefix
        self.key_path = self.folder / "key"

    def build(self) -> Path:
        """Build the template where there is none yet (some minutes), and return its folder."""
        if os.geteuid():
            raise LabError("the lab needs root: it mounts file systems and makes a bridge")
        template = Path(call(HERE / "build.sh").strip())
        with machine.locked(self.folder / "lock"):
            if not self.key_path.exists():
                call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", self.key_path)
        return template

    def host(self, name: str, cgroup: str = "hybrid") -> LabHost:
        """Make a new host, switched off. `cgroup` is v1, v2 or hybrid."""
        template = self.build()
        folder = self._folder_of(name)
        with machine.locked(self.folder / "lock"):
            if (folder / LAST_FACT).exists():
                raise LabError(f"there is a host {folder.name} already: choose another name, or end it first")
            shutil.rmtree(folder, ignore_errors=True)  # of somebody who was killed half-way
            folder.mkdir(parents=True)
            if self._owner:
                self._owner.save(folder / "owner")
            for layer in ("upper", "work", "root"):
                (folder / layer).mkdir()
            number = str(machine.take_number(folder))
            for fact, text in (("number", number), ("hostname", name), ("template", template), (LAST_FACT, cgroup)):
                (folder / fact).write_text(str(text))
        host = LabHost(folder, template, self.key_path)
        host.attach_disk()
        _give_identity(host)
        return host

    @contextmanager
    def lend(self, name: str, *scenarios: str) -> Iterator[LabHost]:
        """A new host, booted, with these scenarios on it; gone again at the end of the block."""
        host = self.host(name)
        try:
            host.boot()
            for scenario in scenarios:
                host.replay(scenario)
            yield host
        finally:
            host.discard()

    def find(self, name: str) -> LabHost:
        return self._open(self._folder_of(name))

    def names(self) -> list[str]:
        folders = (self.folder / "hosts").glob(f"{self.prefix}*")
        return sorted(folder.name.removeprefix(self.prefix) for folder in folders if (folder / LAST_FACT).exists())

    def clear_leftovers(self) -> None:
        """Discard the hosts of runs that were killed."""
        with machine.locked(self.folder / "lock"):
            for folder in (self.folder / "hosts").glob("*"):
                if (folder / "owner").exists() and Process.load(folder / "owner") is None:
                    if (folder / LAST_FACT).exists():
                        self._open(folder).discard()
                    else:
                        shutil.rmtree(folder, ignore_errors=True)

    def _folder_of(self, name: str) -> Path:
        return self.folder / "hosts" / f"{self.prefix}{name}"

    def _open(self, folder: Path) -> LabHost:
        try:
            return LabHost(folder, Path((folder / "template").read_text()), self.key_path)
        except FileNotFoundError:
            raise LabError(f"there is no host {folder.name}; `hosts.py list` shows those that are") from None


def _give_identity(host: LabHost) -> None:
    etc = host.root / "etc"
    (etc / "hostname").write_text(f"{host.name}\n")
    (etc / "hosts").write_text(f"127.0.0.1 localhost {host.name}\n")
    (etc / "machine-id").write_text(f"{uuid.uuid4().hex}\n")
    (etc / "systemd/network/80-container-host0.network").write_text(
        f"[Match]\nName=host0\n[Network]\nAddress={host.address}/24\nLinkLocalAddressing=no\n"
    )
    call("ssh-keygen", "-A", "-f", host.root)
    keys = host.root / "root/.ssh"
    keys.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(host.key_path.with_suffix(".pub"), keys / "authorized_keys")


def _name_of(process: Process) -> str:
    try:
        return Path(f"/proc/{process.pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return ""


def describe(host: LabHost) -> str:
    lines = [f"host     {host.name} ({'up' if host.is_up else 'off'})", f"address  {host.address}",
             f"key      {host.key_path}", *(f"host key {key}" for key in host.host_keys)]  # fmt: skip
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="hosts.py", description="Real hosts on this machine, for tests.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="boot a host, made new where there is none")
    up.add_argument("name")
    up.add_argument("--scenario", help="a file of scenarios/, without .sh")
    up.add_argument("--cgroup", choices=("hybrid", "v1", "v2"), default="hybrid")
    commands.add_parser("down", help="power off and forget").add_argument("name")
    sh = commands.add_parser("sh", help="run a command as root")
    sh.add_argument("name")
    sh.add_argument("words", nargs="+")
    commands.add_parser("list", help="all hosts that there are")
    wish = parser.parse_args(argv)
    lab = Lab(prefix=os.environ.get("ASKFIRST_LAB_PREFIX", ""))
    if wish.command == "list":
        print("\n\n".join(describe(lab.find(name)) for name in lab.names()))
    elif wish.command == "down":
        lab.find(wish.name).discard()
    elif wish.command == "sh":
        # One word may be a whole script, as with ssh itself.
        result = lab.find(wish.name).run(wish.words if len(wish.words) > 1 else wish.words[0], check=False)
        sys.stdout.write(result.out)
        sys.stderr.write(result.err)
        return result.status
    else:
        host = lab.find(wish.name) if wish.name in lab.names() else lab.host(wish.name, wish.cgroup)
        host.boot()
        if wish.scenario:
            host.replay(wish.scenario)
        print(describe(host))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LabError as error:
        sys.exit(f"hosts.py: {error}")
