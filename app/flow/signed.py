"""A yes that was signed elsewhere, by `askfirst approve`: no session comes with it, and the signature is all there is.

Whose yes it is follows from the key that made it, which that person enrolled; whether it counts is the guard's to say,
as for every other. Whoever is nobody here learns nothing: not even whether there is such a request. Keeps law 5, and
law 8: a key is not a token, and a token comes nowhere near this.
"""

from app.core.errors import NotFound, Refused
from app.core.lifecycle import Request
from app.core.policy import Attempt, Kind, Via
from app.core.sshsig_reading import Signature, read
from app.flow import decide, envelope
from app.flow.people import not_too_often
from app.flow.ports import World
from app.identity.sshkeys import prove
from app.store import credentials, people, requests, sessions

_ID_LETTERS = 26


async def approve(world: World, request_id: str, armored: str, address: str) -> Request:
    """Write the yes of whoever signed, if the guard lets it through. Raises Refused with the reason."""
    now, keys = world.clock.now(), (f"signed:{address}",)
    await not_too_often(world, keys, now)
    signature = read(armored)
    attempt = await _attempt(world, request_id, signature)
    await sessions.forget_failures(world.db, keys)
    request = await requests.load(world.db, request_id)
    if refusal := await decide.refusal_for(world, attempt, request):
        raise refusal
    credential = await credentials.by_key(world.db, signature.fingerprint)
    if credential is not None:
        await credentials.use(world.db, credential.id, signature.counter, now)
    return await decide.approve(world, attempt, request.id)


async def _attempt(world: World, request_id: str, signature: Signature) -> Attempt:
    """Find out who signed, and prove that they did. Raises Refused, alike for what does not exist and what is wrong."""
    credential = await credentials.by_key(world.db, signature.fingerprint)
    account = await people.by_id(world.db, credential.person) if credential else None
    if credential is None or account is None:
        raise Refused(
            f"Nobody here has enrolled the key {signature.fingerprint}.",
            code="unknown_key",
            next_step="Add its public key in Settings, and let another person confirm it.",
        )
    if credential.kind is Kind.PASSKEY:
        raise Refused(
            "A passkey signs on the request's page.", code="passkey", next_step="Open the request in the browser."
        )
    proof = prove(credential, signature.armored, await _text(world, request_id))
    return Attempt(account.person, Via.SIGNATURE, 0.0, proof.digest, proof)


async def _text(world: World, request_id: str) -> str:
    """Return the warrant's text, or nothing, over which no signature is: for a short id too, which could be guessed."""
    if len(request_id) != _ID_LETTERS:
        return ""
    try:
        request = await requests.load(world.db, request_id)
    except NotFound:
        return ""
    return await envelope.approved_text(world.db, request) if request.warrant else ""
