"""A passkey's answer: right, it holds; wrong in any one place, it is refused with a reason of its own; torn, too."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.credential import Credential
from app.core.errors import Refused
from app.core.policy import Kind, Person, Role
from app.core.sshsig import challenge
from app.core.warrant import digest_of
from app.identity import passkeys
from app.identity.passkeys import Place, place_of
from tests.fakes.authenticator import PRESENT, VERIFIED, Authenticator, b64, unb64

PLACE = Place("localhost", "http://localhost:8770")
BO = Person("bo", "Bo", "bo", frozenset({Role.APPROVER}))
TEXT = "askfirst-warrant 1\nid 01JF3W6V9Q0Z7E5M2T8X4K1B6N\nservice pypnm-gui\n"
CHALLENGE = b64(challenge(TEXT))


@dataclass
class Enrolled:
    """A key and its authenticator."""

    key: Authenticator
    credential: Credential


def enrolled(**other: Any) -> Enrolled:
    """Make a passkey as a person would, confirmed and old enough."""
    key = Authenticator(**other)
    asked = json.loads(passkeys.options_to_make(PLACE, BO, "bo@example.org", (), b64(b"a" * 32)))
    made = passkeys.made(PLACE, key.make(asked), b64(b"a" * 32), person="bo", name="laptop", now=1.0)
    return Enrolled(key, replace(made, usable_at=2.0))


def asked(credential: Credential, text: str = TEXT) -> dict[str, Any]:
    """Return what the browser is asked for a yes."""
    found: dict[str, Any] = json.loads(passkeys.options_to_approve(PLACE, (credential,), text))
    return found


def code_of(credential: Credential, answer: str, text: str = TEXT) -> str:
    """Return why an answer is refused, or nothing."""
    return refusal(lambda: passkeys.yes(PLACE, credential, passkeys.read(answer), text))


def refusal(act: Callable[[], object]) -> str:
    """Return the code of what an act raises, or nothing."""
    try:
        act()
    except Refused as error:
        return error.code
    return ""


def test_a_passkey_is_asked_for_as_openssh_can_read_it_and_with_its_user_verified() -> None:
    options = json.loads(passkeys.options_to_make(PLACE, BO, "bo@example.org", (enrolled().credential,), "YQ"))
    assert [each["alg"] for each in options["pubKeyCredParams"]] == [-7]
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert options["attestation"] == "none"
    assert len(options["excludeCredentials"]) == 1
    yes = asked(enrolled().credential)
    assert (yes["userVerification"], yes["rpId"]) == ("required", "localhost")
    assert yes["challenge"] == CHALLENGE


@pytest.mark.law(5)
def test_a_right_answer_is_a_proof_of_this_warrant_by_this_key() -> None:
    bo = enrolled(counter=6)
    answer = bo.key.get(asked(bo.credential))
    proof, counter = passkeys.yes(PLACE, bo.credential, passkeys.read(answer), TEXT)
    assert (proof.digest, proof.key, proof.kind) == (digest_of(TEXT), bo.credential.fingerprint, Kind.PASSKEY)
    assert (proof.is_present, proof.is_user_verified, proof.usable_at, counter) == (True, True, 2.0, 7)
    assert proof.signature.startswith("-----BEGIN SSH SIGNATURE-----")


WRONG: dict[str, tuple[str, Callable[[Enrolled], str]]] = {
    "another warrant": ("challenge", lambda bo: bo.key.get(asked(bo.credential, TEXT.replace("gui", "api")))),
    "a question of its own": ("challenge", lambda bo: bo.key.get({"challenge": b64(b"r" * 32)})),
    "another site's page": ("origin", lambda bo: bo.key.get(asked(bo.credential), origin="https://evil.example")),
    "another port": ("origin", lambda bo: bo.key.get(asked(bo.credential), origin="http://localhost:8771")),
    "a frame in another site": ("origin", lambda bo: bo.key.get(asked(bo.credential), crossOrigin=True)),
    "made instead of used": ("type", lambda bo: bo.key.get(asked(bo.credential), type="webauthn.create")),
    "another site": ("site", lambda bo: replace(bo.key, rp_id="evil.example").get(asked(bo.credential))),
    "nobody there": ("not_present", lambda bo: replace(bo.key, flags=VERIFIED).get(asked(bo.credential))),
    "nobody verified": ("not_verified", lambda bo: replace(bo.key, flags=PRESENT).get(asked(bo.credential))),
    "another key": ("signature", lambda bo: replace(bo.key, key=Authenticator().key).get(asked(bo.credential))),
    "another passkey": ("credential", lambda bo: Authenticator().get(asked(bo.credential))),
    "another user": ("credential", lambda bo: replace(bo.key, user=b64(b"ada")).get(asked(bo.credential))),
    "the counter as before": (
        "counter_back",
        lambda bo: replace(bo.key, counter=6, counts=False).get(asked(bo.credential)),
    ),
    "the counter back": ("counter_back", lambda bo: replace(bo.key, counter=2).get(asked(bo.credential))),
    "no counter any more": (
        "counter_back",
        lambda bo: replace(bo.key, counter=0, counts=False).get(asked(bo.credential)),
    ),
}


@pytest.mark.threat("A6")
@pytest.mark.threat("A7")
@pytest.mark.parametrize("wrong", list(WRONG))
def test_an_answer_that_is_wrong_in_one_place_is_refused_with_its_own_reason(wrong: str) -> None:
    bo = enrolled(counter=6)
    code, answer = WRONG[wrong]
    assert code_of(bo.credential, bo.key.get(asked(bo.credential))) == ""
    assert code_of(bo.credential, answer(bo)) == code


@pytest.mark.threat("A6")
def test_a_passkey_that_is_kept_in_several_places_does_not_count_and_is_taken_all_the_same() -> None:
    bo = enrolled(counts=False)
    assert [code_of(bo.credential, bo.key.get(asked(bo.credential))) for _ in range(2)] == ["", ""]


@pytest.mark.threat("A8")
def test_a_key_that_nobody_confirmed_proves_nothing() -> None:
    bo = enrolled()
    waiting = replace(bo.credential, usable_at=None)
    assert code_of(waiting, bo.key.get(asked(waiting))) == "key_unconfirmed"


# One for all cases: what a signature looks like is chance, and Hypothesis wants the same case twice to be the same.
SURE = enrolled()
GOOD = SURE.key.get(asked(SURE.credential))


@pytest.mark.threat("A6")
@given(st.data())
def test_an_answer_with_any_byte_changed_is_refused(data: st.DataObject) -> None:
    whole = json.loads(GOOD)
    part = data.draw(st.sampled_from(["clientDataJSON", "authenticatorData", "signature"]))
    told = bytearray(unb64(whole["response"][part]))
    told[data.draw(st.integers(0, len(told) - 1))] ^= data.draw(st.integers(1, 255))
    whole["response"][part] = b64(bytes(told))
    assert code_of(SURE.credential, GOOD) == ""
    assert code_of(SURE.credential, json.dumps(whole)) != ""


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_PARTS = ("clientDataJSON", "authenticatorData", "signature", "userHandle", "attestationObject")


@given(
    st.fixed_dictionaries(
        {"id": _JSON, "rawId": _JSON, "type": _JSON},
        optional={"response": _JSON | st.fixed_dictionaries({}, optional=dict.fromkeys(_PARTS, _JSON))},
    )
    | _JSON
)
def test_whatever_else_is_sent_is_refused_and_never_a_fault(whole: Any) -> None:
    bo = enrolled()
    sent = json.dumps(whole)
    assert code_of(bo.credential, sent) != ""
    with pytest.raises(Refused):
        passkeys.made(PLACE, sent, CHALLENGE, person="bo", name="x", now=1.0)


@given(part=st.binary(max_size=200), spoiled=st.sampled_from(["attestationObject", "authData"]))
def test_a_torn_new_passkey_is_refused_and_never_a_fault(part: bytes, spoiled: str) -> None:
    key = Authenticator()
    challenge_ = b64(b"a" * 32)
    options = json.loads(passkeys.options_to_make(PLACE, BO, "bo@example.org", (), challenge_))
    whole = json.loads(key.make(options))
    good = unb64(whole["response"]["attestationObject"])
    whole["response"]["attestationObject"] = b64(
        part if spoiled == "attestationObject" else good[: -len(part[:40]) or None] + part[:40]
    )
    code = refusal(lambda: passkeys.made(PLACE, json.dumps(whole), challenge_, person="bo", name="x", now=1.0))
    is_whole = spoiled == "authData" and good.endswith(part[:40])
    assert code in ([""] if is_whole else ["attestation", "bad_key"])


@pytest.mark.threat("A6")
@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"origin": "https://evil.example"}, "origin"),
        ({"crossOrigin": True}, "origin"),
        ({"type": "webauthn.get"}, "type"),
        ({"challenge": b64(b"b" * 32)}, "challenge"),
        ({"flags": PRESENT}, "attestation"),
        ({"rp_id": "evil.example"}, "attestation"),
        ({"algorithm": -8}, "attestation"),
    ],
)
def test_a_new_passkey_that_is_wrong_in_one_place_is_refused(wrong: dict[str, Any], code: str) -> None:
    of_key = {name: wrong[name] for name in ("flags", "rp_id") if name in wrong}
    options = json.loads(passkeys.options_to_make(PLACE, BO, "bo@example.org", (), b64(b"a" * 32)))
    answer = Authenticator(**of_key).make(options, **{name: wrong[name] for name in wrong if name not in of_key})
    with pytest.raises(Refused) as refused:
        passkeys.made(PLACE, answer, b64(b"a" * 32), person="bo", name="x", now=1.0)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("base_url", "place"),
    [
        ("https://askfirst.example.org", Place("askfirst.example.org", "https://askfirst.example.org")),
        ("https://ask.example.org:8443", Place("ask.example.org", "https://ask.example.org:8443")),
        ("https://ask.example.org:443", Place("ask.example.org", "https://ask.example.org")),
        ("http://localhost:8770", PLACE),
        ("http://127.0.0.1:8770", None),
        ("https://10.0.0.5", None),
        ("https://[::1]:8770", None),
        ("http://askfirst.example.org", None),
    ],
)
def test_passkeys_are_offered_only_where_browsers_have_them(base_url: str, place: Place | None) -> None:
    assert place_of(base_url) == place
