"""A host's kit, gathered: what a look proved, whose signatures count, and what is told besides."""

from dataclasses import replace

import pytest

from app.core.errors import HostKeyChanged, NotFound, Refused
from app.core.level import Level
from app.core.policy import Kind, Role
from app.core.service import HttpCheck, JsonCheck, TcpCheck
from app.flow import prove
from app.flow.kit import Wish, make, url_place
from app.gate.kit import ETC, SSHD, contents, script
from app.store import people, services
from tests.fakes.signers import Signer
from tests.integration.flow.conftest import CHECK, Stage
from tests.integration.flow.test_signed_yes import HOUR, enrol
from tests.unit.gate.kits import KEY

WISH = Wish(key=KEY, cooldown=60, per_hour=12)
SEALED = replace(WISH, level=Level.SEALED)


async def look(stage: Stage) -> None:
    """Have the host's services looked at, as the sweep does."""
    for seen in await prove.look_all(stage.world, await services.registry(stage.db), "alpha"):
        await prove.remember(stage.world, seen)


async def test_what_the_host_proves_comes_into_its_table_and_the_rest_is_told(stage: Stage) -> None:
    wrong = replace(stage.alpha.claim(), name="wrong", manager="systemd", unit="gui.service", ports=())
    hand = replace(stage.alpha.claim(), name="by-hand", manager="manual", unit="gui", ports=(6060,), path=None)
    stage.alpha.by_hand(6060)
    await stage.register(replace(stage.alpha.claim(), checks=(CHECK,)), wrong, hand, approvers=2)
    made = await make(stage.world, "alpha", WISH)
    (line,) = made.kit.allowed
    assert (line.service, line.unit, line.action, line.user) == ("pypnm-gui", "lab:pypnm-gui", "restart", "root")
    assert line.argv == ("supervisorctl", "restart", "lab:pypnm-gui")
    assert (made.kit.level, made.kit.approvals["pypnm-gui"], made.kit.ports) == (
        Level.ENFORCED,
        2,
        (("127.0.0.1", 5050),),
    )
    left = dict(made.kit.left_out)
    assert sorted(left) == ["by-hand", "wrong"]
    assert left["by-hand"].startswith("A person restarts it by hand")
    assert left["wrong"].startswith("NO_SUCH_UNIT")
    assert [each.partition(" ")[0] for each in made.notes[:2]] == ["by-hand", "wrong"]
    assert made.notes[-1].startswith("Then write level: enforced in the registry's entry of alpha")
    assert made.kit.signers == {}
    script(made.kit)


async def test_a_service_that_no_policy_covers_is_left_out(stage: Stage) -> None:
    stage.alpha.environment = "elsewhere"
    await stage.register(replace(stage.alpha.claim(), checks=(CHECK,)))
    made = await make(stage.world, "alpha", WISH)
    assert made.kit.allowed == ()
    assert "No policy says who may approve" in made.kit.left_out[0][1]


async def test_a_service_whose_run_no_warrant_can_name_is_left_out(stage: Stage) -> None:
    """A directory's user, such as this one, is a word that neither a warrant nor the table can hold."""
    for each in stage.alpha.processes.values():
        each.user = "CORP\\svc"
    await stage.register(replace(stage.alpha.claim(), user=None, checks=(CHECK,)))
    made = await make(stage.world, "alpha", WISH)
    assert made.kit.allowed == ()
    assert made.kit.left_out[0][1].startswith(r"No warrant can name CORP\svc: ")
    script(made.kit)


async def test_a_host_that_was_never_open_gets_a_kit_by_which_it_can_be_looked_at(stage: Stage) -> None:
    """Nobody has to let Askfirst in as root first: look, prove, and install the kit a second time."""
    stage.hosts.down.add("alpha")
    made = await make(stage.world, "alpha", WISH)
    assert made.kit.allowed == ()
    assert any("may look at alpha and restart nothing there" in each for each in made.notes)
    assert "gate probe\n" in script(made.kit)
    stage.hosts.down.clear()
    assert len((await make(stage.world, "alpha", WISH)).kit.allowed) == 1


async def test_a_host_that_cannot_be_looked_at_keeps_what_it_proved_last(stage: Stage) -> None:
    """Such as by a new key of Askfirst's, which the host takes only once this kit is there."""
    await look(stage)
    stage.hosts.down.add("alpha")
    made = await make(stage.world, "alpha", WISH)
    assert [each.argv for each in made.kit.allowed] == [("supervisorctl", "restart", "lab:pypnm-gui")]
    assert any(each.startswith("pypnm-gui is in as it was proved at") for each in made.notes)
    stage.hosts.down.clear()
    stage.alpha.kill(stage.alpha.programs["lab:pypnm-gui"].pid or 0)
    await look(stage)
    stage.hosts.down.add("alpha")
    gone = (await make(stage.world, "alpha", WISH)).kit
    assert gone.allowed == ()
    assert gone.left_out[0][1].startswith("It could not be looked at")


