"""Keys: adding, confirming, naming and removing them. The flow holds every rule.

The page's script asks first what to ask of the browser (two addresses that answer in JSON); all else are plain forms.
"""

from collections.abc import Awaitable, Mapping

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.core.errors import AskfirstError, Refused
from app.flow import credentials as flow
from app.flow.people import prove_again
from app.web import forms
from app.web.deps import SignedIn, local_path
from app.web.keyring import owner_of
from app.web.pages import Visit
from app.web.routes.passkeys import asked, place_of, told
from app.web.routes.settings import mend

router = APIRouter()
_AGAIN = "key-password"


@router.post("/settings/keys/again")
async def again(request: Request, visit: SignedIn) -> Response:
    """Take the password once more, so that keys can be changed for a while."""
    form = await forms.read(request, _AGAIN, "back", csrf=visit.session.csrf)
    try:
        await prove_again(visit.world, visit.secret, visit.person, form[_AGAIN])
    except Refused as error:
        return await _mend(request, visit, error, {"password_wrong": _AGAIN, "throttled": _AGAIN})
    return RedirectResponse(f"{local_path(form['back'])}?said=again", 303)


@router.post("/settings/passkeys/options")
async def options(request: Request, visit: SignedIn) -> Response:
    """Tell the browser what to ask for a new passkey."""
    try:
        await forms.read(request, csrf=visit.session.csrf)
        return asked(await flow.options(visit.world, place_of(request), owner_of(visit)))
    except AskfirstError as error:
        return told(error)


@router.post("/settings/passkeys")
async def add_passkey(request: Request, visit: SignedIn) -> Response:
    """Keep a passkey that the browser has just made."""
    form = await forms.read(request, "passkey_name", "answer", csrf=visit.session.csrf)
    act = flow.enrol_passkey(visit.world, place_of(request), owner_of(visit), form["passkey_name"], form["answer"])
    return await _do(request, visit, act, said="enrolled", field="add-passkey", name="passkey_name", values=form)


@router.post("/settings/keys")
async def add_ssh_key(request: Request, visit: SignedIn) -> Response:
    """Keep an SSH public key."""
    form = await forms.read(request, "ssh_name", "public_key", csrf=visit.session.csrf)
    act = flow.enrol_ssh_key(visit.world, owner_of(visit), form["ssh_name"], form["public_key"])
    return await _do(request, visit, act, said="enrolled", field="public_key", name="ssh_name", values=form)


@router.post("/settings/keys/confirm/options")
async def options_to_confirm(request: Request, visit: SignedIn) -> Response:
    """Tell the browser what to ask of an older passkey that vouches for a new key."""
    try:
        form = await forms.read(request, "key", csrf=visit.session.csrf)
        return asked(await flow.options_to_confirm(visit.world, place_of(request), owner_of(visit), form["key"]))
    except AskfirstError as error:
        return told(error)


@router.post("/settings/keys/confirm")
async def confirm_own(request: Request, visit: SignedIn) -> Response:
    """Confirm one's own new key by an older passkey."""
    form = await forms.read(request, "key", "answer", csrf=visit.session.csrf)
    act = flow.confirm_own(visit.world, place_of(request), owner_of(visit), form["key"], form["answer"])
    return await _do(request, visit, act, said="confirmed")


@router.post("/settings/keys/rename")
async def rename(request: Request, visit: SignedIn) -> Response:
    """Give one's own key another name."""
    form = await forms.read(request, "key", "key_name", csrf=visit.session.csrf)
    act = flow.rename(visit.world, owner_of(visit), form["key"], form["key_name"])
    return await _do(request, visit, act, said="saved")


@router.post("/settings/keys/remove")
async def remove(request: Request, visit: SignedIn) -> Response:
    """Take one's own key out."""
    form = await forms.read(request, "key", csrf=visit.session.csrf)
    act = flow.remove(visit.world, owner_of(visit), form["key"])
    return await _do(request, visit, act, said="removed")


@router.post("/people/keys/confirm")
async def confirm(request: Request, visit: SignedIn) -> Response:
    """Vouch for another human's key."""
    form = await forms.read(request, "key", "back", csrf=visit.session.csrf)
    await flow.confirm(visit.world, owner_of(visit), form["key"])
    return RedirectResponse(f"{local_path(form['back'])}?said=confirmed", 303)


@router.post("/people/keys/remove")
async def remove_for(request: Request, visit: SignedIn) -> Response:
    """Take another person's key out."""
    form = await forms.read(request, "key", "back", csrf=visit.session.csrf)
    await flow.remove(visit.world, owner_of(visit), form["key"])
    return RedirectResponse(f"{local_path(form['back'])}?said=removed", 303)


async def _do(
    request: Request,
    visit: Visit,
    act: Awaitable[object],
    *,
    said: str,
    field: str = "passkeys",
    name: str = "",
    values: Mapping[str, str] | None = None,
) -> Response:
    """Do one thing on the visitor's own keys, and say on the same page how it went: at ``field``, or ``name``'s."""
    try:
        await act
    except Refused as error:
        where = {error.code: field, "step_up_required": _AGAIN, "key_name": name or field}
        return await _mend(request, visit, error, where, values)
    return RedirectResponse(f"/settings?said={said}#passkeys", 303)


async def _mend(
    request: Request, visit: Visit, error: Refused, fields: Mapping[str, str], values: Mapping[str, str] | None = None
) -> HTMLResponse:
    status = 403 if error.code in {"step_up_required", "password_wrong"} else 422
    return await mend(request, visit, error, fields, values=values, status=status)
