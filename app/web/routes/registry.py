"""The registry as forms: hosts, services and policies, with the same rules as the file. It applies nothing itself.

A saved form is one difference of the registry; where there is a second editor it waits for their yes, on its own page.
"""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.core.errors import NotFound
from app.core.policy import Role
from app.core.registry import Entry, Kind, Registry, with_entry
from app.flow.registry import change
from app.flow.registry_file import export
from app.managers import MANAGERS
from app.store import services
from app.web import forms
from app.web.deps import SignedIn, may_read
from app.web.entry import FIELDS, KINDS, ROWS, TICKS, read, row_count, values_of, wrong_with
from app.web.pages import Visit, render

router = APIRouter()
_HOMES = {"host": "/hosts", "service": "/services", "policy": "/registry"}
_MOST_SAID = 1_000
_STALE = "Somebody changed the registry since you opened this form. What you wrote is kept; check it and save again."


@router.get("/registry")
async def every(request: Request, visit: SignedIn) -> HTMLResponse:
    """Show the registry as a whole: its policies, what waits for a second editor, and the file it makes."""
    db = visit.world.db
    registry = await services.registry(db)
    return await render(
        request,
        "registry/registry.html",
        registry=registry,
        yaml=export(registry),
        waiting=await services.proposals(db),
        may_edit=Role.EDITOR in visit.person.roles,
    )


@router.get("/registry/{kinds}/new")
async def new(request: Request, visit: SignedIn, kinds: str) -> HTMLResponse:
    """Show an empty form, or one that is filled with what the address says: it is saved by nobody but the editor."""
    kind = _kind(visit, kinds)
    said = {name: request.query_params[name][:_MOST_SAID] for name in FIELDS[kind] if name in request.query_params}
    defaults = {
        "host": {"port": "22", "user": "askfirst"},
        "service": {"settle": "5s"},
        "policy": {"approvers": "1", "assurance": "click", "expires": "15m", "subject": "environment"},
    }
    return await _form(request, visit, kind, "", defaults[kind] | said, is_filled=len(said) > 1)


@router.get("/registry/{kinds}/{name}")
async def one(request: Request, visit: SignedIn, kinds: str, name: str) -> HTMLResponse:
    """Show the form of one entry."""
    kind = _kind(visit, kinds)
    return await _form(
        request, visit, kind, name, values_of(_entry(await services.registry(visit.world.db), kind, name))
    )


@router.post("/registry/{kinds}/new")
async def add(request: Request, visit: SignedIn, kinds: str) -> Response:
    """Add an entry."""
    return await _save(request, visit, _kind(visit, kinds), "")


@router.post("/registry/{kinds}/{name}")
async def save(request: Request, visit: SignedIn, kinds: str, name: str) -> Response:
    """Change an entry."""
    kind = _kind(visit, kinds)
    _entry(await services.registry(visit.world.db), kind, name)
    return await _save(request, visit, kind, name)


@router.post("/registry/{kinds}/{name}/remove")
async def remove(request: Request, visit: SignedIn, kinds: str, name: str) -> Response:
    """Take an entry out."""
    kind = _kind(visit, kinds)
    await forms.read(request, csrf=visit.session.csrf)
    registry = await services.registry(visit.world.db)
    _entry(registry, kind, name)
    return await finish(visit, with_entry(registry, kind, name, None), _HOMES[kind])


async def finish(visit: Visit, wanted: Registry, home: str) -> Response:
    """Make or propose a change, and go where it can be seen."""
    outcome = await change(visit.world, visit.person, wanted)
    if outcome.proposal is not None:
        return RedirectResponse(f"/changes/{outcome.proposal.id}", 303)
    return RedirectResponse(f"{home}?said={'saved' if outcome.changes else 'unchanged'}", 303)


async def _save(request: Request, visit: Visit, kind: Kind, name: str) -> Response:
    values = await forms.read(
        request, *FIELDS[kind], "revision", csrf=visit.session.csrf, optional=TICKS[kind], many=(ROWS,)
    )
    registry = await services.registry(visit.world.db)
    entry, problems = read(kind, values)
    if not problems:
        problems = wrong_with(registry, kind, entry)
    if name and entry.name != name:
        problems["of" if kind == "policy" else "name"] = "A name stays; add a new entry and remove this one instead."
    if not name and _find(registry, kind, entry.name) is not None:
        problems["of" if kind == "policy" else "name"] = f"There is a {kind} of this name already."
    status = 422
    if not problems and values["revision"] != str(registry.revision):
        problems, status = {"": _STALE}, 409
    if problems:
        return await _form(request, visit, kind, name, values, problems=problems, status=status)
    home = f"{_HOMES[kind]}/{entry.name}" if kind != "policy" else _HOMES[kind]
    return await finish(visit, with_entry(registry, kind, entry.name, entry), home)


async def _form(
    request: Request,
    visit: Visit,
    kind: Kind,
    name: str,
    values: dict[str, str],
    *,
    problems: dict[str, str] | None = None,
    status: int = 200,
    is_filled: bool = False,
) -> HTMLResponse:
    registry = await services.registry(visit.world.db)
    return await render(
        request,
        f"registry/{kind}.html",
        status,
        kind=kind,
        kinds=next(key for key, value in KINDS.items() if value == kind),
        name=name,
        values=values,
        problems=problems or {},
        registry=registry,
        rows=row_count(values),
        is_filled=is_filled,
        managers=[(each.name, each.label) for each in MANAGERS.values() if each.is_claimable],
    )


def _kind(visit: Visit, kinds: str) -> Kind:
    may_read(visit.person, Role.EDITOR)
    if kinds not in KINDS:
        raise NotFound("The registry has no such part.", next_step="It has hosts, services and policies.")
    return KINDS[kinds]


def _find(registry: Registry, kind: Kind, name: str) -> Entry | None:
    return next((entry for of_kind, of_name, entry in registry.entries() if (of_kind, of_name) == (kind, name)), None)


def _entry(registry: Registry, kind: Kind, name: str) -> Entry:
    found = _find(registry, kind, name)
    if found is None:
        raise NotFound(
            f"There is no {kind} {name[:60]!r} in the registry.", next_step="The page Registry lists all that there is."
        )
    return found
