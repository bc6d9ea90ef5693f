"""Approving, denying, cancelling: one digest, one decision, and a fresh page whatever was clicked."""

from collections.abc import Callable
from typing import Any

import pytest

from app.core import events as happened
from app.core.lifecycle import State
from app.core.policy import Role
from app.core.verdict import Answer
from app.flow import freeze
from app.flow import people as flow
from app.flow.ports import World
from app.store import requests
from tests.integration.web.conftest import Clock
from tests.integration.web.seed import PASSWORD, Seed

Make = Callable[..., Any]


async def state_of(world: World, request_id: str) -> State:
    return (await requests.load(world.db, request_id)).state


async def test_a_yes_to_the_digest_on_the_page_approves(browser: Make, world: World, seed: Seed) -> None:
    waiting = await seed.waiting()
    await seed.prove("pypnm-gui")
    bo = await browser("bo")
    answer = await bo.post(f"/requests/{waiting.id}/approve", {"digest": waiting.digest})
    assert answer.status_code == 303
    page = await bo.get(answer.headers["location"])
    assert "Bo Approver approved (1 of 1)" in page.text
    assert await state_of(world, waiting.id) is State.APPROVED


@pytest.mark.parametrize("digest", ["", "0" * 64, "upper", "other"])
@pytest.mark.threat("B4")
async def test_a_yes_to_anything_else_changes_nothing(browser: Make, world: World, seed: Seed, digest: str) -> None:
    waiting = await seed.waiting()
    other = await seed.verify(await seed.ask(service="tftp"))
    await seed.prove("pypnm-gui")
    sent = {"upper": waiting.digest.upper(), "other": other.digest}.get(digest, digest)
    bo = await browser("bo")
    answer = await bo.post(f"/requests/{waiting.id}/approve", {"digest": sent})
    assert answer.status_code == 409
    assert "another warrant" in answer.text
    assert await state_of(world, waiting.id) is State.WAITING


@pytest.mark.threat("B4")
async def test_a_yes_without_a_digest_is_refused(browser: Make, world: World, seed: Seed) -> None:
    waiting = await seed.waiting()
    bo = await browser("bo")
    assert (await bo.post(f"/requests/{waiting.id}/approve", {})).status_code == 422
    assert await state_of(world, waiting.id) is State.WAITING


@pytest.mark.law(7)
@pytest.mark.threat("B1")
@pytest.mark.parametrize("as_admin", [False, True])
async def test_nobody_approves_their_own(browser: Make, world: World, seed: Seed, as_admin: bool) -> None:
    waiting = await seed.waiting(who="bo")
    if as_admin:
        rae = seed.accounts["root"].person
        await flow.set_rights(world, rae, seed.accounts["bo"].person.id, list(Role), ["lab-team"], is_enabled=True)
    bo = await browser("bo")
    page = await bo.get(f"/requests/{waiting.id}")
    assert "You asked for this restart yourself." in page.text
    assert "Cy Approver can." in page.text
    assert ">Approve</button>" not in page.text
    assert ">Deny</button>" not in page.text
    answer = await bo.post(f"/requests/{waiting.id}/approve", {"digest": waiting.digest})
    assert answer.status_code == 403
    assert await state_of(world, waiting.id) is State.WAITING


@pytest.mark.parametrize("who", ["ada", "ed", "odo", "root"])
async def test_who_may_not_approve_reads_why_and_who_could(browser: Make, world: World, seed: Seed, who: str) -> None:
    waiting = await seed.waiting()
    someone = await browser(who)
    page = (await someone.get(f"/requests/{waiting.id}")).text
    assert ">Approve</button>" not in page
    assert 'aria-describedby="why-not"' in page
    assert "Bo Approver, Cy Approver can." in page
    answer = await someone.post(f"/requests/{waiting.id}/approve", {"digest": waiting.digest})
    assert answer.status_code == 403
    assert await state_of(world, waiting.id) is State.WAITING


@pytest.mark.threat("A3")
async def test_an_old_session_is_asked_for_the_password_on_the_same_page(
    browser: Make, world: World, seed: Seed, clock: Clock
) -> None:
    waiting = await seed.waiting()
    bo = await browser("bo")
    clock.time += 301
    await seed.prove("pypnm-gui", ago=1)
    path = f"/requests/{waiting.id}/approve"
    page = (await bo.get(f"/requests/{waiting.id}")).text
    assert 'id="password"' in page
    first = await bo.post(path, {"digest": waiting.digest})
    assert first.status_code == 403
    assert "You signed in too long ago to approve." in first.text
    assert 'id="password"' in first.text
    wrong = await bo.post(path, {"digest": waiting.digest, "password": "not it at all"})
    assert wrong.status_code == 403
    assert "The password is wrong." in wrong.text
    assert "not it at all" not in wrong.text
    assert await state_of(world, waiting.id) is State.WAITING
    done = await bo.post(path, {"digest": waiting.digest, "password": PASSWORD})
    assert done.status_code == 303
    assert await state_of(world, waiting.id) is State.APPROVED
    assert 'id="password"' not in (await bo.get(f"/requests/{waiting.id}")).text


