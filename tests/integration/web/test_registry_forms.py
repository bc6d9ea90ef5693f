"""The registry as forms: the rules of the file, input kept, a second editor, and host keys that a person compares."""

import html
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncssh
import pytest

from app.core.policy import Role
from app.core.registry import Registry, difference, with_entry
from app.core.service import Host
from app.flow import people
from app.flow.ids import new_id
from app.flow.ports import World
from app.store import services
from tests.integration.web.seed import REGISTRY, Seed

Make = Callable[..., Any]
SERVICE = {
    "name": "web",
    "host": "alpha",
    "owner": "lab-team",
    "manager": "supervisor",
    "unit": "lab:web",
    "args": "",
    "user": "rbron",
    "path": "/opt/web",
    "ports": "8080, 8081",
    "config": "",
    "settle": "5s",
    "docs": "Ask first.",
    "check.0.kind": "http",
    "check.0.target": "http://127.0.0.1:8080/health",
    "check.0.field": "",
    "check.0.expected": "200",
}


async def revision(world: World) -> str:
    return str((await services.registry(world.db)).revision)


async def alone(world: World, seed: Seed) -> None:
    """Leave one editor only."""
    await people.set_rights(
        world, seed.accounts["root"].person, seed.accounts["fay"].person.id, [Role.AUDITOR], [], is_enabled=True
    )


async def test_the_only_editor_adds_a_service_and_it_applies_at_once(browser: Make, world: World, seed: Seed) -> None:
    await alone(world, seed)
    ed = await browser("ed")
    answer = await ed.post("/registry/services/new", {**SERVICE, "revision": await revision(world)})
    assert answer.headers["location"] == "/services/web?said=saved"
    added = (await services.registry(world.db)).service("web")
    assert added
    assert added.ports == (8080, 8081)
    assert [check.label for check in added.checks] == ["http http://127.0.0.1:8080/health is 200"]
    assert "lab:web" in (await ed.get("/services/web")).text


async def test_a_script_has_arguments_which_the_form_shows_again(browser: Make, world: World, seed: Seed) -> None:
    await alone(world, seed)
    ed = await browser("ed")
    script = {"manager": "script", "unit": "/usr/local/sbin/restart-web", "args": "8080  --now"}
    answer = await ed.post("/registry/services/new", {**SERVICE, **script, "revision": await revision(world)})
    assert answer.headers["location"] == "/services/web?said=saved"
    added = (await services.registry(world.db)).service("web")
    assert added
    assert added.args == ("8080", "--now")
    assert "8080 --now" in (await ed.get("/services/web")).text
    assert 'value="8080 --now"' in (await ed.get("/registry/services/web")).text


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("name", "Web Server", "1 to 40 of a-z"),
        ("name", "pypnm-gui", "of this name already"),
        ("host", "gamma", "no host &#39;gamma&#39;"),
        ("manager", "tmux", "recognised, never driven"),
        ("unit", "web; reboot", "letters, digits"),
        ("unit", "$(reboot)", "letters, digits"),
        ("args", "5070 $(reboot)", "one word of letters"),
        ("args", "5070", "leave the arguments out"),
        ("user", "Root Root", "user name"),
        ("path", "/opt/../etc", "absolute path"),
        ("path", "opt/web", "absolute path"),
        ("ports", "80a", "no whole number"),
        ("ports", "0", "1 to 65535"),
        ("ports", "5050", "already claimed by pypnm-gui"),
        ("settle", "soon", "a duration such as"),
        ("check.0.target", "file:///etc/passwd", "plain http://"),
        ("check.0.expected", "99", "status"),
        ("check.0.kind", "", "choose what kind"),
        ("owner", " ", "answers for it"),
    ],
)
@pytest.mark.threat("D1")
async def test_a_form_knows_the_rules_of_the_file_and_keeps_what_was_typed(  # noqa: PLR0917 - three are the case
    browser: Make, world: World, seed: Seed, field: str, value: str, sentence: str
) -> None:
    ed = await browser("ed")
    answer = await ed.post("/registry/services/new", {**SERVICE, field: value, "revision": await revision(world)})
    assert answer.status_code == 422
    where = re.search(rf'id="{re.escape(field)}-wrong">.*?</p>', answer.text, re.DOTALL)
    assert where, re.findall(r'id="[^"]*-wrong"', answer.text)
    assert sentence in where[0]
    tied = re.search(
        rf'id="{re.escape(field)}"[^>]*aria-invalid="true"[^>]*aria-describedby="[^"]*-wrong"', answer.text
    )
    assert tied
    assert f'href="#{field}"' in answer.text  # the summary leads to it
    for other, typed in SERVICE.items():
        if other not in {field, "check.0.kind", "host", "manager", "docs"} and typed:
            assert f'value="{html.escape(typed)}"' in answer.text, other
    assert (await services.registry(world.db)).service("web") is None


