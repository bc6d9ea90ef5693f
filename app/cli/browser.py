"""A person at a browser, for the demo's replay: signs in with a password, opens pages, presses buttons by their words.

It goes through the same pages, forms and sessions as anybody, so nothing is approved here that a click would not
approve. It runs no script and keeps one cookie jar.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

import httpx

from app.core.errors import Refused


@dataclass(slots=True)
class Form:
    """A form of a page: where it goes, its fields as they are filled in, and the words on its buttons."""

    action: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Page:
    """A page as it came: its address, status, text and forms."""

    path: str
    status: int
    text: str
    forms: tuple[Form, ...]

    def form(self, button: str) -> Form | None:
        """Return the form with this button."""
        return next((form for form in self.forms if button in form.buttons), None)


@dataclass(frozen=True, slots=True)
class Browser:
    """One person's browser."""

    client: httpx.AsyncClient

    async def open(self, path: str) -> Page:
        """Open a page of the site."""
        return _page(await self.client.get(path))

    async def press(self, page: Page, button: str, **typed: str) -> Page:
        """Press a button by its words, with what was typed into its form. Raises Refused where there is none."""
        form = page.form(button)
        if form is None:
            raise Refused(
                f"The page {page.path} has no button {button!r}.",
                code="no_button",
                next_step="Open it in a browser: it says why.",
            )
        return await self.post(form.action or page.path, {**form.fields, **typed})

    async def post(self, path: str, fields: dict[str, str]) -> Page:
        """Send a form, as a page of the site would."""
        return _page(await self.client.post(path, data=fields))


@contextlib.asynccontextmanager
async def signed_in(base_url: str, email: str, password: str) -> AsyncIterator[Browser]:
    """Open a browser and sign a person in."""
    headers = {"Origin": base_url, "Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
    async with httpx.AsyncClient(
        base_url=base_url, headers=headers, follow_redirects=True, timeout=60.0, trust_env=False
    ) as client:
        browser = Browser(client)
        await browser.press(await browser.open("/sign-in"), "Sign in", email=email, password=password)
        yield browser


class _Forms(HTMLParser):
    """Reads the forms out of a page. A field or a button may stand in its form, or name it by its id."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self._by_id: dict[str, Form] = {}
        self._around: Form | None = None
        self._button: tuple[Form | None, list[str]] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._around = self._named(given["id"]) if "id" in given else Form()
            self._around.action = given.get("action", "")
            self.found.append(self._around)
            return
        form = self._named(given["form"]) if "form" in given else self._around
        if tag in {"input", "textarea"} and form is not None and "name" in given:
            form.fields[given["name"]] = given.get("value", "")
        elif tag == "button":
            self._button = (form, [])

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._around = None
        elif tag == "button" and self._button is not None:
            form, words = self._button
            if form is not None:
                form.buttons.append(" ".join("".join(words).split()))
            self._button = None

    def handle_data(self, data: str) -> None:
        if self._button is not None:
            self._button[1].append(data)

    def _named(self, name: str) -> Form:
        return self._by_id.setdefault(name, Form())


def _page(response: httpx.Response) -> Page:
    reader = _Forms()
    reader.feed(response.text)
    return Page(response.url.path, response.status_code, response.text, tuple(reader.found))