async def test_a_second_click_of_the_same_person_is_one_yes(browser: Make, world: World, seed: Seed) -> None:
    waiting = await seed.verify(await seed.ask(), approvers=2)
    await seed.prove("pypnm-gui")
    bo = await browser("bo")
    path, form = f"/requests/{waiting.id}/approve", {"digest": waiting.digest}
    await bo.post(path, form)
    again = await bo.post(path, form)
    assert again.status_code == 200
    assert "Already approved by Bo Approver at" in again.text
    assert len((await requests.load(world.db, waiting.id)).approvals) == 1


async def test_a_click_on_what_somebody_else_decided_shows_who_and_when(
    browser: Make, world: World, seed: Seed
) -> None:
    waiting = await seed.waiting()
    await seed.prove("pypnm-gui")
    bo, cy = await browser("bo"), await browser("cy")
    await bo.post(f"/requests/{waiting.id}/approve", {"digest": waiting.digest})
    late = await cy.post(f"/requests/{waiting.id}/deny", {"digest": waiting.digest, "reason": "not now"})
    assert late.status_code == 409
    assert "Already approved by Bo Approver at" in late.text
    assert "Your click changed nothing." in late.text
    assert await state_of(world, waiting.id) is State.APPROVED


async def in_state(seed: Seed, state: str) -> Any:
    """Make a request that is in a state."""
    asked = await seed.ask()
    if state == "open":
        return asked
    if state == "blocked":
        return await seed.block(asked)
    waiting = await seed.verify(asked)
    ends = {
        "cancelled": lambda: seed.then(waiting, happened.Cancelled(**seed.stamp("ada"))),
        "expired": lambda: seed.then(waiting, happened.Expired(**seed.stamp())),
        "stale": lambda: seed.then(waiting, happened.WentStale(**seed.stamp(), why="It changed.", evidence_text="")),
        "denied": lambda: seed.then(waiting, happened.Denied(**seed.stamp("cy"), reason_text="sha256:none")),
    }
    if state in ends:
        return await ends[state]()
    approved = await seed.approve(waiting, "cy")
    if state == "approved":
        return approved
    running = await seed.run(approved)
    if state == "running":
        return running
    if state in {"unknown", "given_up"}:
        lost = await seed.then(running, happened.RunLost(**seed.stamp(), why="The line was cut."))
        given_up = happened.GivenUp(**seed.stamp("bo"), reason_text="sha256:none")
        return lost if state == "unknown" else await seed.then(lost, given_up)
    if state == "not_run":
        return await seed.then(running, happened.RunRefused(**seed.stamp(), why="sudo refused."))
    ended = await seed.end(running)
    return ended if state == "settling" else await seed.settle(ended, is_success=state == "succeeded")


@pytest.mark.parametrize("action", ["approve", "deny", "cancel"])
@pytest.mark.parametrize("state", [str(state) for state in State if state is not State.WAITING])
@pytest.mark.threat("B6")
async def test_what_does_not_wait_takes_no_decision(
    browser: Make, world: World, seed: Seed, state: str, action: str
) -> None:
    request = await in_state(seed, state)
    assert request.state == state
    if action == "cancel" and state in {"open", "approved"}:
        return
    someone = await browser("ada" if action == "cancel" else "bo")
    form = {"approve": {"digest": request.digest}, "deny": {"digest": request.digest, "reason": "no"}, "cancel": {}}
    answer = await someone.post(f"/requests/{request.id}/{action}", form[action])
    # Where there is no warrant yet there is no group either, and so nobody who may deny.
    is_nobodys = action == "deny" and state in {"open", "blocked"}
    assert answer.status_code == (403 if is_nobodys else 409)
    assert 'id="notice"' in answer.text
    assert (await requests.load(world.db, request.id)).version == request.version


async def test_a_no_needs_a_reason_and_what_was_typed_is_kept(browser: Make, world: World, seed: Seed) -> None:
    waiting = await seed.waiting()
    bo = await browser("bo")
    path = f"/requests/{waiting.id}/deny"
    empty = await bo.post(path, {"digest": waiting.digest, "reason": "  "})
    assert empty.status_code == 422
    assert 'id="reason-wrong"' in empty.text
    long = "Not now. " + "x" * 5000
    answer = await bo.post(path, {"digest": waiting.digest, "reason": long})
    assert answer.status_code == 422
    assert long in answer.text
    assert await state_of(world, waiting.id) is State.WAITING
    done = await bo.post(path, {"digest": waiting.digest, "reason": "Not during the field test."})
    assert done.status_code == 303
    ada = await browser("ada")
    page = (await ada.get(f"/requests/{waiting.id}")).text
    assert "Bo Approver denied it" in page
    assert "Not during the field test." in page