async def test_a_kit_is_made_by_the_look_of_the_older_one_that_it_renews(stage: Stage) -> None:
    stage.alpha.level, stage.alpha.gate = Level.ENFORCED, "0123456789abcdef"
    await stage.register(replace(stage.alpha.claim(), checks=(CHECK,)))
    made = await make(stage.world, "alpha", WISH)
    assert len(made.kit.allowed) == 1
    assert not any("registry" in each for each in made.notes)


async def test_another_host_key_makes_no_kit(stage: Stage) -> None:
    stage.hosts.key_changed.add("alpha")
    with pytest.raises(HostKeyChanged):
        await make(stage.world, "alpha", WISH)
    with pytest.raises(NotFound):
        await make(stage.world, "beta", WISH)


@pytest.mark.law(7)
async def test_a_sealed_host_is_told_every_key_that_counts_with_every_address_of_its_human(stage: Stage) -> None:
    bo, cy, dee = Signer(), Signer(), Signer()
    await stage.add("bo2", human=stage.who["bo"].human, roles=frozenset({Role.REQUESTER}), groups=())
    await stage.add("dee", groups=("others",))
    await enrol(stage, "bo", bo)
    await enrol(stage, "cy", cy, kind=Kind.PLAIN)
    await enrol(stage, "dee", dee)
    made = await make(stage.world, "alpha", SEALED)
    (signer,) = made.kit.signers["pypnm-gui"]
    assert signer.mails == ("bo@example.org", "bo2@example.org")
    assert signer.keys == (bo.public_key,)
    assert not made.kit.plain_keys
    text = {each.path: each.text for each in contents(made.kit)[0]}[f"{ETC}/approvers/pypnm-gui"]
    assert f'bo@example.org,bo2@example.org namespaces="askfirst-warrant" {bo.public_key}\n' in text


async def test_a_key_that_nobody_touches_counts_where_the_policy_says_so(stage: Stage) -> None:
    cy = Signer()
    await enrol(stage, "cy", cy, kind=Kind.PLAIN)
    await stage.register(replace(stage.alpha.claim(), checks=(CHECK,)), plain_keys=True)
    kit = (await make(stage.world, "alpha", SEALED)).kit
    assert kit.plain_keys
    assert [each.mails for each in kit.signers["pypnm-gui"]] == [("cy@example.org",)]


@pytest.mark.threat("A8")
async def test_a_key_that_may_not_approve_yet_is_not_in_the_kit_and_told(stage: Stage) -> None:
    await enrol(stage, "bo", Signer(), after=HOUR)
    made = await make(stage.world, "alpha", SEALED)
    assert made.kit.signers["pypnm-gui"] == ()
    assert any("A key of bo@example.org (blue) is not in the kit yet" in each for each in made.notes)
    assert any("pypnm-gui needs 1 signatures, and 0 of its approvers have a key" in each for each in made.notes)
    stage.clock.advance(HOUR + 1)
    assert len((await make(stage.world, "alpha", SEALED)).kit.signers["pypnm-gui"]) == 1


async def test_somebody_who_may_not_approve_any_more_is_in_no_list(stage: Stage) -> None:
    await enrol(stage, "bo", Signer())
    await stage.add("rae", roles=frozenset({Role.ADMIN}))
    now, bo = stage.clock.now(), stage.who["bo"]
    rights = {"roles": bo.roles, "groups": ("lab-team",)}
    await people.set_rights(stage.db, bo.id, **rights, is_enabled=False, by="setup", at=now, event_id="off")  # type: ignore[arg-type]
    assert (await make(stage.world, "alpha", SEALED)).kit.signers["pypnm-gui"] == ()


async def test_an_address_that_openssh_would_read_as_a_pattern_makes_no_kit(stage: Stage) -> None:
    await stage.add("*")
    await enrol(stage, "*", Signer())
    made = await make(stage.world, "alpha", SEALED)
    with pytest.raises(Refused, match="may be a pattern"):
        script(made.kit)


async def test_certificates_need_the_key_that_signs_them(stage: Stage) -> None:
    with pytest.raises(Refused, match="no host can be told to trust it"):
        await make(stage.world, "alpha", replace(WISH, certificates=True))
    made = await make(stage.world, "alpha", replace(WISH, certificates=True, authority=KEY))
    assert SSHD in [each.path for each in contents(made.kit)[1]]
    assert "level: enforced and certificates: true" in made.notes[-1]


@pytest.mark.parametrize(
    ("check", "place"),
    [
        (TcpCheck(5050), ("127.0.0.1", 5050)),
        (HttpCheck("http://localhost/health"), ("localhost", 80)),
        (HttpCheck("http://[::1]:8080/"), ("::1", 8080)),
        (HttpCheck("http://[::1]"), ("::1", 80)),
        (JsonCheck("http://gui.example:81/x:2/y", "a", "b"), ("gui.example", 81)),
    ],
)
async def test_the_ports_of_checks_are_named_as_the_checks_name_them(
    stage: Stage, check: TcpCheck | HttpCheck | JsonCheck, place: tuple[str, int]
) -> None:
    """sshd compares the words: 127.0.0.1 is not localhost."""
    await stage.register(replace(stage.alpha.claim(), checks=(check,)))
    assert (await make(stage.world, "alpha", WISH)).kit.ports == (place,)
    if not isinstance(check, TcpCheck):
        assert url_place(check.url) == place
