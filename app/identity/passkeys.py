"""Passkeys: what a browser is asked, and whether its answer holds. Each wrong thing is refused with its own reason.

It stores nothing, knows no session and decides nothing: that a challenge was ours, and is answered once, ``store``
knows; whether a verified yes counts is the guard's. Only ES256 is asked for, since OpenSSH reads no other; the user has
to be verified, by finger, face or PIN. WebAuthn's own rules are kept by ``webauthn``; what people are told stands here.
Keeps the passkey half of law 5: the challenge of a yes is the warrant itself.
"""

import base64
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, decode_credential_public_key
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from app.core import sshsig
from app.core.credential import Credential, passkey_of
from app.core.errors import Refused
from app.core.policy import Kind, Person, Proof
from app.core.warrant import digest_of
from app.identity.points import refuse_no_key

LONGEST_ANSWER = 16_000
_ES256 = [COSEAlgorithmIdentifier.ECDSA_SHA_256]
# The one way in which CTAP2 writes an ES256 key: {1: 2, 3: -7, -1: 1, -2: x, -3: y}, x and y 32 bytes each.
_COSE = bytes.fromhex("a5010203262001215820"), bytes.fromhex("225820")
_TWO_MINUTES = 120_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where passkeys are made and used: the site that they belong to, and the pages' origin."""

    rp_id: str
    origin: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a browser handed on, taken apart, believed in nothing."""

    raw: str
    id: str
    user: str
    client_data: bytes
    authenticator_data: bytes
    signature: bytes

    @property
    def said(self) -> dict[str, Any]:
        """What the browser says that it was asked, and where."""
        return _object(self.client_data)

    @property
    def challenge(self) -> str:
        """The challenge that it answers, as base64url."""
        return str(self.said.get("challenge", ""))


def place_of(base_url: str) -> Place | None:
    """Return where passkeys belong, or None where browsers have none: without TLS, or at a bare address."""
    parts = urlsplit(base_url)
    name, port = parts.hostname or "", parts.port
    is_name = ":" not in name and not name.replace(".", "").isdigit()
    if not name or not is_name or (parts.scheme != "https" and (parts.scheme, name) != ("http", "localhost")):
        return None
    is_plain = port in {None, {"https": 443, "http": 80}[parts.scheme]}
    return Place(name, f"{parts.scheme}://{name}" if is_plain else f"{parts.scheme}://{name}:{port}")


def is_of(place: Place, credential: Credential) -> bool:
    """Whether a passkey was made for this site: the base URL may have been another one then."""
    return credential.kind is Kind.PASSKEY and passkey_of(credential.public_key).rp_id == place.rp_id


def options_to_make(place: Place, person: Person, email: str, known: Iterable[Credential], challenge: str) -> str:
    """Return what a browser is asked for a new passkey, as JSON; none that is ``known`` is made again."""
    options = generate_registration_options(
        rp_id=place.rp_id,
        rp_name="Askfirst",
        user_id=person.id.encode(),
        user_name=email,
        user_display_name=person.name,
        challenge=base64url_to_bytes(challenge),
        timeout=_TWO_MINUTES,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=_named(known),
        supported_pub_key_algs=_ES256,
    )
    return options_to_json(options)


def options_to_use(place: Place, known: Iterable[Credential], challenge: str) -> str:
    """Return what a browser is asked to sign with one of these passkeys, or with any where none is named, as JSON."""
    options = generate_authentication_options(
        rp_id=place.rp_id,
        challenge=base64url_to_bytes(challenge),
        timeout=_TWO_MINUTES,
        allow_credentials=_named(known),
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return options_to_json(options)


def options_to_approve(place: Place, known: Iterable[Credential], text: str) -> str:
    """Return what a browser is asked for a yes to this warrant, as JSON: the challenge is the warrant."""
    return options_to_use(place, known, bytes_to_base64url(sshsig.challenge(text)))


def made(place: Place, answer: str, challenge: str, *, person: str, name: str, now: float) -> Credential:
    """Return the new, unconfirmed passkey. Raises Refused."""
    _asked(place, read(answer), "webauthn.create", challenge)
    try:
        found = verify_registration_response(
            credential=answer,
            expected_challenge=base64url_to_bytes(challenge),
            expected_rp_id=place.rp_id,
            expected_origin=place.origin,
            require_user_verification=True,
            supported_pub_key_algs=_ES256,
        )
        key: Any = decode_credential_public_key(found.credential_public_key)
    except (WebAuthnException, ValueError) as error:
        raise _no("attestation", f"This passkey cannot be used here: {error}.") from error
    public = sshsig.PublicKey(key.x, key.y, place.rp_id)
    public_key = f"{sshsig.KEY_TYPE} {base64.b64encode(public.blob()).decode()}"
    refuse_no_key(public_key)
    return Credential(
        id=bytes_to_base64url(found.credential_id),
        person=person,
        kind=Kind.PASSKEY,
        name=name,
        public_key=public_key,
        counter=found.sign_count,
        enrolled_at=now,
    )


def used(place: Place, credential: Credential, answer: Answer, challenge: str) -> int:
    """Verify an answer by this passkey to this challenge, and return the key's counter. Raises Refused."""
    if answer.id != credential.id or answer.user not in {"", bytes_to_base64url(credential.person.encode())}:
        raise _no("credential", "This is another passkey than the one it says to be.")
    _asked(place, answer, "webauthn.get", challenge)
    counter = _shown(place, credential, answer.authenticator_data)
    try:
        verify_authentication_response(
            credential=answer.raw,
            expected_challenge=base64url_to_bytes(challenge),
            expected_rp_id=place.rp_id,
            expected_origin=place.origin,
            credential_public_key=_cose(credential),
            credential_current_sign_count=credential.counter,
            require_user_verification=True,
        )
    except (WebAuthnException, ValueError) as error:
        raise _no("signature", "The passkey's signature does not hold.") from error
    return counter