async def test_the_requester_cancels_and_others_cannot(browser: Make, world: World, seed: Seed) -> None:
    waiting = await seed.waiting()
    bo, ada = await browser("bo"), await browser("ada")
    assert "Cancel request" not in (await bo.get(f"/requests/{waiting.id}")).text
    assert (await bo.post(f"/requests/{waiting.id}/cancel")).status_code == 403
    assert "Cancel request" in (await ada.get(f"/requests/{waiting.id}")).text
    assert (await ada.post(f"/requests/{waiting.id}/cancel")).status_code == 303
    assert await state_of(world, waiting.id) is State.CANCELLED


async def test_without_a_sign_of_need_the_approver_is_warned_and_the_requester_asked(
    browser: Make, world: World, seed: Seed
) -> None:
    waiting = await seed.waiting(need=Answer.NOT_NEEDED)
    bo, ada = await browser("bo"), await browser("ada")
    warned = (await bo.get(f"/requests/{waiting.id}")).text
    assert "The host shows no sign that a restart is called for." in warned
    assert "Ask Ada Engineer why before you approve." in warned
    assert "Add this reason" not in warned
    assert "Add this reason" in (await ada.get(f"/requests/{waiting.id}")).text
    assert (await bo.post(f"/requests/{waiting.id}/insist", {"reason": "because"})).status_code == 403
    given = await ada.post(
        f"/requests/{waiting.id}/insist", {"reason": "It leaks 2 GB an hour; the graph is in LAB-212."}
    )
    assert given.status_code == 303
    warned = (await bo.get(f"/requests/{waiting.id}")).text
    assert "It leaks 2 GB an hour" in warned
    assert "gave a stronger reason" in warned


async def test_a_freeze_takes_the_buttons_away_and_says_why(browser: Make, world: World, seed: Seed) -> None:
    waiting = await seed.waiting()
    await freeze.freeze(world, seed.accounts["root"].person, "environment:production", "Power work until 16:00.")
    bo = await browser("bo")
    page = (await bo.get(f"/requests/{waiting.id}")).text
    assert ">Approve</button>" not in page
    assert "Power work until 16:00." in page
    inbox = (await bo.get("/")).text
    assert "1 more waits behind a freeze." in inbox
    assert waiting.id not in inbox
    assert (await bo.post(f"/requests/{waiting.id}/approve", {"digest": waiting.digest})).status_code == 403


async def test_a_warrant_whose_time_ran_out_ends_at_the_click(
    browser: Make, world: World, seed: Seed, clock: Clock
) -> None:
    waiting = await seed.waiting(seconds=60)
    bo = await browser("bo")
    clock.time += 61
    answer = await bo.post(f"/requests/{waiting.id}/approve", {"digest": waiting.digest})
    assert answer.status_code == 409
    assert "This request has expired." in answer.text
    assert await state_of(world, waiting.id) is State.EXPIRED


async def test_a_manual_service_is_told_to_be_done_by_hand(browser: Make, world: World, seed: Seed) -> None:
    waiting = await seed.verify(await seed.ask(service="tftp"), by_hand=True)
    bo = await browser("bo")
    page = (await bo.get(f"/requests/{waiting.id}")).text
    assert "Approving runs nothing: a person restarts it by hand" in page
    approved = await seed.approve(waiting)
    handed = await seed.then(approved, happened.HandedOver(**seed.stamp(), digest=approved.digest))
    assert "I have restarted it" in (await bo.get(f"/requests/{handed.id}")).text
    assert (await bo.post(f"/requests/{handed.id}/done")).status_code == 303
    assert await state_of(world, handed.id) is State.SETTLING


async def test_an_admin_gives_up_a_run_that_no_host_tells_of_and_nobody_else_is_offered_it(
    browser: Make, world: World, seed: Seed
) -> None:
    lost = await in_state(seed, "unknown")
    bo, root = await browser("bo"), await browser("root")
    assert "Give up the search" not in (await bo.get(f"/requests/{lost.id}")).text
    assert (await bo.post(f"/requests/{lost.id}/give-up", {"reason": "It burned."})).status_code == 403
    assert "Give up the search" in (await root.get(f"/requests/{lost.id}")).text
    empty = await root.post(f"/requests/{lost.id}/give-up", {"reason": " "})
    assert empty.status_code == 422
    assert 'id="search-wrong"' in empty.text
    assert (await root.post(f"/requests/{lost.id}/give-up", {"reason": "It burned."})).status_code == 303
    page = (await bo.get(f"/requests/{lost.id}")).text
    assert "What it did was never found out" in page
    assert "It burned." in page
    assert await state_of(world, lost.id) is State.GIVEN_UP


async def test_a_reason_that_looks_like_a_proof_is_shown_as_the_words_that_it_is(browser: Make, seed: Seed) -> None:
    waiting = await seed.waiting()
    bo = await browser("bo")
    await bo.post(f"/requests/{waiting.id}/deny", {"digest": waiting.digest, "reason": '{"taken_at": 1}'})
    page = await bo.get(f"/requests/{waiting.id}")
    assert page.status_code == 200
    assert "{&#34;taken_at&#34;: 1}" in page.text