@pytest.mark.threat("K1")
async def test_a_second_editor_confirms_and_the_first_cannot(browser: Make, world: World, seed: Seed) -> None:
    ed, fay, ada = await browser("ed"), await browser("fay"), await browser("ada")
    form = {**SERVICE, "revision": await revision(world)}
    sent = await ed.post("/registry/services/new", form)
    page = sent.headers["location"]
    assert page.startswith("/changes/")
    assert (await services.registry(world.db)).service("web") is None
    own = (await ed.get(page)).text
    assert "another editor confirms it" in own
    assert ">Confirm</button>" not in own
    assert (await ed.post(f"{page}/confirm")).status_code == 403
    assert (await ada.get(page)).status_code == 403
    assert (await ada.post(f"{page}/confirm")).status_code == 403
    assert "lab:web" in (await fay.get(page)).text
    assert (await fay.post(f"{page}/confirm")).status_code == 303
    assert (await services.registry(world.db)).service("web") is not None
    assert "Applied" in (await fay.get(page)).text
    assert (await fay.post(f"{page}/confirm")).status_code == 409


async def test_a_change_can_be_withdrawn(browser: Make, world: World, seed: Seed) -> None:
    ed, fay = await browser("ed"), await browser("fay")
    page = (await ed.post("/registry/services/tftp/remove")).headers["location"]
    assert "Remove service" in (await fay.get(page)).text
    assert page in (await fay.get("/registry")).text
    assert (await fay.post(f"{page}/withdraw")).status_code == 303
    assert (await services.registry(world.db)).service("tftp") is not None
    assert (await fay.post(f"{page}/confirm")).status_code == 409


async def test_a_form_that_was_open_while_the_registry_changed_is_not_saved_blindly(
    browser: Make, world: World, seed: Seed
) -> None:
    ed = await browser("ed")
    before = await revision(world)
    current = await services.registry(world.db)
    changes = difference(current, with_entry(current, "service", "tftp", None))
    at = world.clock.now()
    await services.apply(world.db, changes, by="operator", at=at, event_id=new_id(at), base_revision=current.revision)
    answer = await ed.post("/registry/services/new", {**SERVICE, "revision": before})
    assert answer.status_code == 409
    assert "Somebody changed the registry since you opened this form." in answer.text
    assert 'value="lab:web"' in answer.text
    assert f'name="revision" value="{await revision(world)}"' in answer.text


