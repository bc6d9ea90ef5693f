"""Keys of people, for pages to show: enrolled and confirmed through the store's own functions."""

from base64 import b64encode
from dataclasses import replace

from app.core.credential import Credential
from app.core.policy import Kind
from app.core.sshsig import KEY_TYPE, PublicKey
from app.flow.ids import new_id
from app.store import credentials
from tests.fakes.authenticator import Authenticator, b64
from tests.integration.web.seed import Seed


async def enrol(
    seed: Seed,
    who: str,
    name: str,
    kind: Kind = Kind.PASSKEY,
    *,
    usable_in: float | None = 0.0,
    key: Authenticator | None = None,
) -> Credential:
    """Give somebody a key, confirmed by the admin unless ``usable_in`` is None. It is held by ``key``, or by nobody."""
    db, now = seed.world.db, seed.world.clock.now() - 2 * 86_400
    key, person = key or Authenticator(), seed.accounts[who].person
    line = f"{KEY_TYPE} {b64encode(PublicKey(*key.point, key.rp_id).blob()).decode()}"
    made = Credential(b64(key.id), person.id, kind, name, line, key.counter, now)
    await credentials.enrol(db, made, by=person.id, event_id=new_id(now))
    if usable_in is None:
        return made
    by, usable_at = seed.accounts["root"].person.id, seed.world.clock.now() + usable_in
    await credentials.confirm(db, made.id, by=by, at=now + 60, usable_at=usable_at, event_id=new_id(now))
    return replace(made, confirmed_by=by, confirmed_at=now + 60, usable_at=usable_at)
