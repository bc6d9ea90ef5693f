"""Making a page: the template environment, and what every page shows around its own content.

It reads the store for the count of what waits and for freezes, and decides nothing. Templates escape everything;
there is no ``safe`` filter to switch that off, and an unknown name in a template is an error and not an empty word
(law 13)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from app import __version__
from app.core.display import visible
from app.core.policy import Person, Role
from app.flow.ports import World
from app.identity.passkeys import Place, place_of
from app.paths import TEMPLATES
from app.store import freezes as switches
from app.store.freezes import Freeze
from app.store.sessions import Session
from app.web import times
from app.web.waiting import for_person
from app.web.words import SAID

THEMES = ("system", "light", "dark")
THEME_COOKIE = "askfirst_theme"
KEYS_COOKIE = "askfirst_keys"


@dataclass(frozen=True)
class Site:
    """One installation's pages: where they are reached, and the mark of each static file."""

    base_url: str
    marks: Mapping[str, str]

    @property
    def is_https(self) -> bool:
        """Whether browsers reach it over TLS."""
        return urlsplit(self.base_url).scheme == "https"

    @property
    def cookie(self) -> str:
        """The session cookie's name. The prefix makes a browser insist on Secure, so it needs TLS."""
        return "__Host-askfirst" if self.is_https else "askfirst"

    @cached_property
    def place(self) -> Place | None:
        """Where passkeys belong, None where browsers have none for this address."""
        return place_of(self.base_url)

    @cached_property
    def templates(self) -> Environment:
        """The templates, compiled once."""
        made = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        del made.filters["safe"]
        made.filters |= {"visible": _visible, "coded": _coded, "pair": _pair}
        made.filters |= {"iso": times.iso, "clock": times.clock, "span": times.span}
        made.globals |= {"static": self._static, "version": __version__}
        return made

    def _static(self, name: str) -> str:
        return f"/static/{name}?v={self.marks[name]}"


@dataclass(frozen=True, slots=True)
class Visit:
    """A signed-in person's browser, for the length of one request."""

    world: World
    session: Session
    secret: str

    @property
    def person(self) -> Person:
        """Who it is."""
        return self.session.person


@dataclass(frozen=True, slots=True)
class Link:
    """One entry of the main menu."""

    href: str
    word: str
    is_here: bool
    count: int = 0


@dataclass(frozen=True, slots=True)
class Banner:
    """A freeze, as the line on top of each page shows it."""

    words: str
    reason: str


@dataclass(frozen=True, slots=True)
class Page:
    """What stands around a page's own content."""

    theme: str
    has_keys: bool = True
    person: Person | None = None
    csrf: str = ""
    links: tuple[Link, ...] = ()
    waiting: int = 0
    freezes: tuple[Banner, ...] = ()
    said: str = ""


async def render(http: Request, template: str, status: int = 200, /, **values: Any) -> HTMLResponse:
    """Render a template for whoever is asking. Everything on a page is told by one time."""
    site: Site = http.app.state.site
    world: World = http.app.state.world
    page, now = await _page(http), world.clock.now()
    text = site.templates.get_template(template).render(page=page, now=now, **values)
    return HTMLResponse(text, status_code=status)


def scope_words(scope: str) -> str:
    """Write a freeze's scope for people."""
    kind, _, name = scope.partition(":")
    return f"the {kind} {name}" if name else "everything"


async def _page(request: Request) -> Page:
    theme = request.cookies.get(THEME_COOKIE, "system")
    theme = theme if theme in THEMES else "system"
    visit: Visit | None = getattr(request.state, "visit", None)
    has_keys = request.cookies.get(KEYS_COOKIE) != "off"
    if visit is None:
        return Page(theme, has_keys)
    frozen = await switches.current(visit.world.db)
    waiting = len(await for_person(visit.world, visit.person, frozen)) if Role.APPROVER in visit.person.roles else 0
    return Page(
        theme=theme,
        has_keys=has_keys,
        person=visit.person,
        csrf=visit.session.csrf,
        links=tuple(_links(visit.person, request.url.path, waiting)),
        waiting=waiting,
        freezes=_banners(frozen),
        said=SAID.get(request.query_params.get("said", ""), ""),
    )


def _banners(frozen: Sequence[Freeze]) -> tuple[Banner, ...]:
    return tuple(Banner(scope_words(each.scope), each.reason) for each in frozen)


def _links(person: Person, path: str, waiting: int) -> list[Link]:
    seen = [("/", "Inbox"), ("/services", "Services"), ("/hosts", "Hosts"), ("/history", "History")]
    if person.roles & {Role.AUDITOR, Role.ADMIN}:
        seen.append(("/audit", "Audit"))
    if Role.ADMIN in person.roles:
        seen.append(("/people", "People"))
    seen.append(("/settings", "Settings"))
    return [Link(href, word, _is_here(href, path), waiting if href == "/" else 0) for href, word in seen]


def _is_here(href: str, path: str) -> bool:
    if href == "/":
        return path == "/"
    return path == href or path.startswith(f"{href}/")


def _visible(text: object, cap: int = 2_000, *, block: bool = False) -> str:
    return visible(str(text), cap, "\n\t" if block else "")


def _coded(text: str) -> Markup:
    """Set what stands between backticks as code. All of it is escaped: it may be a host's own words."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return Markup.escape(text)
    return Markup("").join(Markup("<code>{}</code>").format(part) if n % 2 else part for n, part in enumerate(parts))


def _pair(value: str) -> tuple[str, str]:
    """Return what a list of choices wants of a value that is its own word."""
    return value, value
