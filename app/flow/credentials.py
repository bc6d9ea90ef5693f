"""Keys of people: enrolling, confirming, naming and removing them.

It knows no page and verifies no signature (``identity`` does). A new key is worth nothing until it is confirmed: by its
owner with a key that may approve already, or by another human; and from then on it waits ``new_key_seconds`` before it
may approve. Everything but giving a name asks for a fresh proof of who is acting. Keeps law 7 where keys could undo it.
"""

from dataclasses import dataclass

from app.core.credential import LONGEST_NAME, Credential, confirmation_refusal, ssh_key
from app.core.credential import fingerprint as fingerprint_of
from app.core.errors import NotFound, Refused
from app.core.policy import Kind, Person, Role
from app.flow.ids import new_id
from app.flow.ports import World
from app.identity import passkeys
from app.identity.passkeys import Place
from app.identity.points import refuse_no_key
from app.store import credentials, people
from app.store.people import Account
from app.store.secret import new_secret

_MOST_KEYS = 20
_ENROL, _CONFIRM = "enrol", "confirm:"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whoever is acting: who it is, their session's secret, and when they last proved who they are."""

    person: Person
    secret: str
    signed_in_at: float


async def options(world: World, place: Place, owner: Owner) -> str:
    """Return what the owner's browser is asked for a new passkey, as JSON."""
    await _fresh(world, owner)
    known = await credentials.of(world.db, owner.person.id)
    _room(known)
    account = await _account(world, owner.person.id)
    challenge = await _challenge(world, owner, _ENROL)
    return passkeys.options_to_make(place, account.person, account.email, known, challenge)


async def enrol_passkey(world: World, place: Place, owner: Owner, name: str, answer: str) -> Credential:
    """Keep the passkey that the owner's browser has just made. It is not confirmed yet."""
    await _fresh(world, owner)
    now, name = world.clock.now(), _name(name)
    challenge = await _answered(world, owner, _ENROL, answer)
    made = passkeys.made(place, answer, challenge, person=owner.person.id, name=name, now=now)
    return await _enrol(world, owner, made)


async def enrol_ssh_key(world: World, owner: Owner, name: str, line: str) -> Credential:
    """Keep an SSH public key that the owner has pasted. It is not confirmed yet."""
    await _fresh(world, owner)
    kind, public_key = ssh_key(line)
    refuse_no_key(public_key)
    made = Credential(
        id=fingerprint_of(public_key),
        person=owner.person.id,
        kind=kind,
        name=_name(name),
        public_key=public_key,
        counter=0,
        enrolled_at=world.clock.now(),
    )
    return await _enrol(world, owner, made)


async def options_to_confirm(world: World, place: Place, owner: Owner, credential_id: str) -> str:
    """Return what the owner's browser is asked for, to confirm one of their own keys by an older passkey, as JSON."""
    own, elder = await _own_and_elder(world, owner, credential_id)
    challenge = await _challenge(world, owner, _CONFIRM + own.id)
    return passkeys.options_to_use(place, elder, challenge)


async def confirm_own(world: World, place: Place, owner: Owner, credential_id: str, answer: str) -> None:
    """Confirm one of the owner's keys by a passkey of theirs that may approve already."""
    own, elder = await _own_and_elder(world, owner, credential_id)
    challenge = await _answered(world, owner, _CONFIRM + own.id, answer)
    said = passkeys.read(answer)
    by = next((each for each in elder if each.id == said.id), None)
    if by is None:
        raise Refused(
            "This passkey cannot confirm another one.", code="credential", next_step="Use one that may approve already."
        )
    counter = passkeys.used(place, by, said, challenge)
    await credentials.use(world.db, by.id, counter, world.clock.now())
    await _confirm(world, own, owner.person)


async def confirm(world: World, owner: Owner, credential_id: str) -> None:
    """Confirm another human's key."""
    await _fresh(world, owner)
    credential = await known(world, credential_id)
    account = await _account(world, credential.person)
    setters = await _setters(world)
    if refusal := confirmation_refusal(credential, account.person, owner.person, setters.get(account.person.id, ())):
        raise refusal
    await _confirm(world, credential, owner.person)


async def remove(world: World, owner: Owner, credential_id: str) -> None:
    """Take a key out: one's own, or as an admin anybody's."""
    await _fresh(world, owner)
    credential = await known(world, credential_id)
    if credential.person != owner.person.id and Role.ADMIN not in owner.person.roles:
        raise _not_own()
    now = world.clock.now()
    await credentials.remove(world.db, credential.id, by=owner.person.id, at=now, event_id=new_id(now))


