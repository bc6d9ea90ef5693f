"""Decisions on a request: approve, deny, cancel, add a stronger reason, say that it is done by hand, give it up.

Each is a POST that ends on the request's own page, fresh. Nothing here judges whether a yes counts: the flow's guard
does, and what it says is shown. Keeps law 5: the form carries the digest that its reader saw."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from app.core.errors import Conflict, IllegalEvent, Refused
from app.core.lifecycle import Request as Asked
from app.core.policy import Attempt, Via
from app.flow import ask, decide
from app.flow.by_hand import say_done
from app.flow.passkeys import prove_yes
from app.flow.people import prove_again
from app.flow.reconcile import give_up
from app.statuses import status_of
from app.store import people, requests
from app.web import forms
from app.web.deps import SignedIn
from app.web.pages import Site, Visit
from app.web.show import Notice, show
from app.web.story import decided_by
from app.web.times import clock

router = APIRouter()


@router.post("/requests/{request_id}/approve")
async def approve(request: Request, visit: SignedIn, request_id: str) -> Response:
    """Write the visitor's yes, with the passkey's answer where it came with one.

    Where the session is too old for a click, the same page asks for the password first.
    """
    form = await forms.read(request, "digest", csrf=visit.session.csrf, optional=("password", "assertion"))
    world = visit.world
    site: Site = request.app.state.site
    attempt = Attempt(visit.person, Via.SESSION, visit.session.signed_in_at, form["digest"])
    try:
        if form["assertion"]:
            proof = await prove_yes(world, site.place, visit.person, request_id, form["assertion"])
            attempt = replace(attempt, proof=proof)
        if form["password"]:
            await prove_again(world, visit.secret, visit.person, form["password"])
            attempt = replace(attempt, signed_in_at=await world.time())
        await decide.approve(world, attempt, request_id)
    except Refused as error:
        return await _refused(request, visit, request_id, error, field="password")
    return RedirectResponse(f"/requests/{request_id}", 303)


@router.post("/requests/{request_id}/deny")
async def deny(request: Request, visit: SignedIn, request_id: str) -> Response:
    """Write the visitor's no, with its reason."""
    form = await forms.read(request, "digest", "reason", csrf=visit.session.csrf)
    return await _do(
        request,
        visit,
        request_id,
        lambda: decide.deny(
            visit.world, visit.person, Via.SESSION, request_id, digest=form["digest"], reason=form["reason"]
        ),
        field="reason",
        text=form["reason"],
    )


@router.post("/requests/{request_id}/cancel")
async def cancel(request: Request, visit: SignedIn, request_id: str) -> Response:
    """Take a request back."""
    await forms.read(request, csrf=visit.session.csrf)
    return await _do(request, visit, request_id, lambda: decide.cancel(visit.world, visit.person, request_id))


@router.post("/requests/{request_id}/insist")
async def insist(request: Request, visit: SignedIn, request_id: str) -> Response:
    """Add the requester's stronger reason."""
    form = await forms.read(request, "reason", csrf=visit.session.csrf)
    return await _do(
        request,
        visit,
        request_id,
        lambda: ask.insist(visit.world, visit.person, request_id, form["reason"]),
        field="more",
        text=form["reason"],
    )


@router.post("/requests/{request_id}/done")
async def done(request: Request, visit: SignedIn, request_id: str) -> Response:
    """Take the word of whoever restarted it by hand."""
    await forms.read(request, csrf=visit.session.csrf)
    return await _do(request, visit, request_id, lambda: say_done(visit.world, visit.person, request_id))


@router.post("/requests/{request_id}/give-up")
async def end_search(request: Request, visit: SignedIn, request_id: str) -> Response:
    """End the search for what a run did, with an admin's reason."""
    form = await forms.read(request, "reason", csrf=visit.session.csrf)
    return await _do(
        request,
        visit,
        request_id,
        lambda: give_up(visit.world, visit.person, request_id, form["reason"]),
        field="search",
        text=form["reason"],
    )


async def _do(
    request: Request,
    visit: Visit,
    request_id: str,
    act: Callable[[], Awaitable[Asked]],
    *,
    field: str = "",
    text: str = "",
) -> Response:
    try:
        await act()
    except Refused as error:
        return await _refused(request, visit, request_id, error, field=field, text=text)
    return RedirectResponse(f"/requests/{request_id}", 303)


async def _refused(
    request: Request, visit: Visit, request_id: str, error: Refused, *, field: str, text: str = ""
) -> Response:
    """Show the fresh page with what stood in the way; what was typed is kept."""
    asked = await requests.load(visit.world.db, request_id)
    values = {field: text} if text else {}
    if error.code in {"reason_empty", "reason_too_long", "password_wrong", "step_up_required"}:
        wrong = {field: error.message if error.code == "step_up_required" else f"{error.message} {error.next_step}"}
        status = 403 if field == "password" else 422
        return await show(request, visit, asked, status, problems=wrong, values=values, notice=_head(error))
    if error.code == "already_approved":
        return await show(request, visit, asked, 200, notice=await _late(visit, asked, error))
    late = await _late(visit, asked, error) if isinstance(error, Conflict | IllegalEvent) else _head(error)
    return await show(request, visit, asked, status_of(error), notice=late, values=values)


def _head(error: Refused) -> Notice:
    return Notice(error.message, error.next_step)


async def _late(visit: Visit, asked: Asked, error: Refused) -> Notice:
    """Say who was first: nothing was changed by this click."""
    events = await requests.events(visit.world.db, asked.id)
    decided = decided_by(events, await people.names(visit.world.db))
    if decided is None or error.code == "digest_differs":
        return _head(error)
    what, name, at = decided
    when = clock(at, visit.world.clock.now())
    return Notice(
        f"Already {what} by {name} at {when}.", "Your click changed nothing. This is how it stands now.", "wait"
    )
