"""Is a restart called for? Signs are found on the recorded host, and unseen is never 'not needed'."""

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

import pytest

from app.core.facts import Checkout, Facts
from app.core.judge import judge
from app.core.need import assess
from app.core.service import Service
from app.core.verdict import Answer, Need
from app.managers import MANAGERS
from tests.output.incident import claim, facts

FACTS = facts()
GUI, UNIT, API = claim("gui"), claim("gui-5054"), claim("api")


def need(service: Service = GUI, seen: Facts = FACTS, checks: Sequence[tuple[str, bool, str]] = ()) -> Need:
    return assess(service, seen, MANAGERS, checks)


def kinds(found: Need) -> list[str]:
    return [sign.kind for sign in found.signs]


def with_code(service: Service, code: Checkout | None) -> Facts:
    known = {name: each for name, each in FACTS.code.items() if name != service.name}
    return replace(FACTS, code=MappingProxyType({**known, service.name: code} if code else known))


def main_of(service: Service) -> int:
    return judge(service, FACTS, MANAGERS, FACTS.gate).pids[0]


def started(service: Service) -> float:
    return FACTS.processes[main_of(service)].started_at


def test_the_incidents_fix_was_pulled_after_the_process_started() -> None:
    found = need()
    assert found.answer is Answer.NEEDED
    assert kinds(found) == ["code", "file"]
    commit = FACTS.code["gui"].commit or ""
    assert found.signs[0].text.startswith(f"Commit {commit[:12]} (")
    assert f"after process {main_of(GUI)} started" in found.signs[0].text
    assert found.signs[0].at == FACTS.code["gui"].commit_at


def test_code_as_old_as_the_process_is_no_sign() -> None:
    old = Checkout("6ed8c30", started(GUI), "old", "/opt/x", started(GUI))
    found = need(GUI, with_code(GUI, old))
    assert (found.answer, found.signs) == (Answer.NOT_NEEDED, ())
    assert found.looked_for == (
        "code newer than the process",
        "replaced executable or libraries",
        "what supervisor itself says",
    )


def test_the_oldest_of_several_processes_counts() -> None:
    both = replace(claim("gui-5053-by-hand"), ports=(5053, 5060))
    pids = judge(both, FACTS, MANAGERS, FACTS.gate).pids
    older, newer = sorted(FACTS.processes[pid].started_at for pid in pids)
    assert older < newer
    assert kinds(need(both, with_code(both, Checkout("6ed8c30", (older + newer) / 2, "fix")))) == ["code"]
    assert kinds(need(both, with_code(both, Checkout("6ed8c30", older, "fix")))) == []


def test_code_that_could_not_be_looked_at_is_unsure_and_never_not_needed() -> None:
    assert need(GUI, with_code(GUI, None)).answer is Answer.UNSURE


def test_a_service_without_a_path_is_judged_by_what_is_left() -> None:
    found = need(claim("gui-5054-by-name"))
    assert found.answer is Answer.NOT_NEEDED
    assert "code newer than the process" not in found.looked_for


def test_a_container_is_never_blamed_for_code_on_the_host() -> None:
    newer = Checkout("6ed8c30", started(API) + 500, "fix", "/opt/pypnm-gui-lab/x", started(API) + 500)
    found = need(API, with_code(API, newer))
    assert "code newer than the process" not in found.looked_for
    assert not {"file"} & set(kinds(found))
    assert need(API).answer is Answer.NOT_NEEDED


def test_what_a_process_still_runs_though_it_was_replaced_is_a_sign() -> None:
    worker = next(each for each in FACTS.processes.values() if each.ppid == main_of(UNIT))
    replaced = replace(worker, deleted=("/usr/lib/libssl.so.3", "/x\x1b", "/y", "/z"))
    seen = replace(FACTS, processes=MappingProxyType({**FACTS.processes, worker.pid: replaced}))
    found = need(UNIT, replace(seen, code=MappingProxyType({})))
    assert found.answer is Answer.NEEDED
    assert kinds(found) == ["replaced"]
    assert f"Process {worker.pid} still runs /usr/lib/libssl.so.3, /x‹ESC›, /y and 1 more," in found.signs[0].text


def test_a_red_check_is_a_sign_and_a_green_one_is_none() -> None:
    found = need(claim("gui-5054-by-name"), checks=[("health", True, "200"), ("tftp", False, "10.0.0.1")])
    assert [sign.text for sign in found.signs] == ["The check tftp is red: 10.0.0.1."]
    assert found.looked_for[-1] == "red checks"
    assert need(claim("gui-5054-by-name"), checks=[("health", True, "200")]).answer is Answer.NOT_NEEDED


def test_a_manager_adds_its_own_signs() -> None:
    records = tuple(
        replace(record, fields=MappingProxyType({**record.fields, "reload": "yes"}))
        if record.get("id") == UNIT.unit
        else record
        for record in FACTS.own["systemd"]
    )
    changed = replace(FACTS, own=MappingProxyType({**FACTS.own, "systemd": records}), code=MappingProxyType({}))
    assert "daemon-reload" in kinds(need(UNIT, changed))


def test_nothing_running_is_a_sign() -> None:
    assert kinds(need(claim("down"))) == ["down"]


@pytest.mark.parametrize("name", ["report-docker-gui", "in-tmux", "not-told"])
def test_where_nothing_could_be_looked_at_the_answer_is_unsure(name: str) -> None:
    found = need(replace(claim(name), path=None))
    assert (found.answer, found.looked_for) == (Answer.UNSURE, ())


def test_executables_that_could_not_be_seen_were_not_looked_at() -> None:
    main = FACTS.processes[main_of(UNIT)]
    unseen = MappingProxyType({**FACTS.processes, main.pid: replace(main, exe=None)})
    assert "replaced executable or libraries" in need(UNIT).looked_for
    assert "replaced executable or libraries" not in need(UNIT, replace(FACTS, processes=unseen)).looked_for


def test_a_service_restarted_by_hand_has_signs_too_and_no_manager_to_say_anything() -> None:
    found = need(claim("gui-5051-by-hand"))
    assert kinds(found) == ["code", "file"]
    assert found.looked_for == ("code newer than the process", "replaced executable or libraries")