async def rename(world: World, owner: Owner, credential_id: str, name: str) -> None:
    """Give one's own key another name."""
    if (await known(world, credential_id)).person != owner.person.id:
        raise _not_own()
    await credentials.rename(world.db, credential_id, _name(name))


async def waiting_for(world: World, by: Person) -> list[tuple[Credential, Account]]:
    """Return the keys that this person could confirm, each with its owner."""
    owners = {each.person.id: each for each in await people.everyone(world.db)}
    every = [(each, owners[each.person]) for each in await credentials.everybody(world.db)]
    setters = await _setters(world)
    return [
        (each, of)
        for each, of in every
        if confirmation_refusal(each, of.person, by, setters.get(each.person, ())) is None
    ]


async def could_confirm(world: World, owner: Person) -> list[Account]:
    """Return who could confirm a key of this person."""
    asked = Credential("", owner.id, Kind.PASSKEY, "", "", 0, 0.0)
    every, setters = await people.everyone(world.db), (await _setters(world)).get(owner.id, ())
    return [each for each in every if confirmation_refusal(asked, owner, each.person, setters) is None]


async def known(world: World, credential_id: str) -> Credential:
    """Return a key. Raises NotFound."""
    found = await credentials.by_id(world.db, credential_id)
    if found is None:
        raise NotFound("There is no such key.", code="no_such_key", next_step="Look at the list of keys.")
    return found


async def _setters(world: World) -> dict[str, set[str]]:
    """Return the humans who have set each person's password, by the person's id."""
    humans = {each.person.id: each.person.human for each in await people.everyone(world.db)}
    found = await people.password_setters(world.db)
    return {person: {humans.get(each, each) for each in by} for person, by in found.items()}


async def _own_and_elder(world: World, owner: Owner, credential_id: str) -> tuple[Credential, list[Credential]]:
    await _fresh(world, owner)
    every = await credentials.of(world.db, owner.person.id)
    own = next((each for each in every if each.id == credential_id), None)
    if own is None:
        raise _not_own()
    if own.usable_at is not None:
        raise Refused("This key is confirmed already.", code="key_confirmed", next_step="Nothing is left to do.")
    elder = [each for each in every if each.kind is Kind.PASSKEY and each.may_approve(world.clock.now())]
    if not elder:
        raise Refused(
            "You have no passkey that may approve already.",
            code="no_elder",
            next_step="Ask another human, an approver or an admin, to confirm it.",
        )
    return own, elder


async def _challenge(world: World, owner: Owner, purpose: str) -> str:
    challenge = new_secret()
    now = world.clock.now()
    await credentials.challenge(world.db, challenge, purpose=purpose, bound_to=owner.secret, now=now)
    return challenge


async def _answered(world: World, owner: Owner, purpose: str, answer: str) -> str:
    challenge, now = passkeys.read(answer).challenge, world.clock.now()
    await credentials.answered(world.db, challenge, purpose=purpose, bound_to=owner.secret, now=now)
    return challenge


async def _enrol(world: World, owner: Owner, credential: Credential) -> Credential:
    _room(await credentials.of(world.db, owner.person.id))
    await credentials.enrol(world.db, credential, by=owner.person.id, event_id=new_id(credential.enrolled_at))
    return credential


async def _confirm(world: World, credential: Credential, by: Person) -> None:
    now = world.clock.now()
    usable_at = now + world.limits.new_key_seconds
    await credentials.confirm(world.db, credential.id, by=by.id, at=now, usable_at=usable_at, event_id=new_id(now))


async def _account(world: World, person_id: str) -> Account:
    account = await people.by_id(world.db, person_id)
    if account is None:
        raise NotFound("There is no such person.", code="no_such_person", next_step="Open the page People.")
    return account


async def _fresh(world: World, owner: Owner) -> None:
    if await world.time() - owner.signed_in_at > world.limits.step_up_seconds:
        raise Refused(
            "You signed in too long ago to change keys.",
            code="step_up_required",
            next_step="Enter your password once more.",
        )


def _room(known: list[Credential]) -> None:
    if len(known) >= _MOST_KEYS:
        raise Refused(f"You have {_MOST_KEYS} keys.", code="many_keys", next_step="Remove one first.")


def _name(name: str) -> str:
    if not 0 < len(name.strip()) <= LONGEST_NAME:
        raise Refused(
            "The key has no name.", code="key_name", next_step=f"Name what holds it, in at most {LONGEST_NAME} letters."
        )
    return name.strip()


def _not_own() -> Refused:
    return Refused("This is not your key.", code="not_own_key", next_step="An admin can remove it.")
