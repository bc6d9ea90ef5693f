"""What pages show of keys: the visitor's own, those that wait for their word, and what a browser can do here.

It decides nothing; who may confirm what is the core's to say."""

from dataclasses import dataclass

from app.core.credential import Credential
from app.core.policy import Kind, Person
from app.flow import credentials as flow
from app.flow.credentials import Owner
from app.identity.passkeys import Place, is_of
from app.store import credentials, people
from app.store.people import Account
from app.web.pages import Visit
from app.web.times import span
from app.web.words import KEYS, NEW_KEY, SURE_KEY, YOUNG_KEY, Sign


@dataclass(frozen=True, slots=True)
class Key:
    """A key with its words. ``is_elsewhere``: it was made for another address of this installation."""

    credential: Credential
    kind: str
    sign: Sign
    confirmed_by: str
    is_elsewhere: bool


@dataclass(frozen=True, slots=True)
class Keyring:
    """A visitor's keys. ``is_stale``: they have to prove who they are before they change any."""

    own: tuple[Key, ...]
    waiting: tuple[tuple[Key, Account], ...]
    has_elder: bool
    could_confirm: tuple[str, ...]
    place: Place | None
    is_stale: bool
    signed_in_ago: str
    wait: str


def owner_of(visit: Visit) -> Owner:
    """Return the visitor as the flow knows who acts."""
    return Owner(visit.person, visit.secret, visit.session.signed_in_at)


async def keyring(visit: Visit, place: Place | None) -> Keyring:
    """Gather what the visitor is shown."""
    world, now = visit.world, visit.world.clock.now()
    names = await people.names(world.db)
    own = await credentials.of(world.db, visit.person.id)
    age = await world.time() - visit.session.signed_in_at
    return Keyring(
        own=tuple(_key(each, place, names, now) for each in own),
        waiting=tuple(
            (_key(each, place, names, now), account) for each, account in await flow.waiting_for(world, visit.person)
        ),
        has_elder=any(each.kind is Kind.PASSKEY and each.may_approve(now) for each in own),
        could_confirm=tuple(each.person.name for each in await flow.could_confirm(world, visit.person)),
        place=place,
        is_stale=age > world.limits.step_up_seconds,
        signed_in_ago=span(age),
        wait=span(world.limits.new_key_seconds) if world.limits.new_key_seconds else "",
    )


async def keys_of(visit: Visit, place: Place | None, person: Person) -> tuple[Key, ...]:
    """Return another person's keys."""
    db, now = visit.world.db, visit.world.clock.now()
    names = await people.names(db)
    return tuple(_key(each, place, names, now) for each in await credentials.of(db, person.id))


def _key(credential: Credential, place: Place | None, names: dict[str, str], now: float) -> Key:
    is_elsewhere = credential.kind is Kind.PASSKEY and not (place and is_of(place, credential))
    by = names.get(credential.confirmed_by or "", "")
    sign = NEW_KEY if credential.usable_at is None else SURE_KEY if credential.may_approve(now) else YOUNG_KEY
    return Key(credential, KEYS[credential.kind], sign, by, is_elsewhere)
