"""The envelope of a run: the approved text and the signatures over it, each proved to be there before anything is sent.

A sealed host gets both and checks them itself; what is checked here spares it nothing. It decides nothing and sends
nothing. Keeps law 5 on the server's side: a text or a signature that is not what the log names stops everything.
"""

from app.core.errors import Broken, Refused
from app.core.lifecycle import Request
from app.core.warrant import digest_of
from app.identity.sshkeys import verify
from app.store import requests
from app.store.engine import Database


async def approved_text(db: Database, request: Request) -> str:
    """Return the warrant's text, proved to be the one that was approved. Raises Broken."""
    text = await requests.text(db, request.warrant) if request.warrant else None
    if text is None or digest_of(text) != request.digest:
        raise _broken("The approved text is not in the store as it was approved.", "warrant_missing")
    return text


async def signatures(db: Database, request: Request, text: str) -> tuple[str, ...]:
    """Return the approvals' SSH signatures over the text, in the order of the approvals. Raises Broken.

    A click has none. One that was deleted, or is not over this text by the key that the log names, is not passed over.
    """
    signed = [each for each in request.approvals if each.signature_text]
    kept = await requests.texts(db, [each.signature_text for each in signed])
    for each in signed:
        armored = kept.get(each.signature_text)
        if armored is None:
            raise _broken("The signature of a yes is not in the store any more.", "signature_missing")
        try:
            is_same = verify(armored, text).fingerprint == each.key
        except Refused as error:
            raise _broken(f"The signature of a yes does not hold. {error.message}", "signature_broken") from error
        if not is_same:
            raise _broken("The signature of a yes is by another key than the log says.", "signature_broken")
    return tuple(kept[each.signature_text] for each in signed)


def _broken(message: str, code: str) -> Broken:
    return Broken(message, code=code, next_step="Run `askfirst audit verify`; nothing was sent to the host.")
