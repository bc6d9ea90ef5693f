"""Using a passkey: to sign in, and to say yes to a warrant.

It opens sessions and proves signatures; whether a proved yes counts is the guard's to say, as for every other. Keeps
the passkey half of law 5: the challenge of a yes is the request's warrant, taken from the store and from nowhere else.
"""

from app.core.credential import Credential
from app.core.errors import Conflict, Refused
from app.core.policy import Person, Proof
from app.flow.ids import new_id
from app.flow.people import not_too_often
from app.flow.ports import World
from app.identity import passkeys
from app.identity.passkeys import Place
from app.store import credentials, people, requests, sessions
from app.store.secret import new_secret

_SIGN_IN = "sign-in"


async def sign_in_options(world: World, place: Place, address: str) -> str:
    """Return what any visitor's browser is asked for, to sign in with whatever passkey it has, as JSON."""
    challenge, now = new_secret(), world.clock.now()
    await credentials.challenge(world.db, challenge, purpose=_SIGN_IN, bound_to=f"address:{address}", now=now)
    return passkeys.options_to_use(place, (), challenge)


async def sign_in(world: World, place: Place, answer: str, address: str) -> str:
    """Return a new session's secret. Raises Refused with what is wrong with the answer."""
    now, keys = world.clock.now(), (f"address:{address}",)
    await not_too_often(world, keys, now)
    said = passkeys.read(answer)
    await credentials.answered(world.db, said.challenge, purpose=_SIGN_IN, bound_to=None, now=now)
    credential = await credentials.by_id(world.db, said.id)
    account = await people.by_id(world.db, credential.person) if credential else None
    if credential is None or account is None or not account.person.is_enabled:
        raise _unknown()
    if credential.usable_at is None:
        raise Refused(
            "This passkey is not confirmed yet.",
            code="key_unconfirmed",
            next_step="Sign in with your password; Settings says who can confirm it.",
        )
    counter = passkeys.used(place, credential, said, said.challenge)
    await credentials.use(world.db, credential.id, counter, now)
    secret = await sessions.open_session(
        world.db, account.person.id, await world.time(), event_id=new_id(now), key=credential.fingerprint
    )
    if secret is None:
        raise _unknown()
    await sessions.forget_failures(world.db, keys)
    return secret


async def yes_options(world: World, place: Place | None, person: Person, text: str) -> str:
    """Return what the person's browser is asked for a yes to a warrant, as JSON; empty where they have no passkey."""
    if place is None:
        return ""
    now = world.clock.now()
    able = [each for each in await credentials.of(world.db, person.id) if _can_say_yes(each, place, now)]
    return passkeys.options_to_approve(place, able, text) if able else ""


async def prove_yes(world: World, place: Place | None, person: Person, request_id: str, answer: str) -> Proof:
    """Verify a browser's answer as this person's yes to this request's warrant. Raises Refused."""
    request = await requests.load(world.db, request_id)
    text = await requests.text(world.db, request.warrant) if request.warrant else None
    if place is None or text is None:
        raise Conflict(
            "There is nothing here that a passkey could sign.",
            code="not_waiting",
            next_step="Open the request again: it shows what holds now.",
        )
    said = passkeys.read(answer)
    credential = await credentials.by_id(world.db, said.id)
    if credential is None or credential.person != person.id:
        raise _unknown()
    proof, counter = passkeys.yes(place, credential, said, text)
    await credentials.use(world.db, credential.id, counter, world.clock.now())
    return proof


def _can_say_yes(credential: Credential, place: Place, now: float) -> bool:
    return passkeys.is_of(place, credential) and credential.may_approve(now)


def _unknown() -> Refused:
    return Refused(
        "This passkey is not one of yours here; it may have been removed.",
        code="credential",
        next_step="Settings lists your passkeys.",
    )
