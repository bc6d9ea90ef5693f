"""The kit as its administrator reads it: the texts lie in kit/, and are reviewed as a difference.

ASKFIRST_WRITE_OUTPUT=1 pytest tests/output      writes them anew

The gate and the door are left out there, and so is, but for one host, the half that is the same for every host.
"""

import pytest

from app.gate.kit import script
from app.gate.kit_files import tree
from tests.output.test_the_incident_in_words import compare
from tests.unit.gate.kits import EVERY

SAME = "# What follows is the same for every host."
PROGRAMS = "# The two programs that stay on the host"


@pytest.mark.parametrize("name", EVERY)
def test_the_script_is_what_was_reviewed(name: str) -> None:
    text = script(EVERY[name])
    own, shared = text.index(SAME), text.index(PROGRAMS)
    assert text.count(SAME) == 1
    assert text.count(PROGRAMS) == 1
    compare(f"kit/{name}.txt", text[: shared if name == "enforced" else own])


@pytest.mark.parametrize("name", EVERY)
def test_the_tasks_for_ansible_are_what_was_reviewed(name: str) -> None:
    made = {each.path: each.text for each in tree(EVERY[name])}
    compare(f"kit/{name}-tasks.txt", f"{made['manifest']}\n{made['tasks.yml']}")
