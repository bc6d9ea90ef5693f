"""How the visitor can say yes: by a click, with a passkey on this page, in a terminal, or not yet, and what to do then.

It decides nothing: the guard does, and is asked first. It only tells a person with the wrong key, or none, the way.
"""

from dataclasses import dataclass

from app.core.credential import Credential
from app.core.lifecycle import Approval, Request
from app.core.policy import Assurance, Kind, Person
from app.flow.passkeys import yes_options
from app.flow.ports import World
from app.identity.passkeys import Place
from app.store import credentials
from app.web.times import clock


@dataclass(frozen=True, slots=True)
class Way:
    """The way for one person and one request.

    ``passkey`` is what the browser is asked for, as JSON; ``may_sign`` says that `askfirst approve` can; ``missing`` is
    a sentence for who can do neither, and ``settings`` what to do about it there.
    """

    passkey: str = ""
    may_sign: bool = False
    missing: str = ""
    settings: str = ""


async def way(world: World, place: Place | None, person: Person, request: Request, text: str) -> Way:
    """Find the way of a person whose yes has to be a signature over this text."""
    now, own = world.clock.now(), await credentials.of(world.db, person.id)
    in_terminal = {Kind.SECURITY_KEY} | ({Kind.PLAIN} if request.plain_keys else set())
    may_sign = any(each.kind in in_terminal and each.may_approve(now) for each in own)
    passkey = await yes_options(world, place, person, text)
    if passkey or may_sign:
        return Way(passkey, may_sign)
    missing, settings = _missing(own, request, now)
    return Way(missing=missing, settings=settings)


def signed_with(yes: Approval) -> str:
    """Say with what somebody said yes: a click, or which key."""
    return {"click": "a click", "passkey": f"the passkey {yes.key}"}.get(yes.level, f"the key {yes.key}")


def _missing(own: list[Credential], request: Request, now: float) -> tuple[str, str]:
    """Say what is missing, and what Settings is for."""
    look = "Look at your keys in Settings"
    fitting = [each for each in own if each.kind is not Kind.PLAIN or request.plain_keys]
    begin = min((each.usable_at for each in fitting if each.usable_at and each.usable_at > now), default=None)
    if begin is not None:
        return f"Your key can approve from {clock(begin, now)}: a new one may not at once.", look
    if any(each.usable_at is None for each in fitting):
        return "Your key is not confirmed yet: another person, an approver or an admin, has to vouch for it.", look
    if any(each.may_approve(now) for each in fitting):
        return "Your passkey is for another address than this one: open Askfirst where you enrolled it.", look
    what = ", which the host checks" if request.assurance == Assurance.SEALED else ""
    return f"This yes needs a key's signature{what}, and you have no key yet.", "Enrol a passkey in Settings"
