"""The deployment document after a proof on a host, and what a look around keeps and answers."""

from dataclasses import replace

import pytest

from app.core.registry import difference, with_entry
from app.flow import discover, docs
from app.flow.ids import new_id
from app.shapes.discovery import discovery
from app.store import proofs, services
from tests.integration.flow.conftest import Stage


async def test_the_document_gives_the_command_that_was_proved_and_the_next_proof_changes_no_byte_but_its_date(
    stage: Stage,
) -> None:
    never = await docs.write(stage.world, "alpha")
    assert "- Last proof: never\n" in never.text
    await discover.discover(stage.world, "alpha", keep=True)
    proved = await docs.write(stage.world, "alpha")
    assert "- Last proof: VERIFIED, " in proved.text
    assert "Restart, as `root`:\n\n```sh\nsupervisorctl restart lab:pypnm-gui\n```\n" in proved.text
    assert (await docs.write(stage.world, "alpha")).text == proved.text
    stage.clock.advance(600)
    stage.alpha.replace("lab:pypnm-gui")
    await discover.discover(stage.world, "alpha", keep=True)
    later = await docs.write(stage.world, "alpha")
    assert later.text != proved.text
    assert docs.compare(later, proved.text, "copy").is_true, "a new process of the same claim makes no copy untrue"


async def test_a_claim_that_is_not_proved_any_more_makes_the_copy_untrue_and_gives_no_command(stage: Stage) -> None:
    await discover.discover(stage.world, "alpha", keep=True)
    copy = (await docs.write(stage.world, "alpha")).text
    pid = stage.alpha.programs["lab:pypnm-gui"].pid
    assert pid
    stage.alpha.kill(pid)
    stage.clock.advance(60)
    await discover.discover(stage.world, "alpha", keep=True)
    now = await docs.write(stage.world, "alpha")
    made = docs.compare(now, copy, "copy")
    assert made.is_true is False
    assert "-supervisorctl restart lab:pypnm-gui" in made.difference.splitlines()
    assert "+- Last proof: DOWN" in made.difference
    assert "no command is given, since what it would do is not proved (DOWN)" in now.text


async def test_another_host_of_the_registry_is_not_in_the_document(stage: Stage) -> None:
    current = await services.registry(stage.db)
    service = current.service("pypnm-gui")
    assert service
    other = replace(stage.alpha.host, name="beta")
    wanted = with_entry(current, "host", "beta", other)
    wanted = with_entry(wanted, "service", "elsewhere", replace(service, name="elsewhere", host="beta"))
    at = stage.world.clock.now()
    before = (await docs.write(stage.world, "alpha")).text
    await services.apply(
        stage.db, difference(current, wanted), by="x", at=at, event_id=new_id(at), base_revision=current.revision
    )
    assert (await docs.write(stage.world, "alpha")).text == before


async def test_a_look_around_keeps_the_proofs_and_programs_are_told_all_that_runs(stage: Stage) -> None:
    stage.alpha.by_hand(5051)
    await discover.discover(stage.world, "alpha")
    assert await proofs.proofs(stage.db) == {}
    found = await discover.discover(stage.world, "alpha", keep=True)
    kept = await proofs.proofs(stage.db)
    assert kept["pypnm-gui"].verdict == "VERIFIED"
    told = discovery(found)
    things = {thing.unit or thing.manager: thing for thing in told.running}
    assert [(each.service, each.verdict) for each in things["lab:pypnm-gui"].claims] == [("pypnm-gui", "VERIFIED")]
    assert things["lab:pypnm-gui"].standing == "registered"
    assert things["none"].standing == "unregistered"
    assert things["none"].suggestion
    assert (things["none"].suggestion.manager, things["none"].suggestion.ports) == ("manual", [5051])
    assert {each.port: each.service for each in told.listeners} == {5050: "pypnm-gui", 5051: None}
    assert (told.level, told.registered_level) == ("open", "open")


@pytest.mark.law(13)
@pytest.mark.parametrize("started_at", [1e300, float("inf"), float("nan")])
async def test_a_time_that_is_none_keeps_nobody_from_hearing_what_runs(stage: Stage, started_at: float) -> None:
    found = await discover.discover(stage.world, "alpha")
    thing = next(each for each in found.running if each.unit == "lab:pypnm-gui")
    assert thing.main
    thing = replace(thing, main=replace(thing.main, started_at=started_at), evidence="\x1b[2J")
    facts = replace(found.facts, level="\x1b[2J")
    told = discovery(replace(found, facts=facts, running=(thing,)))
    assert told.running[0].since is None
    assert told.level == told.running[0].evidence == "‹ESC›[2J"
