"""supervisor in full on a real host: groups, programs that run several times, and several supervisords on one host."""

from dataclasses import replace

import pytest

from app.core.service import Service
from app.core.verdict import Code
from app.managers import MANAGERS
from tests.lab.conftest import NewHost
from tests.lab.flow_world import GUI
from tests.lab.test_crowd import codes, probed

OWN = "/home/rbron/supervisor/supervisord.conf"
THEIRS = replace(GUI, name="theirs", ports=(5090,), config=OWN)


def one(unit: str, port: int) -> Service:
    return replace(GUI, name=f"of-{port}", unit=unit, ports=(port,))


@pytest.mark.law(1)
@pytest.mark.law(11)
def test_one_of_several_is_restarted_and_its_namesakes_go_on(new_host: NewHost) -> None:
    host = new_host("supervisors", "supervisors")
    right = [GUI, THEIRS, one("many:web_00", 5070), one("many:web_01", 5071), one("alone:copy_1", 5081)]
    wrong = {
        replace(GUI, name="ours-on-theirs", ports=(5090,)): Code.AMBIGUOUS,
        replace(THEIRS, name="theirs-on-ours", ports=(5050,)): Code.AMBIGUOUS,
        one("many:web_00", 5082): Code.AMBIGUOUS,
        replace(one("many:web", 5070), name="all-of-them"): Code.NO_SUCH_UNIT,
    }
    seen = probed(host, *right, *wrong)
    assert codes(seen, [*right, *wrong]) == [Code.VERIFIED] * len(right) + list(wrong.values())
    for service in (THEIRS, right[2]):
        manager = MANAGERS[service.manager]
        command = manager.restart(service, service.unit, seen)
        host.run(["runuser", "-u", command.user, "--", *command.argv])
        host.run(f"until ss -ltn | grep -q ':{service.ports[0]} '; do sleep 0.1; done")
        now = probed(host, *right)
        assert codes(now, right) == [Code.VERIFIED] * len(right)
        marks = {
            each.name: (manager.mark(seen.identity[each.name]), manager.mark(now.identity[each.name])) for each in right
        }
        assert {name for name, (before, after) in marks.items() if before != after} == {service.name}
        seen = now
