"""Asking a running server through its API, with a token; what it answers wrong becomes one of our errors.

It holds no rule: the server decides. A question carries a key made here, so that one which has to be sent again because
the line was lost is still one question. What is followed is taken up again for about a minute after the last line
that was heard: longer than a server or its database takes to start.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx

from app.core.errors import AskfirstError, Lost, NotFound, Refused, Unreachable

_SECONDS = 30.0
_TRIES = 3
_PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
_AWAY = (502, 503, 504)


@dataclass(frozen=True, slots=True)
class Server:
    """A server's API, reached with one token. ``pauses`` are the seconds before each try to follow."""

    client: httpx.AsyncClient
    pauses: tuple[float, ...] = _PAUSES

    async def get(self, path: str) -> Any:
        """Return what is at an address. Raises Refused, NotFound or Unreachable."""
        return await self._sent("GET", path)

    async def post(self, path: str, body: dict[str, Any] | None = None, *, key: str | None = None) -> Any:
        """Send a question. With a key it is sent again where the line was lost, and counts once."""
        headers = {"Idempotency-Key": key} if key else {}
        for _ in range(_TRIES - 1 if key else 0):
            with contextlib.suppress(Unreachable):
                return await self._sent("POST", path, json=body, headers=headers)
        return await self._sent("POST", path, json=body, headers=headers)

    async def follow(self, request_id: str) -> AsyncIterator[tuple[str, Any]]:
        """Yield the items of a request's stream until it has ended; a lost line is taken up where it was lost."""
        last, lost = "", 0
        while lost < len(self.pauses):
            await asyncio.sleep(self.pauses[lost])
            try:
                async for kind, data, mark in self._items(f"/api/v1/requests/{request_id}/events", last):
                    last, lost = mark, 0
                    if kind:
                        yield kind, data
                    if kind == "ended":
                        return
            except httpx.HTTPError:
                pass
            lost += 1
        raise Lost(
            "The server no longer answers; what became of the request is not known here.",
            code="server_lost",
            next_step=f"Look again: askfirst request show {request_id}",
        )

    async def _sent(self, method: str, path: str, **given: Any) -> Any:
        try:
            response = await self.client.request(method, path, **given)
        except httpx.HTTPError as error:
            raise _no_answer(self.client) from error
        if response.is_success:
            return response.json()
        raise problem(response)

    async def _items(self, path: str, last: str) -> AsyncIterator[tuple[str, Any, str]]:
        """Yield each item with its mark; one without a name where the server only says that it is there."""
        headers = {"Last-Event-ID": last} if last else {}
        async with self.client.stream("GET", path, headers=headers, timeout=httpx.Timeout(_SECONDS)) as response:
            if response.status_code in _AWAY:
                response.raise_for_status()  # as a lost line is: an HTTPError
            if not response.is_success:
                await response.aread()
                raise problem(response)
            item: dict[str, str] = {}
            async for line in response.aiter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    item[name] = value
                else:
                    last = item.get("id", last)
                    yield item.get("event", ""), json.loads(item.get("data", "null")), last
                    item = {}


@contextlib.asynccontextmanager
async def connected(base_url: str, token: str) -> AsyncIterator[Server]:
    """Open a connection to a server. Raises Refused where there is no token."""
    if not token:
        raise Refused(
            "Asking goes through the running server, and needs a token.",
            code="no_token",
            next_step="Make one with `askfirst token create`, and set ASKFIRST_TOKEN (and ASKFIRST_BASE_URL).",
        )
    headers = {"Authorization": f"Bearer {token}"}
    try:
        client = httpx.AsyncClient(base_url=base_url, headers=headers, timeout=_SECONDS, trust_env=False)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise Refused(
            f"ASKFIRST_BASE_URL or ASKFIRST_TOKEN cannot be used: {error}.",
            code="bad_setting",
            next_step="Write the address as http://127.0.0.1:8770, and the token as it was printed.",
        ) from error
    async with client:
        yield Server(client)


def problem(response: httpx.Response) -> AskfirstError:
    """Return the error that a problem document tells of."""
    try:
        told = response.json()
        detail, code, next_step = str(told["detail"]), str(told["code"]), str(told["next"])
        fields = "".join(f" {each['field']}: {each['message']}." for each in told.get("errors", ()))
    except (ValueError, KeyError, TypeError):
        return Unreachable(
            f"{response.url.host} answered with status {response.status_code}, and not as Askfirst does.",
            code="not_askfirst",
            next_step="Check ASKFIRST_BASE_URL, and what stands before the server.",
        )
    kind: type[AskfirstError] = NotFound if response.status_code == 404 else Refused
    if response.status_code >= 500:
        kind = Unreachable
    return kind(detail + fields, code=code, next_step=next_step)


def _no_answer(client: httpx.AsyncClient) -> Unreachable:
    return Unreachable(
        f"No server answers at {client.base_url}.",
        code="no_server",
        next_step="Start it with `askfirst serve`, or set ASKFIRST_BASE_URL to where it is.",
    )
