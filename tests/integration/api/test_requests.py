"""Asking, reading, listing and taking back, over HTTP."""

from typing import Any

import pytest

from app.core import events as happened
from app.core.lifecycle import State
from app.core.verdict import Answer
from app.store import listing
from tests.integration.api.conftest import Api

GOOD = {"service": "pypnm-gui", "reason": "The fix is pulled", "ticket": "LAB-212"}


async def test_a_question_is_a_request_of_the_token_s_owner(api: Api) -> None:
    async with await api.caller("ada") as ada:
        answer = await ada.post("/api/v1/requests", json=GOOD)
        asked = answer.json()
        again = (await ada.get(answer.headers["location"])).json()
    assert answer.status_code == 201
    assert asked == again
    assert (asked["state"], asked["requester"], asked["reason"]) == ("open", "Ada Engineer", GOOD["reason"])
    assert asked["url"] == f"http://askfirst.test/requests/{asked['id']}"


@pytest.mark.threat("I9")
async def test_the_same_key_is_the_same_request_and_never_another_question(api: Api) -> None:
    key = {"Idempotency-Key": "k1"}
    async with await api.caller("ada") as ada, await api.caller("ed") as ed:
        first = await ada.post("/api/v1/requests", json=GOOD, headers=key)
        again = await ada.post("/api/v1/requests", json=GOOD, headers=key)
        other = await ada.post("/api/v1/requests", json={**GOOD, "reason": "another"}, headers=key)
        someone = await ed.post("/api/v1/requests", json={**GOOD, "service": "tftp"}, headers=key)
    assert again.json()["id"] == first.json()["id"]
    assert (other.status_code, other.json()["code"]) == (409, "key_reused")
    assert someone.status_code == 201
    assert await listing.count(api.world.db, listing.Filter()) == 2


async def test_a_second_request_for_a_service_points_to_the_first(api: Api) -> None:
    async with await api.caller("ada") as ada, await api.caller("ed") as ed:
        first = (await ada.post("/api/v1/requests", json=GOOD)).json()
        second = await ed.post("/api/v1/requests", json=GOOD)
    assert (second.status_code, second.json()["code"]) == (409, "already_asked")
    assert first["short_id"] in second.json()["next"]


async def test_who_may_not_ask_is_told_who_can_change_that(api: Api) -> None:
    async with await api.caller("odo") as odo:
        answer = await odo.post("/api/v1/requests", json=GOOD)
    assert (answer.status_code, answer.json()["code"]) == (403, "not_requester")


@pytest.mark.law(13)
async def test_what_a_person_wrote_is_shown_harmless(api: Api) -> None:
    async with await api.caller("ada") as ada:
        asked = await ada.post("/api/v1/requests", json={**GOOD, "reason": "a\x1b[2Jb\u202ec\nd"})
    assert asked.json()["reason"] == "a‹ESC›[2Jb‹U+202E›c\nd"


async def test_a_waiting_request_shows_the_proof_and_the_warrant_that_a_person_decides_on(api: Api) -> None:
    waiting = await api.seed.waiting()
    async with await api.caller("odo") as odo:
        shown = (await odo.get(f"/api/v1/requests/{waiting.short_id}")).json()
    assert shown["id"] == waiting.id
    assert shown["verification"]["verdict"] == "VERIFIED"
    assert shown["verification"]["need"]["answer"] == "NEEDED"
    assert shown["warrant"]["digest"] == waiting.digest
    assert "argv supervisorctl\nargv restart\nargv lab:pypnm-gui\n" in shown["warrant"]["text"]
    assert (shown["has_ended"], shown["approvals"]) == (False, [])


async def test_every_state_is_shown_with_what_to_do_next(api: Api) -> None:
    seed, shown = api.seed, {}
    async with await api.caller("odo") as odo:

        async def see(request: Any) -> None:
            one = (await odo.get(f"/api/v1/requests/{request.id}")).json()
            shown[one["state"]] = one

        await see(asked := await seed.ask())
        await see(await seed.block(asked))
        await see(waiting := await seed.waiting())
        await see(approved := await seed.approve(waiting))
        await see(running := await seed.run(approved))
        await see(settling := await seed.end(running))
        await see(await seed.settle(settling))
        failed = await seed.end(await seed.run(await seed.approve(await seed.waiting())), 1)
        await see(await seed.settle(failed, is_success=False))
    assert set(shown) == {"open", "blocked", "waiting", "approved", "running", "settling", "succeeded", "failed"}
    assert all(one["next"] for one in shown.values())
    assert [state for state, one in shown.items() if one["has_ended"]] == ["blocked", "succeeded", "failed"]
    assert shown["succeeded"]["approvals"][0]["name"] == "Bo Approver"
    assert shown["succeeded"]["after"]["verdict"] == "VERIFIED"
    assert shown["failed"]["exit_status"] == 1


async def test_who_asked_takes_it_back_and_nobody_else_does(api: Api) -> None:
    waiting = await api.seed.waiting()
    async with await api.caller("ada") as ada, await api.caller("ed") as ed:
        others = await ed.post(f"/api/v1/requests/{waiting.id}/cancel")
        own = await ada.post(f"/api/v1/requests/{waiting.id}/cancel")
        again = await ada.post(f"/api/v1/requests/{waiting.id}/cancel")
    assert (others.status_code, others.json()["code"]) == (403, "not_requester")
    assert (own.status_code, own.json()["state"]) == (200, "cancelled")
    assert (again.status_code, again.json()["code"]) == (409, "too_late")


