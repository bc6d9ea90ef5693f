"""The wall around every route: response headers, who may post from where, how much may be posted, and no traceback.

It knows no route and no person: whether somebody may do what they ask is for the guard in ``core``. One ASGI layer,
outermost of ours, so that a static file, an error and a stream carry the same headers.

A method that may change something passes only from our own pages: ``Sec-Fetch-Site: same-origin``, or, from a browser
that does not send it, an ``Origin`` that is the configured base URL. ``Host`` and ``X-Forwarded-*`` are never looked
at. Referrers stay within our own origin, not away altogether: with ``no-referrer`` a browser posts ``Origin: null``,
and the second of the two checks could never pass. Addresses for programs take no cookie, so they need no such check.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Protocol
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.errors import AskfirstError, Broken, Refused

BODY_BYTES = 64 * 1024
BODY_SECONDS = 20.0
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "x-frame-options": "DENY",
}
_FOR_PROGRAMS = re.compile(r"/api/.*|/requests/[^/]+/signed")
_LOG = structlog.get_logger("askfirst.web")


class Teller(Protocol):
    """Tells the browser (or a program) of an error in the way it understands."""

    def __call__(self, scope: Scope, error: AskfirstError) -> Awaitable[ASGIApp]:
        """Return the response."""


class Wall:
    """The ASGI layer. ``tell`` makes the response for a refusal of its own, and for what no route has caught."""

    def __init__(self, app: ASGIApp, base_url: str, tell: Teller, body_seconds: float = BODY_SECONDS) -> None:
        """Stand before ``app``, which is reached at ``base_url``."""
        self._app = app
        self._tell = tell
        self._body_seconds = body_seconds
        parts = urlsplit(base_url)
        self._origin = f"{parts.scheme}://{parts.netloc}".lower()
        self._headers = dict(HEADERS)
        if parts.scheme == "https":
            self._headers["strict-transport-security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one HTTP request through, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def headed(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        try:
            self._from_our_own_page(scope)
            whole = await self._whole_body(scope, receive)
            if whole is not None:
                await self._app(scope, whole, headed)
        except AskfirstError as error:
            if begun:
                raise
            await (await self._tell(scope, error))(scope, receive, headed)
        except Exception:
            _LOG.exception("a page failed", path=scope["path"])
            if begun:
                raise
            await (await self._tell(scope, unforeseen()))(scope, receive, headed)

    def _from_our_own_page(self, scope: Scope) -> None:
        if scope["method"] in SAFE or _FOR_PROGRAMS.fullmatch(scope["path"]):
            return
        headers = Headers(scope=scope)
        site = headers.get("sec-fetch-site")
        if site == "same-origin" or (site is None and headers.get("origin", "").lower() == self._origin):
            return
        raise Refused(
            "This was not sent from a page of Askfirst, so nothing was done.",
            code="cross_site",
            next_step="Open the page here and press the button there.",
        )

    async def _whole_body(self, scope: Scope, receive: Receive) -> Receive | None:
        """Take the body in, no larger and no slower than is fair, and return a ``receive`` that hands it on.

        None where whoever sent it went away in the middle: a form that lacks its end says something else, and nobody
        is left to be told.
        """
        if scope["method"] in SAFE:
            return receive
        announced = Headers(scope=scope).get("content-length", "")
        body = bytearray()
        try:
            async with asyncio.timeout(self._body_seconds):
                more = not announced.isdecimal() or int(announced) <= BODY_BYTES
                if not more:
                    raise _too_large()
                while more:
                    message = await receive()
                    if message["type"] != "http.request":
                        return None
                    body += message.get("body", b"")
                    if len(body) > BODY_BYTES:
                        raise _too_large()
                    more = message.get("more_body", False)
        except TimeoutError as error:
            raise Refused(
                "The rest of what you sent did not arrive in time.", code="too_slow", next_step="Send it again."
            ) from error
        if announced.isdecimal() and len(body) != int(announced):
            raise Refused(
                "What you sent did not arrive as long as it was announced, so nothing was done.",
                code="unreadable_form",
                next_step="Send it again.",
            )
        return _replay(bytes(body), receive)


def unforeseen() -> Broken:
    """Return the error that stands for whatever nobody foresaw."""
    return Broken(
        "Something went wrong inside Askfirst.",
        code="unforeseen",
        next_step="Try again. If it happens again, tell your administrator the time: the log holds the reason.",
    )


def _too_large() -> Refused:
    return Refused(
        f"That is more than {BODY_BYTES // 1024} KiB, and was not read.",
        code="too_large",
        next_step="Send less; link to the rest.",
    )


def _replay(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
