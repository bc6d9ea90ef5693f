"""The incident's own host: for each of its ports right and wrong claims, and the verdict that each has to get.

All claims of one account are judged from one probe, between two looks at the whole host that must not differ.
"""

import asyncio
import tempfile
from dataclasses import dataclass

import pytest

from app.core.registry import Registry, problems
from app.core.service import Host, Service
from app.core.verdict import Answer, Code
from app.flow.ports import Limits, News, World
from app.flow.prove import Look, look_at
from app.main import SystemClock
from app.managers import MANAGERS
from app.ssh.gate import SshHosts
from app.store.engine import open_database
from tests.lab.claims import OK, ROWS, Row
from tests.lab.flow_world import GUI, claim, pinned
from tests.lab.hosts import Lab, LabHost
from tests.lab.truth import CODE, HELD
from tests.lab.world import World as Seen
from tests.lab.world import changes, world


@dataclass(frozen=True)
class Outcome:
    """What one probe by each account came to, and the whole host before the first and after the last."""

    looks: dict[str, Look]
    blind: list[Look]
    before: Seen
    after: Seen


def looked(host: Host, key: LabHost, claims: list[Service]) -> list[Look]:
    """Probe once, and judge all of these claims."""

    async def probe() -> list[Look]:
        hosts = SshHosts(key.key_path, answer_seconds=20)
        with tempfile.TemporaryDirectory() as folder:
            db = await open_database(f"sqlite:///{folder}/data/askfirst.db")
            one = World(db, hosts, SystemClock(), News(), Limits(), "one")
            try:
                return await look_at(one, Registry((host,), tuple(claims), ()), claims)
            finally:
                await hosts.close()
                await db.close()

    return asyncio.run(probe())


@pytest.fixture(scope="module")
def outcome(alpha: LabHost) -> Outcome:
    before = world(alpha)
    looks = looked(pinned(alpha), alpha, [row.service for row in ROWS])
    blind = looked(pinned(alpha, user="blind", sudo=False), alpha, [row.service for row in ROWS])
    return Outcome({look.service.name: look for look in looks}, blind, before, world(alpha))


def test_the_table_has_for_each_port_a_right_claim_and_three_wrong_ones() -> None:
    # A manager that is only recognised, a unit that root must not run and a service that never ran: their right claim
    # is the one that names them, and its verdict says what stands in the way.
    best = {5059: Code.DOWN, 5066: Code.UNSAFE}
    for held in HELD:
        about = [row for row in ROWS if row.port == held.port]
        right = [row for row in about if row.expected is best.get(held.port, OK)]
        assert right, held
        assert len(about) - len(right) >= 3, held


@pytest.mark.law(1)
@pytest.mark.threat("A1")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.port} {row.name}")
def test_each_claim_gets_its_documented_verdict(outcome: Outcome, row: Row) -> None:
    verdict = outcome.looks[row.service.name].verdict
    assert verdict.code is row.expected, [(each.aspect, each.observed, each.code) for each in verdict.findings]
    assert verdict.next_step


