"""Who gets in: a live token with the right scope, in the header and nowhere else; and what no token can do."""

import re
from typing import Any

import pytest
from fastapi.routing import APIRoute

from app.core.credential import Credential, fingerprint
from app.core.lifecycle import State
from app.core.policy import Kind
from app.flow.ids import new_id
from app.shapes.problem import Problem
from app.store import credentials, people, requests, tokens
from app.store import history as log
from tests.fakes.signers import Signer
from tests.integration.api.conftest import Api

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# What a token may leave in the log by asking and looking.
HARMLESS = {"asked", "cancelled", "verdict_changed"}


async def types_in_the_log(api: Api) -> list[str]:
    return [entry.type for entry in (await log.page(api.world.db, log.Filter(), limit=200)).rows]


def paths(api: Api) -> list[str]:
    documented = list(api.app.openapi()["paths"])
    pages = ["/requests/{request_id}/approve", "/requests/{request_id}/deny", "/requests/{request_id}/done"]
    pages += ["/requests/{request_id}/signed"]
    pages += ["/registry", "/people", "/freeze", "/audit", "/settings", "/changes/{request_id}/confirm"]
    guesses = [
        f"/api/v1/requests/{{request_id}}/{verb}" for verb in ("approve", "deny", "approvals", "decision", "insist")
    ]
    guesses += ["/api/v1/approvals", "/api/v1/registry", "/api/v1/policies", "/api/v1/people", "/api/v1/freezes"]
    return documented + pages + guesses


@pytest.mark.law(8)
@pytest.mark.threat("B3")
@pytest.mark.threat("I1")
async def test_no_token_approves_denies_or_edits_on_any_address_by_any_method(api: Api) -> None:
    waiting = await api.seed.waiting()
    before = await types_in_the_log(api)
    body: dict[str, Any] = {"digest": waiting.digest, "service": "tftp", "reason": "because", "answer": "yes"}
    async with await api.caller("bo") as bo:
        before = [*await types_in_the_log(api)]
        for path in paths(api):
            address = path.replace("{request_id}", waiting.id).replace("{name}", "pypnm-gui")
            if address.endswith("/events"):
                continue  # it ends with the request, which is the point of a waiting one
            for method in METHODS:
                for given in ({"json": body}, {"data": body}):
                    await bo.request(method, address, **given)  # type: ignore[arg-type]  # httpx takes either
    new = (await types_in_the_log(api))[: -len(before)]
    assert set(new) <= HARMLESS
    after = await requests.load(api.world.db, waiting.id)
    assert (after.state, after.approvals) == (State.WAITING, ())


@pytest.mark.law(8)
@pytest.mark.threat("B3")
@pytest.mark.threat("I1")
async def test_a_token_spoils_even_a_good_signature_beside_it(api: Api) -> None:
    waiting, now = await api.seed.waiting(), api.world.clock.now()
    bo, key = api.seed.accounts["bo"].person, Signer()
    mine = Credential(fingerprint(key.public_key), bo.id, Kind.SECURITY_KEY, "blue", key.public_key, 0, now)
    await credentials.enrol(api.world.db, mine, by=bo.id, event_id=new_id(now))
    await credentials.confirm(api.world.db, mine.id, by="p", at=now, usable_at=now, event_id=new_id(now))
    assert waiting.warrant
    body = {"signature": key.sign(await requests.text(api.world.db, waiting.warrant) or "")}
    address = f"/requests/{waiting.id}/signed"
    for spoilt in ({"authorization": "Bearer x"}, {"cookie": "askfirst=x"}):
        async with api.anybody(spoilt) as anybody:
            answer = await anybody.post(address, json=body)
            assert (answer.status_code, answer.json()["code"]) == (403, "token")
            assert Problem.model_validate(answer.json()).title == "Forbidden"
    async with await api.caller("bo") as caller, api.anybody() as nobody:
        assert (await caller.post(address, json=body)).status_code == 403
        assert (await nobody.post(f"{address}?token=x", json=body)).status_code == 403
        assert (await requests.load(api.world.db, waiting.id)).approvals == ()
        for odd in ({**body, "state": "approved"}, {}, {"signature": 1}, [body], "x"):
            answer = await nobody.post(address, json=odd)
            assert (answer.status_code, answer.json()["code"]) == (422, "unknown_field")
        assert (await nobody.post(address, data=body)).status_code == 422
        assert (await requests.load(api.world.db, waiting.id)).approvals == ()
        answer = await nobody.post(address, json=body)
    assert (answer.status_code, answer.json()["approvals"]) == (200, 1)


