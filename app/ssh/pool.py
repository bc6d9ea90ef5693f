"""The connections to hosts: one to each at a time, shared by all who need it, kept while a request there is alive.

It starts nothing on a host and reads nothing from it. A connection that nobody needs is closed after a short while, one
whose registry entry has changed (address, key, user, jump host) is never used again, and one that has died is replaced
once, by a new one, before anything was sent over it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import asyncssh

from app.core.errors import Unreachable
from app.core.service import Host
from app.ssh.certificates import Certificates, Certified
from app.ssh.connect import CONNECT_SECONDS, Shown, dial
from app.ssh.keys import ClientKey
from app.ssh.link import Link, Route
from app.ssh.session import Talk

# More at once is slower (measured: 200 at once take 1.6 times as long), and one host drops sign-ins from 10 on.
CONNECTS_AT_ONCE = 20
IDLE_SECONDS = 15.0
# A kept connection that does not answer this soon is dead; a new one is made.
WAKE_SECONDS = 4.0

T = TypeVar("T")


class Connections:
    """All connections of this process. Not to be shared between event loops."""

    def __init__(
        self, key: ClientKey, certificates: Certificates | None = None, *, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        """Take the key to sign in with, and who makes certificates; nothing is connected yet."""
        self.key = key
        self._certificates = certificates
        self._idle_seconds = idle_seconds
        self._links: dict[str, Link] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._kept: set[str] = set()
        self._connects = asyncio.Semaphore(CONNECTS_AT_ONCE)

    def keep(self, host: str) -> None:
        """Keep the connection to a host from now on. Saying it twice is saying it once."""
        self._kept.add(host)
        if link := self._links.get(host):
            link.stop_clock()

    def release(self, host: str) -> None:
        """Close the connection once it has been idle for a while."""
        self._kept.discard(host)
        if link := self._links.get(host):
            self._rest(link)

    async def close(self) -> None:
        """Close all. What runs on a host goes on."""
        self._kept.clear()
        links = list(self._links.values())
        self._links.clear()
        for link in links:
            link.close()
        for link in links:
            await link.connection.wait_closed()

    @asynccontextmanager
    async def connection(self, host: Host, via: Sequence[Host] = ()) -> AsyncIterator[asyncssh.SSHClientConnection]:
        """Lend a connection. Raises Unreachable or HostKeyChanged."""
        link, _ = await self._take((*via, host))
        try:
            yield link.connection
        finally:
            self._give_back(link)

    @asynccontextmanager
    async def talk(self, host: Host, via: Sequence[Host], command: str) -> AsyncIterator[Talk]:
        """Start a program on a host, and leave it when done. Raises Unreachable: then it was given no input."""
        link, talk = await self._start((*via, host), command)
        try:
            yield talk
        except asyncio.CancelledError:
            link.doubt()  # out of patience: what hangs there must not take the place of others for ever
            raise
        finally:
            talk.leave()
            self._give_back(link)

    @asynccontextmanager
    async def talk_alone(
        self, host: Host, via: Sequence[Host], command: str, principal: str, serial: int
    ) -> AsyncIterator[Talk]:
        """Start a program over a connection of its own, signed in to by a certificate for nothing else; then end it."""
        link = await self._open((*via, host), Certified(self._certificates, principal, serial))
        try:
            talk = await link.start(command, CONNECT_SECONDS)
            try:
                yield talk
            finally:
                talk.leave()
        finally:
            self._end(link)

    async def _start(self, route: Route, command: str) -> tuple[Link, Talk]:
        return await self._begin(
            route, lambda link, was_open: link.start(command, WAKE_SECONDS if was_open else CONNECT_SECONDS)
        )

    async def _begin(self, route: Route, what: Callable[[Link, bool], Awaitable[T]]) -> tuple[Link, T]:
        """Begin something on a link. Where one that was kept proves dead, once more on a new one: nothing was sent."""
        link, was_open = await self._take(route)
        try:
            return link, await what(link, was_open)
        except Unreachable:
            self._give_back(link)
            await asyncio.sleep(0)  # a connection that has just been lost is known to be closed one turn later
            if not was_open or link.is_live:
                raise
        except BaseException:
            self._give_back(link)
            raise
        link, _ = await self._take(route)
        try:
            return link, await what(link, False)
        except BaseException:
            self._give_back(link)
            raise

    async def _take(self, route: Route) -> tuple[Link, bool]:
        """Return a live link along a route, and whether it was open before."""
        name = route[-1].name
        async with self._locks.setdefault(name, asyncio.Lock()):
            link = self._links.get(name)
            if link and link.route == route and link.is_live:
                link.take()
                return link, True
            if link:
                self._forget(link)
            link = await self._open(route)
            self._links[name] = link
            return link, False

    async def _open(self, route: Route, shown: Shown | None = None) -> Link:
        if len(route) == 1:
            return Link(route, await self._dial(route[0], None, shown), None)

        async def beyond(jump: Link, was_open: bool) -> asyncssh.SSHClientConnection:
            if was_open:  # else a silence from the host behind it would not tell which of the two is dead
                await jump.wake(WAKE_SECONDS)
            return await self._dial(route[-1], (route[-2], jump.connection), shown)

        below, connection = await self._begin(route[:-1], beyond)
        return Link(route, connection, below)

    async def _dial(
        self, host: Host, jump: tuple[Host, asyncssh.SSHClientConnection] | None, shown: Shown | None
    ) -> asyncssh.SSHClientConnection:
        """Sign in, by what is given, else by what the host's entry asks for: a certificate to look, or our key."""
        usual = Certified(self._certificates) if host.certificates else self.key
        async with self._connects:
            return await dial(host, shown or usual, jump=jump)

    def _give_back(self, link: Link) -> None:
        link.uses -= 1
        if link.uses:
            return
        if self._links.get(link.route[-1].name) is link and link.is_live:
            self._rest(link)
        else:
            self._end(link)

    def _rest(self, link: Link) -> None:
        """Start the clock of an idle connection, unless a request needs it."""
        if link.uses or link.route[-1].name in self._kept:
            return
        link.stop_clock()
        link.clock = asyncio.get_running_loop().call_later(self._idle_seconds, self._forget, link)

    def _forget(self, link: Link) -> None:
        """Let nobody else use a link; it ends with the last of those who do."""
        if self._links.get(link.route[-1].name) is link:
            del self._links[link.route[-1].name]
        if not link.uses:
            self._end(link)

    def _end(self, link: Link) -> None:
        link.close()
        if link.below:
            below, link.below = link.below, None
            self._give_back(below)