def test_the_table_is_shown(outcome: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print("\n\n port  verdict         need        claim")
        for row in ROWS:
            look = outcome.looks[row.service.name]
            print(f" {row.port}  {look.verdict.code:<15} {look.need.answer:<11} {row.name}")
        blind = sum(look.verdict.code is Code.BLIND for look in outcome.blind)
        print(f"\n {len(ROWS)} claims, one probe as askfirst; one as blind, who may not look: {blind} times BLIND")
    assert len({look.at for look in outcome.looks.values()}) == 1  # one probe


@pytest.mark.law(2)
def test_no_probe_has_changed_anything_on_the_host(outcome: Outcome) -> None:
    assert changes(outcome.before, outcome.after) == []


@pytest.mark.law(1)
def test_an_account_that_cannot_see_proves_nothing_right_and_nothing_wrong(outcome: Outcome) -> None:
    held = {each.port for each in HELD}
    about_held = [look for look in outcome.blind if held & set(look.service.ports)]
    assert len(about_held) > 150
    assert [look.service for look in about_held if look.verdict.code is not Code.BLIND] == []
    assert not any(look.verdict.is_verified for look in outcome.blind)
    steps = {look.verdict.next_step for look in outcome.blind if look.service.manager == "supervisor"}
    assert any("sudo" in step for step in steps), steps


def test_the_need_names_the_pulled_fix_where_the_code_runs_on_the_host(alpha: LabHost, outcome: Outcome) -> None:
    commit = alpha.run(["su", "rbron", "-c", f"git -C {CODE} rev-parse HEAD"]).out[:12]
    right = {row.port: outcome.looks[row.service.name] for row in ROWS if row.expected is OK and row.port < 5062}
    for port in (5050, 5051, 5053, 5054, 5055, 5060, 5061):
        need = right[port].need
        assert need.answer is Answer.NEEDED, port
        assert any(sign.kind == "code" and commit in sign.text for sign in need.signs), need.signs


def test_a_manager_that_does_not_run_is_not_one_that_knows_no_such_name(outcome: Outcome) -> None:
    """Asking it would start it: so nobody asks, and the answer says what a person can do."""
    rows = [row for row in ROWS if row.expected is Code.BLIND]
    assert {row.service.manager for row in rows} == {"systemd-user", "podman"}
    for row in rows:
        verdict = outcome.looks[row.service.name].verdict
        told = " ".join(each.observed for each in verdict.findings)
        assert "has no systemd running" in told or "has not run since the host is up" in told, row.name
        assert "enable-linger" in verdict.next_step or "podman ps" in verdict.next_step, row.name


@pytest.mark.parametrize(
    ("port", "words"),
    [(5051, "in tmux"), (5053, "No manager runs"), (5058, "in GNU screen"), (5062, "by a job of cron")],
)
def test_what_no_manager_runs_says_whose_it_is_since_when_and_from_which_command(
    outcome: Outcome, port: int, words: str
) -> None:
    claims = [row.service.name for row in ROWS if row.port == port and row.service.manager == "supervisor"]
    (manager,) = (each for each in outcome.looks[claims[0]].verdict.findings if each.aspect == "manager")
    told = manager.observed + manager.next_step
    for each in (words, "of rbron", "since 20", f"-b 127.0.0.1:{port}", "Ask rbron", "`manager: manual`"):
        assert each in told, told


@pytest.mark.law(13)
@pytest.mark.threat("E1")
@pytest.mark.threat("E3")
@pytest.mark.threat("E5")
def test_nothing_that_is_said_of_a_hostile_process_is_raw(outcome: Outcome) -> None:
    for row in ROWS:
        verdict = outcome.looks[row.service.name].verdict
        said = "".join(f"{each.observed}{each.next_step}" for each in verdict.findings) + verdict.next_step
        assert all(char.isprintable() for char in said), row.name
        assert "hunter2" not in said, row.name
    hostile = outcome.looks[next(row.service.name for row in ROWS if row.port == 5063 and row.expected is OK)]
    assert "‹U+202E›" in " ".join(each.observed for each in hostile.verdict.findings)


@pytest.mark.parametrize(
    ("manager", "unit"),
    [
        ("tmux", "gui"),
        ("screen", "gui"),
        ("none", "orphan"),
        ("kubernetes", "gui"),
        ("systemd", "lazy.socket"),
        ("systemd", "guitpl@.service"),
    ],
)
def test_the_registry_refuses_what_can_never_be_restarted(alpha: LabHost, manager: str, unit: str) -> None:
    found = problems(Registry((pinned(alpha),), (claim("gui", manager, unit, 5051),)), MANAGERS)
    assert {(kind, name) for kind, name, _ in found} == {("service", "gui")}


@pytest.mark.threat("D3")
def test_another_host_key_is_not_a_host_that_could_be_asked(alpha: LabHost, lab: Lab) -> None:
    other = lab.host("dark")
    try:
        forged = pinned(alpha, host_keys=pinned(other).host_keys)
        assert looked(forged, alpha, [GUI])[0].verdict.code is Code.HOST_KEY_CHANGED
        # Never switched on: nothing answers at its address.
        assert looked(pinned(other), alpha, [GUI])[0].verdict.code is Code.UNREACHABLE
    finally:
        other.discard()
