"""People: who there is, with which roles and groups, and who could approve what. The flow holds the rules."""

from dataclasses import dataclass

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.core.errors import NotFound, Refused
from app.core.policy import Person, Role, Rule, approver_refusal, groups_in_words
from app.core.registry import rules
from app.flow import people as flow
from app.statuses import status_of
from app.store import people, services
from app.store.people import Account
from app.web import forms
from app.web.deps import SignedIn, may_read
from app.web.keyring import keyring, keys_of
from app.web.pages import Site, Visit, render
from app.web.words import ROLES

router = APIRouter()
_ROLE_FIELDS = r"role\.(requester|approver|editor|auditor|admin)"
_FIELDS = {
    "bad_email": "email",
    "email_taken": "email",
    "no_role": "role.requester",
    "bad_group": "groups",
    "password_short": "password",
    "last_admin": "role.admin",
}


@dataclass(frozen=True, slots=True)
class Able:
    """Who could approve by one rule."""

    rule: Rule
    people: tuple[Person, ...]

    @property
    def groups(self) -> str:
        """The groups that the rule names, in words."""
        return groups_in_words(self.rule.groups)

    @property
    def is_enough(self) -> bool:
        """Whether there are as many as the rule asks for, and one to spare for a request of their own."""
        return len({person.human for person in self.people}) > self.rule.approvers


@router.get("/people")
async def every(request: Request, visit: SignedIn) -> HTMLResponse:
    """List everybody, and who could approve what."""
    may_read(visit.person, Role.ADMIN)
    return await _list(request, visit, {})


@router.post("/people")
async def add(request: Request, visit: SignedIn) -> Response:
    """Add a person."""
    values = await forms.read(
        request, "name", "email", "password", "groups", csrf=visit.session.csrf, many=(_ROLE_FIELDS,)
    )
    try:
        await flow.add(
            visit.world,
            visit.person,
            name=values["name"],
            email=values["email"],
            roles=_roles(values),
            groups=_groups(values),
            password=values["password"],
        )
    except Refused as error:
        if error.code not in _FIELDS:
            raise
        return await _list(request, visit, values, _problem(error), _status_of(error))
    return RedirectResponse("/people?said=added", 303)


@router.get("/people/{person_id}")
async def one(request: Request, visit: SignedIn, person_id: str) -> HTMLResponse:
    """Show one person's rights."""
    may_read(visit.person, Role.ADMIN)
    account = await _account(visit, person_id)
    values = {f"role.{role}": "yes" for role in account.person.roles}
    values |= {"groups": ", ".join(sorted(account.person.groups))}
    values |= {"is_enabled": "yes"} if account.person.is_enabled else {}
    return await _one(request, visit, account, values)


@router.post("/people/{person_id}")
async def change(request: Request, visit: SignedIn, person_id: str) -> Response:
    """Set a person's roles and groups, and whether they may sign in."""
    values = await forms.read(
        request, "groups", csrf=visit.session.csrf, optional=("is_enabled",), many=(_ROLE_FIELDS,)
    )
    try:
        await flow.set_rights(
            visit.world,
            visit.person,
            person_id,
            _roles(values),
            _groups(values),
            is_enabled=values["is_enabled"] == "yes",
        )
    except Refused as error:
        if error.code not in _FIELDS:
            raise
        account = await _account(visit, person_id)
        return await _one(request, visit, account, values, problems=_problem(error), status=_status_of(error))
    return RedirectResponse("/people?said=saved", 303)


@router.post("/people/{person_id}/password")
async def password(request: Request, visit: SignedIn, person_id: str) -> Response:
    """Set somebody's password; all of their sessions end."""
    values = await forms.read(request, "password", csrf=visit.session.csrf)
    may_read(visit.person, Role.ADMIN)
    account = await _account(visit, person_id)
    try:
        await flow.set_password(visit.world, visit.person, person_id, values["password"])
    except Refused as error:
        if error.code != "password_short":
            raise
        return await _one(request, visit, account, {}, problems=_problem(error), status=422)
    return RedirectResponse("/people?said=saved", 303)


def _status_of(error: Refused) -> int:
    """Return the status of a form that comes back with something to mend."""
    return status_of(error) if status_of(error) == 409 else 422


async def _list(
    request: Request,
    visit: Visit,
    values: dict[str, str],
    problems: dict[str, str] | None = None,
    status: int = 200,
) -> HTMLResponse:
    everyone = await people.everyone(visit.world.db)
    registry = await services.registry(visit.world.db)
    site: Site = request.app.state.site
    return await render(
        request,
        "people/list.html",
        status,
        keyring=await keyring(visit, site.place),
        everyone=everyone,
        able=[Able(rule, _able(rule, everyone)) for rule in rules(registry)],
        roles=ROLES,
        values=values,
        problems=problems or {},
    )


def _able(rule: Rule, everyone: list[Account]) -> tuple[Person, ...]:
    return tuple(each.person for each in everyone if approver_refusal(each.person, rule.groups) is None)


async def _one(
    request: Request,
    visit: Visit,
    account: Account,
    values: dict[str, str],
    *,
    problems: dict[str, str] | None = None,
    status: int = 200,
) -> HTMLResponse:
    site: Site = request.app.state.site
    return await render(
        request,
        "people/one.html",
        status,
        account=account,
        keyring=await keyring(visit, site.place),
        keys=await keys_of(visit, site.place, account.person),
        roles=ROLES,
        values=values,
        problems=problems or {},
    )


async def _account(visit: Visit, person_id: str) -> Account:
    account = await people.by_id(visit.world.db, person_id)
    if account is None:
        raise NotFound("There is no such person.", code="no_such_person", next_step="Open the page People.")
    return account


def _roles(values: dict[str, str]) -> list[Role]:
    return [role for role in Role if values.get(f"role.{role}") == "yes"]


def _groups(values: dict[str, str]) -> list[str]:
    return [group for group in values["groups"].replace(",", " ").split() if group]


def _problem(error: Refused) -> dict[str, str]:
    return {_FIELDS[error.code]: f"{error.message} {error.next_step}"}