async def test_a_list_is_paged_by_key_and_filtered(api: Api) -> None:
    blocked = [await api.seed.block(await api.seed.ask(reason=f"word{number} here")) for number in range(3)]
    waiting = await api.seed.waiting(who="ed", service="pypnm-api")
    async with await api.caller("ed") as ed:

        async def ids(**given: str | int) -> list[str]:
            page = (await ed.get("/api/v1/requests", params=given)).json()
            return [row["id"] for row in page["requests"]]

        first = (await ed.get("/api/v1/requests", params={"limit": 2})).json()
        assert [row["id"] for row in first["requests"]] == [waiting.id, blocked[2].id]
        assert await ids(before=first["before"]) == [blocked[1].id, blocked[0].id]
        assert await ids(state="waiting") == [waiting.id]
        assert await ids(verdict="NO_SUCH_UNIT", limit=1) == [blocked[2].id]
        assert await ids(requester="me") == [waiting.id]
        assert await ids(q="word1") == [blocked[1].id]
        assert await ids(since="2100-01-01T00:00:00Z") == []


@pytest.mark.threat("H7")
@pytest.mark.parametrize(
    "query", ["order_by=id", "state=anything", "limit=0", "limit=9999", "before=x", "since=yesterday"]
)
async def test_a_filter_that_is_none_is_refused(api: Api, query: str) -> None:
    async with await api.caller("ada") as ada:
        answer = await ada.get(f"/api/v1/requests?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


async def test_the_enum_of_states_is_documented_whole(api: Api) -> None:
    states = api.app.openapi()["components"]["schemas"]["State"]["enum"]
    assert states == [str(state) for state in State]


async def test_an_action_and_what_is_said_are_asked_for_and_shown(api: Api) -> None:
    async with await api.caller("ada") as ada:
        asked = (await ada.post("/api/v1/requests", json={**GOOD, "action": "reload", "said": ["committed"]})).json()
        wrong = [
            await ada.post("/api/v1/requests", json={**GOOD, "service": "tftp", **odd})
            for odd in ({"action": "stop"}, {"action": ["reload"]}, {"said": ["approved"]}, {"said": "committed"})
        ]
    assert (asked["action"], asked["said"]) == ("reload", ["committed"])
    assert [answer.status_code for answer in wrong] == [422] * 4
    (first, *_) = asked["checklist"]
    assert (first["name"], first["certainty"]) == ("committed", "said")


async def test_a_proof_offers_what_would_do_instead_and_a_checklist_tells_what_is_certain(api: Api) -> None:
    ended = await api.seed.settle(
        await api.seed.end(await api.seed.run(await api.seed.approve(await api.seed.waiting())))
    )
    async with await api.caller("odo") as odo:
        shown = (await odo.get(f"/api/v1/requests/{ended.id}")).json()
    assert [each["action"] for each in shown["verification"]["offers"]] == ["daemon-reload", "reload"]
    assert [each["certainty"] for each in shown["checklist"]] == ["proved"] * 4
    assert shown["gone"] == ["process 4711 8812345 rbron /opt/pypnm-gui-lab"]
    assert shown["by_hand"] is None


async def test_who_restarts_by_hand_and_until_when_is_told(api: Api) -> None:
    approved = await api.seed.approve(await api.seed.verify(await api.seed.ask(service="tftp"), by_hand=True))
    until = api.world.clock.now() + 600
    handed = happened.HandedOver(**api.seed.stamp(), digest=approved.digest, to=approved.requester, until=until)
    await api.seed.then(approved, handed)
    async with await api.caller("odo") as odo:
        shown = (await odo.get(f"/api/v1/requests/{approved.id}")).json()
    assert shown["by_hand"]["person"] == "Ada Engineer"
    assert shown["checklist"][2]["text"] == "Ada Engineer, by hand. Askfirst runs nothing."


async def test_where_no_sign_of_need_is_seen_a_stronger_reason_is_asked_for_and_taken_from_who_asked(api: Api) -> None:
    calm = await api.seed.waiting(need=Answer.NOT_NEEDED)
    path = f"/api/v1/requests/{calm.short_id}"
    async with await api.caller("ada") as ada, await api.caller("ed") as ed:
        before = (await ada.get(path)).json()
        foreign = await ed.post(f"{path}/insist", json={"reason": "I say so."})
        after = (await ada.post(f"{path}/insist", json={"reason": "It leaks memory."})).json()
        late = await ada.post(
            f"/api/v1/requests/{(await api.seed.block(await api.seed.ask(service='tftp'))).id}/insist",
            json={"reason": "x"},
        )
    assert before["next"].startswith("The host shows no sign of need: give a stronger reason")
    assert (foreign.status_code, foreign.json()["code"]) == (403, "not_requester")
    assert after["stronger_reason"] == "It leaks memory."
    assert after["next"] == "A person has to decide on the page `url`; no token can."
    assert late.status_code == 409