@pytest.mark.law(8)
def test_no_documented_address_speaks_of_approving_or_denying(api: Api) -> None:
    routes = [route.path for route in api.app.routes if isinstance(route, APIRoute)]
    spoken = [*api.app.openapi()["paths"], *routes]
    assert [path for path in spoken if path.startswith("/api") and re.search("approv|den(y|i)|decid", path)] == []


async def test_without_a_token_there_is_a_way_shown_to_get_one(api: Api) -> None:
    async with api.anybody() as nobody:
        answer = await nobody.get("/api/v1/services")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["code"] == "no_token"


@pytest.mark.threat("I2")
@pytest.mark.threat("A10")
async def test_a_token_in_the_address_is_refused_even_beside_a_good_one(api: Api) -> None:
    secret = await api.token("ada", "read")
    async with await api.caller("ada") as ada:
        for name in ("token", "access_token", "Access_Token", "api_key", "q"):
            answer = await ada.get("/api/v1/requests", params={name: secret})
            assert (answer.status_code, answer.json()["code"]) == (400, "token_in_address")


async def test_a_session_cookie_opens_no_door_of_the_api(api: Api) -> None:
    async with api.anybody({"Cookie": "askfirst=whatever"}) as browser:
        assert (await browser.get("/api/v1/services")).status_code == 401


async def test_a_token_does_what_it_is_scoped_to_and_no_more(api: Api) -> None:
    question = {"service": "pypnm-gui", "reason": "because"}
    async with await api.caller("ada", "read") as reader, await api.caller("ada", "ask") as asker:
        assert (await reader.get("/api/v1/services")).status_code == 200
        assert (await reader.post("/api/v1/requests", json=question)).json()["code"] == "scope"
        assert (await asker.post("/api/v1/requests", json=question)).status_code == 201
        assert (await asker.get("/api/v1/services")).json()["code"] == "scope"


async def test_a_revoked_token_and_a_disabled_owner_are_out_at_once(api: Api) -> None:
    ada, fay = api.seed.accounts["ada"].person, api.seed.accounts["fay"].person
    async with await api.caller("ada") as client, await api.caller("fay") as other:
        assert (await client.get("/api/v1/hosts")).status_code == 200
        (token,) = await tokens.of_person(api.world.db, ada.id)
        await tokens.revoke(api.world.db, token.id, by=ada.id, at=1.0, event_id="e1")
        assert (await client.get("/api/v1/hosts")).json()["code"] == "bad_token"
        await people.set_rights(
            api.world.db, fay.id, roles=fay.roles, groups=(), is_enabled=False, by=ada.id, at=2.0, event_id="e2"
        )
        assert (await other.get("/api/v1/hosts")).json()["code"] == "bad_token"


async def test_the_audit_log_is_for_auditors(api: Api) -> None:
    async with await api.caller("ada") as ada, await api.caller("odo") as odo:
        for path in ("/api/v1/audit", "/api/v1/audit/export"):
            assert (await ada.get(path)).json()["code"] == "role"
            assert (await odo.get(path)).status_code == 200


@pytest.mark.threat("L6")
async def test_no_page_for_developers_is_served(api: Api) -> None:
    assert not api.app.debug
    async with api.anybody() as anybody:
        for path in (
            "/docs",
            "/redoc",
            "/docs/oauth2-redirect",
            "/debug",
            "/console",
            "/static/../settings.py",
            "/.env",
        ):
            answer = await anybody.get(path)
            assert answer.status_code in {303, 404}, path
            assert "swagger" not in answer.text.lower()
