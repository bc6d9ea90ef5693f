"""The caps of an installed gate: however many warrants a taken server writes, and whatever the clock is set to."""

import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.level import Level
from app.core.service import Service
from app.core.warrant import Warrant
from app.gate import build
from tests.unit.gate.conftest import warrants
from tests.unit.gate.enforced import Installed, allow, describe
from tests.unit.gate.hosted import ROOT_ONLY, kinds, said
from tests.unit.gate.test_run import script, with_config
from tests.unit.gate.test_spool import BOOT

pytestmark = [ROOT_ONLY, pytest.mark.threat("D23")]
Make = Callable[[int], Warrant]
Ran = Callable[[], int]
ANOTHER_BOOT = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def host(shared: Installed) -> Installed:
    """The host with an empty spool."""
    shared.do("rm -rf /var/lib/askfirst")
    describe(shared)
    return shared


@pytest.fixture(scope="module")
def first(shared: Installed, supervised: Service, tmp_path_factory: pytest.TempPathFactory) -> Warrant:
    """A warrant for a command that only notes that it ran, so that the service stays what it is."""
    folder = tmp_path_factory.mktemp("command")
    command = with_config(supervised, script(folder, f"echo ran >>{folder}/ran"))
    return warrants(shared, supervised)(*command, host_key=shared.host_key)


@pytest.fixture
def ran(first: Warrant) -> Ran:
    """Say how often it ran in this test."""
    noted = Path(first.argv[0]).with_name("ran")
    noted.unlink(missing_ok=True)
    return lambda: len(noted.read_text().splitlines()) if noted.exists() else 0


@pytest.fixture
def make(host: Installed, first: Warrant) -> Make:
    """Allow the command with this cooldown, and give a warrant for it that was never used."""

    def another(cooldown: int) -> Warrant:
        allow(host, first, cooldown)
        return replace(first, id=new_id())

    return another


def new_id() -> str:
    return "01JF3W6V9Q" + secrets.token_hex(8).upper()


def at_once(host: Installed, many: list[Warrant]) -> list[str]:
    """Send all of them at the same moment; return what each was answered first."""
    nonce = "0" * 32
    started = [host.begin("restart", "demo") for _ in many]
    for process, one in zip(started, many, strict=True):
        assert process.stdin is not None
        process.stdin.write(build.restart_input(nonce, one.text(), level=Level.ENFORCED))
        process.stdin.close()
        process.stdin = None
    return [kinds(said(process.communicate()[0], nonce, "restart"))[0] for process in started]


def past(host: Installed, boot: str, at: int, uptime: int, service: str = "demo") -> None:
    """An entry of the spool: that service was restarted then."""
    host.do("mkdir -p -m 700 /var/lib/askfirst/runs")
    text = f"state started\nboot {boot}\nrunner 1 1\nservice {service}\nat {at}\nuptime {uptime}\n"
    host.write(f"/var/lib/askfirst/runs/{new_id()}", text, 0o600)


def uptime() -> int:
    return int(float(Path("/proc/uptime").read_text().split()[0]))


def test_a_service_is_not_restarted_again_within_its_cooldown(host: Installed, make: Make, ran: Ran) -> None:
    assert host.decide(make(300))[0].kind == "started"
    host.said()
    second = make(300)
    record, status = host.decide(second)
    assert status == 77
    assert record.get("why").startswith("a cap: the service ran ")
    assert "s ago, and this host allows it every 300 s" in host.said()[-1]
    assert second.id not in {path.name for path in host.runs.iterdir()}, "it is unspent"
    assert host.decide(make(0))[0].kind == "started"
    assert ran() == 2


def test_of_many_at_once_one_runs_within_a_cooldown(host: Installed, make: Make, ran: Ran) -> None:
    answers = at_once(host, [make(300) for _ in range(6)])
    assert sorted(answers) == [*["refused"] * 5, "started"]
    assert ran() == 1


def test_of_many_at_once_no_more_run_than_the_host_allows_in_an_hour(host: Installed, make: Make, ran: Ran) -> None:
    describe(host, per_hour=3)
    answers = at_once(host, [make(0) for _ in range(6)])
    assert sorted(answers) == [*["refused"] * 3, *["started"] * 3]
    assert ran() == 3
    assert host.decide(make(0))[0].get("why") == "a cap: this host had 3 runs within an hour, and allows 3"


def test_what_is_burned_or_refused_counts_for_nothing(host: Installed, make: Make) -> None:
    describe(host, per_hour=1)
    host.raw("burn", f"id {new_id()}")
    assert host.decide(replace(make(0), host="there"))[0].kind == "refused"
    assert host.decide(make(300))[0].kind == "started"


def test_setting_the_clock_makes_no_run_older(host: Installed, make: Make) -> None:
    """Of this boot: by the clock it was yesterday, or will be tomorrow; by the kernel it was a minute ago."""
    for at in (1_000_000_000, 4_000_000_000):
        host.do("rm -rf /var/lib/askfirst")
        past(host, BOOT, at, uptime() - 60)
        record, status = host.decide(make(3000))
        assert (status, "the service ran 6" in record.get("why")) == (77, True)


def test_a_run_before_the_boot_is_as_old_as_the_clock_says_and_never_younger_than_the_boot(
    host: Installed, make: Make
) -> None:
    past(host, ANOTHER_BOOT, 4_000_000_000, 5)
    assert f"the service ran {str(uptime())[:-2]}" in host.decide(make(999_999))[0].get("why")
    host.do("rm -rf /var/lib/askfirst")
    past(host, ANOTHER_BOOT, 1_000_000_000, 5)
    assert host.decide(make(999_999))[0].kind == "started"


def test_another_services_run_is_no_reason_to_wait(host: Installed, make: Make) -> None:
    past(host, BOOT, 1, uptime() - 1, service="other")
    assert host.decide(make(300))[0].kind == "started"


def test_nothing_runs_where_the_lock_cannot_be_had(host: Installed, make: Make, ran: Ran) -> None:
    host.do("mkdir -p /var/lib/askfirst/lock")
    record, status = host.decide(make(0))
    assert (record.kind, status) == ("refused", 69)
    assert ran() == 0


def test_a_run_that_goes_on_keeps_no_other_waiting(
    host: Installed, first: Warrant, make: Make, ran: Ran, tmp_path: Path
) -> None:
    """The lock is let go before the command begins: it may take an hour, or never end."""
    go = tmp_path / "go"
    waits = script(tmp_path, f"while [ ! -e {go} ]; do sleep 0.05; done")
    long = replace(first, id=new_id(), argv=(waits, *first.argv[1:]))
    allow(host, long)
    process = host.begin("restart", "demo")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(build.restart_input("0" * 32, long.text(), level=Level.ENFORCED))
    process.stdin.close()
    try:
        assert process.stdout.readline().startswith(b"askfirst-gate ")
        assert process.stdout.readline().startswith(b"started ")
        assert host.decide(make(0))[0].kind == "started"
        assert ran() == 1
    finally:
        go.touch()
        process.stdout.read()
        process.stdout.close()
        process.wait()