def yes(place: Place, credential: Credential, answer: Answer, text: str) -> tuple[Proof, int]:
    """Verify an answer as a yes to this warrant; return the proof of it, and the key's counter. Raises Refused."""
    counter = used(place, credential, answer, bytes_to_base64url(sshsig.challenge(text)))
    assertion = sshsig.Assertion(answer.authenticator_data, answer.client_data, answer.signature)
    proof = Proof(
        digest=digest_of(text),
        key=credential.fingerprint,
        kind=credential.kind,
        is_present=True,
        is_user_verified=assertion.is_user_verified,
        usable_at=_usable(credential),
        signature=sshsig.armored(passkey_of(credential.public_key), place.origin, assertion),
    )
    return proof, counter


def read(answer: str) -> Answer:
    """Take a browser's answer apart. Raises Refused ``unreadable``."""
    whole = _object(answer.encode()) if len(answer) <= LONGEST_ANSWER else {}
    response = whole.get("response")
    if not isinstance(response, dict):
        raise _no("unreadable", "The browser's answer could not be read.")
    parts = {name: response.get(name, "") for name in ("clientDataJSON", "authenticatorData", "signature")}
    try:
        read = {name: base64url_to_bytes(str(value)) for name, value in parts.items()}
    except ValueError as error:
        raise _no("unreadable", "The browser's answer could not be read.") from error
    user, name = response.get("userHandle") or "", whole.get("id")
    return Answer(answer, str(name), str(user), *read.values())


def _asked(place: Place, answer: Answer, kind: str, challenge: str) -> None:
    """Refuse what the browser was asked elsewhere, or for something else."""
    said = answer.said
    if said.get("type") != kind:
        raise _no("type", "This answers another question than the one that was asked.")
    if answer.challenge != challenge:
        raise _no("challenge", "This answers another question than the one that was asked.")
    if said.get("origin") != place.origin or said.get("crossOrigin") not in {None, False}:
        raise _no("origin", "This was signed on another site's page.", "Look at the address: it has to be this site's.")


def _shown(place: Place, credential: Credential, data: bytes) -> int:
    """Refuse what the authenticator was asked for another site, or did not ask its user; return its counter."""
    if len(data) < 37 or data[:32] != hashlib.sha256(place.rp_id.encode()).digest():
        raise _no("site", "This passkey signed for another site.")
    if not data[32] & 0x01:
        raise _no("not_present", "Nobody touched the passkey.")
    if not data[32] & 0x04:
        raise _no(
            "not_verified",
            "The passkey did not verify who used it.",
            "Use one that asks for a finger, a face or a PIN.",
        )
    counter = int.from_bytes(data[33:37], "big")
    if counter <= credential.counter and (counter or credential.counter):
        raise _no("counter_back", "The key's counter did not go on: a copy of it may be in use.", "Tell an admin.")
    return counter


def _usable(credential: Credential) -> float:
    if credential.usable_at is None:
        raise _no("key_unconfirmed", "This key is not confirmed yet.", "Ask an approver or an admin to confirm it.")
    return credential.usable_at


def _cose(credential: Credential) -> bytes:
    key = passkey_of(credential.public_key)
    return _COSE[0] + key.x + _COSE[1] + key.y


def _named(known: Iterable[Credential]) -> list[PublicKeyCredentialDescriptor]:
    return [PublicKeyCredentialDescriptor(id=base64url_to_bytes(each.id)) for each in known if each.kind == "passkey"]


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _no(code: str, message: str, next_step: str = "Try again on a fresh page, with a passkey of your own.") -> Refused:
    return Refused(message, code=code, next_step=next_step)