@pytest.mark.parametrize(("kinds", "name"), [("services", "pypnm-gui"), ("hosts", "alpha"), ("policies", "production")])
async def test_a_form_saved_as_it_was_opened_changes_nothing(
    browser: Make, world: World, seed: Seed, kinds: str, name: str
) -> None:
    ed = await browser("ed")
    page = (await ed.get(f"/registry/{kinds}/{name}")).text
    form = page.split('<form class="card"')[1].split("</form>")[0]
    fields = dict(re.findall(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"', form))
    fields = {key: value for key, value in fields.items() if f'name="{key}" value="yes"' not in form}
    fields |= dict.fromkeys(re.findall(r'name="([^"]+)" value="yes" checked', form), "yes")
    fields |= dict(re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>\n(.*?)</textarea>', form, re.DOTALL))
    for select, options in re.findall(r'<select[^>]*name="([^"]+)".*?>(.*?)</select>', form, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', options)
        fields[select] = chosen[1] if chosen else ""
    answer = await ed.post(f"/registry/{kinds}/{name}", {key: html.unescape(value) for key, value in fields.items()})
    assert answer.status_code == 303, re.findall(r"-wrong.*", answer.text)
    assert answer.headers["location"].endswith("said=unchanged")
    assert with_entry(await services.registry(world.db), "host", "none", None).services == REGISTRY.services


async def test_a_host_with_services_is_not_removed(browser: Make, world: World, seed: Seed) -> None:
    ed = await browser("ed")
    answer = await ed.post("/registry/hosts/alpha/remove")
    assert answer.status_code == 422
    assert "there is no host" in html.unescape(answer.text)


async def test_a_policy_that_names_nobody_is_refused(browser: Make, world: World, seed: Seed) -> None:
    ed = await browser("ed")
    form = {
        "subject": "service",
        "of": "pypnm-gui",
        "approvers": "1",
        "groups": "",
        "assurance": "click",
        "expires": "15m",
        "revision": await revision(world),
    }
    answer = await ed.post("/registry/policies/new", form)
    assert answer.status_code == 422
    assert 'id="groups-wrong"' in answer.text


@pytest.fixture
async def shown() -> AsyncIterator[tuple[int, str]]:
    """A host that shows a key: its port, and the key."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    server = await asyncssh.listen("127.0.0.1", 0, server_host_keys=[key])
    yield server.get_port(), " ".join(key.export_public_key().decode().split()[:2])
    server.close()
    await server.wait_closed()


@pytest.mark.threat("K4")
async def test_a_key_is_pinned_only_after_a_person_ticked_it_and_a_second_confirmed(
    browser: Make, world: World, seed: Seed, shown: tuple[int, str]
) -> None:
    port, key = shown
    await place(world, port)
    ed, fay = await browser("ed"), await browser("fay")
    page = (await ed.post("/registry/hosts/near/keys/fetch")).text
    assert "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub" in page
    assert "SHA256:" in page
    assert "(ED25519)" in page
    nothing = await ed.post("/registry/hosts/near/keys", {"key.0": key})
    assert nothing.status_code == 422
    assert "Nothing was pinned." in nothing.text
    sent = await ed.post("/registry/hosts/near/keys", {"key.0": key, "pin.0": "yes"})
    change = sent.headers["location"]
    assert change.startswith("/changes/")
    pinned = (await services.registry(world.db)).host("near")
    assert pinned
    assert pinned.host_keys == ()
    await fay.post(f"{change}/confirm")
    pinned = (await services.registry(world.db)).host("near")
    assert pinned
    assert pinned.host_keys == (key,)


async def test_another_key_than_the_pinned_one_is_said_loudly(
    browser: Make, world: World, seed: Seed, shown: tuple[int, str]
) -> None:
    await place(world, shown[0], REGISTRY.hosts[0].host_keys)
    page = (await (await browser("ed")).post("/registry/hosts/near/keys/fetch")).text
    assert "This is not the key that is pinned." in page


async def test_a_host_that_does_not_answer_is_no_error(browser: Make, world: World, seed: Seed) -> None:
    await place(world, 9)
    answer = await (await browser("ed")).post("/registry/hosts/near/keys/fetch")
    assert answer.status_code == 503
    assert 'role="alert"' in answer.text
    behind = await (await browser("ed")).post("/registry/hosts/beta/keys/fetch")
    assert behind.status_code == 503
    assert "by way of alpha" in behind.text


async def place(world: World, port: int, keys: tuple[str, ...] = ()) -> None:
    """Register a host on loopback."""
    current: Registry = await services.registry(world.db)
    wanted = with_entry(current, "host", "near", Host("near", "127.0.0.1", "staging", keys, port))
    at = world.clock.now()
    await services.apply(
        world.db,
        difference(current, wanted),
        by="operator",
        at=at,
        event_id=new_id(at),
        base_revision=current.revision,
    )
