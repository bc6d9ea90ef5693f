"""The lab is what the other lab tests believe it to be."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import machine
from tests.lab.conftest import NewHost
from tests.lab.hosts import Lab, LabHost
from tests.lab.machine import LabError, Process
from tests.lab.truth import CODE, HELD, NEW_TFTP, OLD_TFTP, Held
from tests.lab.world import changes, world

# The manager's process is not the holder's parent everywhere, so who holds a port is asked of the kernel alone.
HOLDERS = """
for pid in $(ss -Hltnp "sport = :$PORT" | grep -o 'pid=[0-9]*' | cut -d= -f2 | sort -un); do
  echo "$(stat -c %U /proc/$pid) $(readlink /proc/$pid/cwd) $(cat /proc/$pid/comm)"
done
"""


def holders(host: LabHost, port: int) -> set[tuple[str, str, str]]:
    out = host.run(f"PORT={port}\n{HOLDERS}").out
    return {(user, cwd, name) for user, cwd, name in (line.split(" ", 2) for line in out.splitlines())}


def boot_id(host: LabHost) -> str:
    return host.run(["cat", "/proc/sys/kernel/random/boot_id"]).out.strip()


@pytest.mark.parametrize("held", [held for held in HELD if held.answers], ids=lambda held: str(held.port))
def test_every_port_of_the_incident_answers(alpha: LabHost, held: Held) -> None:
    ask = f"curl -s -o /dev/null -m 5 -w '%{{http_code}}' http://127.0.0.1:{held.port}/health"
    assert alpha.run(ask).out == str(held.answers)


@pytest.mark.parametrize("held", HELD, ids=lambda held: str(held.port))
def test_every_port_is_held_by_whom_the_table_names(alpha: LabHost, held: Held) -> None:
    found = holders(alpha, held.port)
    assert {user for user, _, _ in found} == {held.user}
    if held.path and held.manager != "compose":  # its holder is Docker's proxy, whose folder says nothing
        assert {cwd for _, cwd, _ in found} == {held.path}
    if held.port == 5059:
        assert {name for _, _, name in found} == {"systemd"}
        assert alpha.run(["systemctl", "show", "-P", "MainPID", "lazy.service"]).out.strip() == "0"


def test_each_manager_of_the_incident_names_its_service(alpha: LabHost) -> None:
    asked = {
        "supervisor": "supervisorctl status lab:pypnm-gui",
        "systemd": "systemctl is-active gui-5054.service guitpl@5061.service gui-5066.service lazy.socket",
        "systemd-user": "systemctl --user -M rbron@ is-active gui.service",
        "pm2": "su - node -c 'pm2 pid gui-pm2'",
        "runit": "sv status /etc/service/gui",
        "s6": "s6-svstat -o up /srv/s6/gui | grep true",
        "tmux": "su - rbron -c 'tmux has-session -t gui'",
        "screen": "su - rbron -c 'screen -ls gui'",
        "compose": "docker compose -p pypnm-gui-lab ps -q pypnm-api | grep .",
        "docker": "docker inspect plain hostnet",
        "podman": "podman inspect pod",
        "script": "test -x /usr/local/sbin/restart-gui",
        "none": "true",
    }
    assert asked.keys() == {held.manager for held in HELD}
    failed = {
        manager: result for manager, command in asked.items() if (result := alpha.run(command, check=False)).status
    }
    assert failed == {}


def test_the_reported_unit_and_path_do_not_exist(alpha: LabHost) -> None:
    load_state = alpha.run(["systemctl", "show", "-P", "LoadState", "pypnm-gui-backend.service"]).out.strip()
    assert load_state == "not-found"
    assert not (alpha.root / "opt/pypnm/PyPNM").exists()


def test_the_fix_is_pulled_and_every_process_is_older_than_it(alpha: LabHost) -> None:
    log = alpha.run(["su", "-", "rbron", "-c", f"git -C {CODE} log --format=%ct"]).out.split()
    assert len(log) == 2
    assert json.loads((alpha.root / CODE.lstrip("/") / "constellation.json").read_text()) == {"tftp": NEW_TFTP}
    started = alpha.run('date -d "$(systemctl show -P ExecMainStartTimestamp gui-5054.service)" +%s').out
    assert int(log[1]) < int(log[0])
    assert int(started) < int(log[0])
    for held in HELD:
        if held.path == CODE and held.manager != "compose" and held.answers == 200:
            answer = alpha.run(["curl", "-s", f"http://127.0.0.1:{held.port}/api/constellation"]).out
            assert json.loads(answer)["tftp"]["server"] == OLD_TFTP


def test_names_and_command_lines_are_as_hostile_as_the_scenario_says(alpha: LabHost) -> None:
    names = alpha.run("for stat in /proc/[0-9]*/stat; do cat $stat; done 2>/dev/null").out
    assert "(sup) S 1 1\nend ) " in names
    assert alpha.run(["pgrep", "-x", "-u", "node", "supervisord"]).out.strip()
    argv = alpha.run("cat /proc/$(ss -Hltnp 'sport = :5063' | grep -o 'pid=[0-9]*' | cut -d= -f2)/cmdline").out
    assert {"<img src=x onerror=alert(1)>", "\033[2J\033[1;1Happroved\n\u202eevil", "--password=hunter2"} < set(
        argv.split("\0")
    )


def test_askfirsts_account_may_run_one_thing_as_root_and_blind_none(alpha: LabHost) -> None:
    assert alpha.run(["sudo", "-n", "sh", "-s"], user="askfirst", stdin="id -u\n").out == "0\n"
    for user, command in (
        ("askfirst", ["sudo", "-n", "sh", "-s", "x"]),
        ("askfirst", ["sudo", "-n", "sh", "-c", "id"]),
        ("askfirst", ["sudo", "-n", "-u", "rbron", "sh", "-s"]),
        ("blind", ["sudo", "-n", "sh", "-s"]),
    ):
        assert alpha.run(command, user=user, stdin="id\n", check=False).status == 1


def test_two_hosts_share_no_boot_id_machine_id_host_key_or_unit(alpha: LabHost, new_host: NewHost) -> None:
    beta = new_host("beta")
    machines_own = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert len({boot_id(alpha), boot_id(beta), machines_own}) == 3
    assert not set(alpha.host_keys) & set(beta.host_keys)
    assert alpha.run(["cat", "/etc/machine-id"]).out != beta.run(["cat", "/etc/machine-id"]).out
    groups = beta.run("find /sys/fs/cgroup -type d").out
    assert "gui-5054" not in groups
    assert str(alpha.number) not in {line.rpartition("aflab-")[2] for line in groups.splitlines()}


def test_a_reboot_changes_the_boot_id_and_keeps_the_rest(new_host: NewHost) -> None:
    host = new_host("reboot", "systemd")
    before, keys, code = boot_id(host), host.host_keys, host.run(["ls", "-l", CODE]).out
    host.reboot()
    assert boot_id(host) != before
    assert host.host_keys == keys
    assert host.run(["ls", "-l", CODE]).out == code
    assert holders(host, 5054)
    assert not holders(host, 5060)  # a person had started it, and is not there


@pytest.mark.parametrize("cgroup", ["v1", "v2"])
def test_a_host_can_have_either_kind_of_control_groups(new_host: NewHost, cgroup: str) -> None:
    host = new_host(f"cgroup-{cgroup}", "compose", cgroup)
    lines = host.run(["cat", "/proc/self/cgroup"]).out.splitlines()
    assert any(line.startswith("0::/user.slice") for line in lines) == (cgroup == "v2")
    assert any(":name=systemd:/user.slice" in line for line in lines) == (cgroup == "v1")


def test_a_cut_host_is_silent_until_it_is_mended(new_host: NewHost) -> None:
    host = new_host("cut")
    host.cut()
    assert host.run(["true"], check=False).status == 255
    host.mend()
    assert host.run(["true"]).status == 0


def test_a_hang_up_ends_every_connection_and_the_host_stays(new_host: NewHost) -> None:
    host = new_host("hang-up")
    with subprocess.Popen(host.ssh_argv("root", "echo here; sleep 600"), stdout=subprocess.PIPE) as ssh:
        try:
            assert ssh.stdout is not None
            assert ssh.stdout.readline() == b"here\n"
            assert host.hang_up() == 1
            assert ssh.wait(timeout=60) == 255
        finally:
            ssh.kill()
    assert host.run(["true"]).status == 0


def test_looking_at_a_host_changes_nothing_there(alpha: LabHost) -> None:
    before = world(alpha)
    alpha.run(["sudo", "-n", "sh", "-s"], user="askfirst", stdin="ls /proc >/dev/null\n")
    assert changes(before, world(alpha)) == []
    assert {"/etc/passwd", f"{CODE}/app.py", "/home/node/.pm2/pm2.pid"} <= before.files.keys()
    assert {"gui-5054.service", "supervisor.service", "lazy.socket"} <= before.units.keys()
    assert sum("gunicorn" in about for about in before.processes.values()) > 20


@pytest.mark.parametrize(
    ("act", "seen"),
    [
        ("touch -d @0 /opt/pypnm-gui-lab/app.py", "files: /opt/pypnm-gui-lab/app.py was"),
        # Whoever puts the old time back after an edit still leaves a change time behind.
        (
            'f=/srv/pretend.py; t=$(stat -c %y $f); tr a b <$f >/tmp/f; cat /tmp/f >$f; touch -d "$t" $f',
            "files: /srv/pretend.py was",
        ),
        ("chmod 600 /etc/supervisor/conf.d/gui.conf", "files: /etc/supervisor/conf.d/gui.conf was"),
        ("touch /var/lib/left-behind", "files: /var/lib/left-behind is new"),
        ("rm /srv/serve.py", "files: /srv/serve.py is gone"),
        ("setsid sleep 600 >/dev/null 2>&1 </dev/null &", "'sleep' of 0"),
        ("kill $(pgrep -u node -x supervisord)", "'supervisord' of"),
        ("systemctl restart guitpl@5061.service", "units: guitpl@5061.service was"),
        ("systemctl start guitpl@7777.service", "units: guitpl@7777.service is new"),
        ("supervisorctl restart lab:pypnm-gui", "'gunicorn' of"),
    ],
    ids=lambda text: text.split()[0],
)
def test_a_look_sees_what_changed(scratch: LabHost, act: str, seen: str) -> None:
    before = world(scratch)
    scratch.run(act)
    assert any(seen in line for line in changes(before, world(scratch)))


@pytest.fixture(scope="module")
def scratch(lab: Lab) -> Iterator[LabHost]:
    """A host for tests that leave marks."""
    with lab.lend("scratch", "systemd", "supervisor", "hostile") as host:
        yield host


def test_a_name_is_taken_once(lab: Lab, alpha: LabHost) -> None:
    with pytest.raises(LabError, match="alpha already"):
        lab.host(alpha.name)


def test_a_discarded_host_leaves_nothing_on_this_machine(lab: Lab) -> None:
    host = lab.host("gone")
    host.boot()
    lab.find("gone").discard()
    assert not host.folder.exists()
    assert str(host.root) not in Path("/proc/mounts").read_text()
    assert not Path(f"/sys/class/net/vb-af-{host.number}").exists()
    assert [group for group in machine.cgroups_of(host.number) if group.exists()] == []
    assert machine.processes_in(host.number) == []


def test_the_hosts_of_a_killed_run_go_when_the_next_one_starts(lab: Lab) -> None:
    makes_one_and_dies = (
        "import os\n"
        "from tests.lab.hosts import Lab\n"
        "from tests.lab.machine import Process\n"
        f"host = Lab(owner=Process.of(os.getpid()), prefix='killed-{lab.prefix}').host('orphan')\n"
        "host.boot()\n"
        "print((host.folder / 'nspawn').read_text(), flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    root = Path(__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-c", makes_one_and_dies], cwd=root, stdout=subprocess.PIPE, text=True, check=False
    )
    assert run.returncode == -9
    first = Process(*map(int, run.stdout.split()))
    lab.clear_leftovers()
    assert Lab(prefix=f"killed-{lab.prefix}").names() == []
    assert not first.lives()
