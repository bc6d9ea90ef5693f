"""A sealed host: nothing runs without signatures over exactly this warrant by the people whom its own files name."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from app.core.service import Service
from app.core.warrant import Warrant
from tests.unit.gate.conftest import warrants
from tests.unit.gate.enforced import Installed, allow, describe
from tests.unit.gate.hosted import ROOT_ONLY
from tests.unit.gate.signers import (
    PRESENT,
    VERIFIED,
    Passkey,
    Plain,
    SecurityKey,
    envelope,
    string,
    unwrapped,
    wrapped,
)

pytestmark = [ROOT_ONLY, pytest.mark.law(5), pytest.mark.threat("D23")]
ONLY = 'namespaces="askfirst-warrant"'


@dataclass(frozen=True)
class People:
    """Bo has a passkey, Cy a security key and a second one, Di a plain key; Ada asks for the restart, and has a key."""

    bo: Passkey
    cy: SecurityKey
    cy2: SecurityKey
    di: Plain
    ada: SecurityKey
    eve: SecurityKey

    def lines(self) -> list[str]:
        return [
            f"bo@example.org {ONLY} {self.bo.line}",
            f"cy@example.org,Cy.Other@example.org {ONLY} {self.cy.line}",
            f"cy.other@example.org {ONLY} {self.cy2.line}",
            f"di@example.org {ONLY} {self.di.line}",
            f"ada.admin@example.org,ada@example.org {ONLY} {self.ada.line}",
        ]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    folder = tmp_path_factory.mktemp("keys")
    ecdsa = "sk-ecdsa-sha2-nistp256@openssh.com"
    return People(Passkey(), SecurityKey(), SecurityKey(ecdsa), Plain(folder, "di"), SecurityKey(), SecurityKey())


@pytest.fixture
def host(shared: Installed, people: People) -> Installed:
    describe(shared, "sealed", plain_keys="no")
    shared.write("/etc/askfirst/approvers/demo", "# who may\n\n" + "\n".join(people.lines()) + "\n")
    shared.said()
    return shared


@pytest.fixture(scope="module")
def one(shared: Installed, supervised: Service) -> Warrant:
    """A warrant that everything but its signatures allows; its service is another before it could run."""
    describe(shared)
    made = warrants(shared, supervised)(host_key=shared.host_key)
    return replace(made, identity=(*made.identity[:-1], "program lab:gui OTHER"))


def decided(host: Installed, one: Warrant, *signatures: str, approvals: int = 1) -> tuple[str, str]:
    """Whether the signatures were good ("differs", since the service is another), or why not."""
    allow(host, one, approvals=approvals)
    record, status = host.decide(one, signatures)
    lines = host.said()
    assert (status == 75) == (record.kind == "differs")
    assert len(lines) == 1
    assert f"refused {status}: " in lines[0]
    return record.kind, record.get("why")


@pytest.mark.parametrize("who", ["bo", "cy", "cy2"])
def test_a_signature_of_an_approvers_key_lets_it_pass(host: Installed, one: Warrant, people: People, who: str) -> None:
    assert decided(host, one, getattr(people, who).sign(one.text())) == ("differs", "")


def test_with_a_signature_it_runs(host: Installed, supervised: Service, people: People) -> None:
    true = warrants(host, supervised)(host_key=host.host_key)
    allow(host, true)
    assert host.decide(true)[0].get("why") == "this host is sealed, and no signature came with the warrant"
    assert host.decide(true, [people.bo.sign(true.text())])[0].kind == "started"
    assert host.decide(true, [people.bo.sign(true.text())])[0].get("why") == "spent"


def test_nothing_passes_without_a_signature(host: Installed, one: Warrant) -> None:
    assert decided(host, one)[1] == "this host is sealed, and no signature came with the warrant"


CHANGED = {"id": "01JF3W6V9Q0Z7E5M2T8X4K1B6N", "reason": "another", "not_after": 4_000_000_000, "policy": "lab 2"}


@pytest.mark.parametrize("field", CHANGED)
def test_a_signature_over_any_other_text_is_worth_nothing(
    host: Installed, one: Warrant, people: People, field: str
) -> None:
    signature = people.bo.sign(replace(one, **{field: CHANGED[field]}).text())  # type: ignore[arg-type]
    assert "this host's ssh-keygen says of bo@example.org: " in decided(host, one, signature)[1]


def plain(host: Installed, yes: str) -> None:
    describe(host, "sealed", plain_keys=yes)


@pytest.mark.threat("A6")
@pytest.mark.parametrize("who", ["bo", "cy", "cy2"])
def test_a_key_that_nobody_touched_or_that_knew_nobody_does_not_count(
    host: Installed, one: Warrant, people: People, who: str
) -> None:
    plain(host, "yes")
    for flags, why in ((PRESENT, "did not know its user"), (VERIFIED, "nobody touched"), (0, "nobody touched")):
        assert why in decided(host, one, getattr(people, who).sign(one.text(), flags=flags))[1]


@pytest.mark.threat("A6")
def test_a_byte_of_flags_that_is_changed_afterwards_breaks_the_signature(
    host: Installed, one: Warrant, people: People
) -> None:
    for lie in (people.bo.lie(one.text()), people.cy.sign(one.text(), flags=PRESENT, said=PRESENT | VERIFIED)):
        assert "this host's ssh-keygen says of " in decided(host, one, lie)[1]


def test_a_plain_key_counts_only_where_the_host_says_so(host: Installed, one: Warrant, people: People) -> None:
    signature = people.di.sign(one.text())
    assert "a key that nobody need touch" in decided(host, one, signature)[1]
    plain(host, "yes")
    assert decided(host, one, signature)[0] == "differs"


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_other_plain_kinds_count_too_where_the_host_says_so(
    host: Installed, one: Warrant, tmp_path: Path, kind: str
) -> None:
    key = Plain(tmp_path, "fay", kind)
    host.write("/etc/askfirst/approvers/demo", f"fay@example.org {ONLY} {key.line}\n")
    assert "a key that nobody need touch" in decided(host, one, key.sign(one.text()))[1]
    plain(host, "yes")
    assert decided(host, one, key.sign(one.text()))[0] == "differs"
    assert decided(host, one, key.sign(one.text(), "askfirst-warrant", "-O", "hashalg=sha256"))[0] == "differs"


@pytest.mark.law(7)
def test_whoever_asks_does_not_count_under_any_address(host: Installed, one: Warrant, people: People) -> None:
    asked = "whoever asks for a restart cannot sign it"
    assert asked in decided(host, one, people.ada.sign(one.text()))[1]
    both = (people.ada.sign(one.text()), people.bo.sign(one.text()))
    assert asked in decided(host, one, *both)[1], "even beside one that does"
    for requester in ("BO@example.org", "bo@EXAMPLE.ORG"):
        mine = replace(one, requester=requester)
        assert asked in decided(host, mine, people.bo.sign(mine.text()))[1]


@pytest.mark.threat("B10")
def test_two_approvals_are_two_humans(host: Installed, one: Warrant, people: People) -> None:
    bo, cy, cy2 = (each.sign(one.text()) for each in (people.bo, people.cy, people.cy2))
    missing = "signed by 1 of the 2 people who are needed"
    assert decided(host, one, bo, approvals=2)[1] == missing
    assert decided(host, one, bo, bo, approvals=2)[1] == missing, "the same signature twice"
    assert decided(host, one, bo, people.bo.sign(one.text()), approvals=2)[1] == missing, "the same key twice"
    assert decided(host, one, cy, cy2, approvals=2)[1] == missing, "two keys of the same human"
    assert decided(host, one, bo, cy2, approvals=2)[0] == "differs"
    assert decided(host, one, bo, cy, cy2, approvals=3)[1] == "signed by 2 of the 3 people who are needed"


@pytest.mark.threat("B10")
def test_lines_that_share_an_address_are_one_human_in_whatever_order(
    host: Installed, one: Warrant, people: People
) -> None:
    lines = people.lines()
    shared = f"cy@example.org,bo@example.org {ONLY} {people.eve.line}"
    signatures = [people.bo.sign(one.text()), people.cy.sign(one.text())]
    for order in ([shared, *lines], [*lines, shared], [lines[0], shared, *lines[1:]]):
        host.write("/etc/askfirst/approvers/demo", "\n".join(order) + "\n")
        assert decided(host, one, *signatures, approvals=2)[1] == "signed by 1 of the 2 people who are needed"


def test_one_signature_that_does_not_hold_refuses_the_whole(host: Installed, one: Warrant, people: People) -> None:
    good = people.bo.sign(one.text())
    assert "by none of this host's approvers" in decided(host, one, good, people.eve.sign(one.text()))[1]


def spoiled(people: People, text: str) -> dict[str, tuple[str, str]]:
    blob = unwrapped(people.cy.sign(text))
    named = string(b"sk-ssh-ed25519@openssh.com")
    inner = named + string(bytes(64)) + b"\5\0\0\0\1"
    short = len(inner) - 1
    return {
        "something behind it": (wrapped(blob + b"x"), "more follows behind it"),
        "something behind the signature inside": (
            envelope(people.cy.blob, inner + b"x"), "more follows behind it",
        ),
        "a length that is one too small": (
            wrapped(unwrapped(envelope(people.cy.blob, inner))[: -len(inner) - 4] + short.to_bytes(4, "big") + inner),
            "more follows behind it, or it is cut short",
        ),
        "cut": (wrapped(blob[:-3]), "cut short"),
        "cut to nothing": (wrapped(b"SSHSIG"), "cut short"),
        "no flags": (envelope(people.cy.blob, named + string(bytes(64))), "cut short"),
        "another magic": (wrapped(b"SSHSIX" + blob[6:]), "no SSH signature"),
        "another version": (wrapped(blob[:9] + b"\2" + blob[10:]), "no SSH signature"),
        "another namespace": (
            envelope(people.cy.blob, inner, b"file"), "its namespace is another",
        ),
        "another hash": (
            envelope(people.cy.blob, inner, digest=b"sha1"), "its hash is not",
        ),
        "a length beyond all": (wrapped(blob[:10] + b"\xff\xff\xff\xff" + blob[14:]), "cut short"),
        "a plain signature under a security key": (
            envelope(people.cy.blob, string(b"ssh-ed25519") + string(bytes(64))), "its kind of key counts nowhere",
        ),
        "a passkey's kind under a key of another kind": (
            envelope(people.cy.blob, string(b"webauthn-sk-ecdsa-sha2-nistp256@openssh.com") + string(bytes(64))),
            "its kind of key counts nowhere",
        ),
    }  # fmt: skip


def test_what_is_no_signature_of_its_form_is_refused_with_its_own_reason(
    host: Installed, one: Warrant, people: People
) -> None:
    for name, (signature, why) in spoiled(people, one.text()).items():
        assert why in decided(host, one, signature)[1], name


def test_a_signature_of_another_namespace_is_refused(host: Installed, one: Warrant, people: People) -> None:
    plain(host, "yes")
    assert "namespace is another" in decided(host, one, people.di.sign(one.text(), "git"))[1]


@pytest.mark.parametrize("text", ["", "AAA", "AA==BB==", "=AAA", "AAAA====", "$(reboot)", "A AA", "A" * 12004])
def test_what_is_no_base64_of_one_line_is_refused_before_anything_reads_it(
    host: Installed, one: Warrant, text: str
) -> None:
    """Two programs read it, and of what is not written in the one way there is they might read different bytes."""
    allow(host, one)
    (record,) = host.raw("restart demo", *one.text().splitlines(), f"signature {text}")
    assert record.get("why") == "a signature does not count: it is no base64 of one line"


def test_a_signature_in_the_middle_of_the_warrant_is_none(host: Installed, one: Warrant, people: People) -> None:
    allow(host, one)
    lines = one.text().splitlines()
    mine = "signature " + "".join(people.bo.sign(one.text()).splitlines()[1:-1])
    (record,) = host.raw("restart demo", *lines[:-1], mine, lines[-1])
    assert record.kind == "refused"
    (record,) = host.raw("restart demo", *lines, mine, lines[-1])
    assert record.get("why") == "a signature does not count: it is no base64 of one line"


FILES = {
    "a pattern": "*@example.org {only} {key}",
    "a pattern of one letter": "b?@example.org {only} {key}",
    "another namespace too": 'bo@example.org namespaces="askfirst-warrant,file" {key}',
    "no namespace": "bo@example.org {key}",
    "an authority": "bo@example.org cert-authority {key}",
    "another option": 'bo@example.org {only},valid-before="20990101" {key}',
    "a comment behind": "bo@example.org {only} {key} bo",
    "a key twice": "bo@example.org {only} {key}\nada@example.org {only} {key}",
    "an empty address": "bo@example.org,,x@example.org {only} {key}",
}


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_a_file_of_approvers_that_could_let_in_whom_nobody_named_lets_in_nobody(
    host: Installed, one: Warrant, people: People, text: str
) -> None:
    host.write("/etc/askfirst/approvers/demo", text.format(only=ONLY, key=people.bo.line) + "\n")
    assert "is not of its form, or its key stands there twice" in decided(host, one, people.bo.sign(one.text()))[1]


def test_a_table_that_asks_for_no_approval_or_no_file_of_approvers_lets_nothing_pass(
    host: Installed, one: Warrant, people: People
) -> None:
    signature = people.bo.sign(one.text())
    assert "asks for no approval of demo" in decided(host, one, signature, approvals=0)[1]
    host.at("/etc/askfirst/approvers/demo").unlink()
    assert "approvers/demo is missing" in decided(host, one, signature)[1]


def test_a_host_that_is_not_sealed_takes_no_signatures(host: Installed, one: Warrant, people: People) -> None:
    describe(host, "enforced")
    assert decided(host, one, people.bo.sign(one.text()))[1] == "signatures came, and this host is not sealed"
