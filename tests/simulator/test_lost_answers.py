"""What the simulator has found in the store, each as a script of faults of its own."""

import asyncio
from random import Random

import pytest

from app.core.errors import Broken
from app.store import freezes, leases
from tests.simulator.faults import Chances, Fault, Record
from tests.simulator.store import chance_from, database
from tests.simulator.template import START, copied, template
from tests.simulator.world import Planted, Stage


class Scripted(Chances):
    """These faults strike, each at its statement, one after the other; and no others."""

    def __init__(self, chance: Random, record: Record, *script: tuple[Fault, str]) -> None:
        super().__init__(chance, record, is_served=True)
        self.rates.clear()
        self.script = list(script)

    def strikes(self, fault: Fault, who: str, details: str = "") -> bool:
        if not self.script or self.script[0] != (fault, details):
            return False
        self.script.pop(0)
        return True


def staged(*script: tuple[Fault, str]) -> tuple[Stage, Scripted]:
    record = Record()
    stage = Stage(Random(1), record, copied(template(1, 900)), True, Planted())
    stage.server.chances = scripted = Scripted(Random(2), record, *script)
    return stage, scripted


@pytest.mark.law(10)
@pytest.mark.threat("G4")
def test_a_commit_whose_answer_was_lost_is_looked_up_again_whatever_fails_meanwhile() -> None:
    full = Fault.FULL
    stage, scripted = staged(
        (Fault.COMMIT_UNTOLD, ""), (full, "SELECT audit_head"), (Fault.LINE, "BEGIN IMMEDIATE"), (full, "SELECT audit")
    )
    db = database(stage.model, is_served=True)
    with chance_from(Random(3)):
        stage.in_the_world("one", freezes.freeze(db, "all", by="bo", at=START, event_id="f", reason="Why."))
    assert (scripted.script, stage.frozen(), stage.record.broken) == ([], ["all"], [])
    stage.close()


@pytest.mark.law(10)
@pytest.mark.threat("G4")
def test_a_commit_that_was_lost_is_not_found_in_what_another_wrote_in_its_place() -> None:
    stage, scripted = staged((Fault.COMMIT_UNDONE, ""), (Fault.FULL, "SELECT audit_head"))
    db, other = database(stage.model, is_served=True), database(stage.model, is_served=True)

    async def both() -> object:
        lost = asyncio.ensure_future(freezes.freeze(db, "all", by="bo", at=START, event_id="f", reason="Why."))
        while scripted.script:  # noqa: ASYNC110 - a script calls nobody
            await asyncio.sleep(0.05)
        await freezes.freeze(other, "host:alpha", by="cy", at=START, event_id="g", reason="Why.")
        return (await asyncio.gather(lost, return_exceptions=True))[0]

    with chance_from(Random(3)):
        told = stage.in_the_world("one", both())
    assert isinstance(told, Broken)
    assert stage.model.raw.execute("SELECT scope FROM freezes").fetchall() == [("host:alpha",)]
    stage.close()


def test_a_line_that_breaks_on_the_fast_path_is_told_in_our_words() -> None:
    stage, scripted = staged((Fault.LINE, "SELECT leases"))
    db = database(stage.model, is_served=True)
    with pytest.raises(Broken) as broken:
        stage.in_the_world("one", leases.held(db, START))
    assert (broken.value.code, scripted.script) == ("store_away", [])
    stage.close()
