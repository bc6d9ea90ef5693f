"""One connection along one route, with those who use it now and the sessions on it. Who may use it is for ``pool``.

A host allows only so many sessions over one connection (sshd: 10, some hosts: 1 or 2), and counts one until its program
has ended, even where we have gone away before. So a session's place is given back when its channel has closed on both
sides, and a host that refuses one after it has let others of ours in is asked again for a while.
"""

import asyncio

import asyncssh

from app.core.service import Host
from app.ssh import failures, session
from app.ssh.session import Talk

# Two of sshd's ten are left for whoever else uses the connection's account by hand.
SESSIONS_AT_ONCE = 8
# How long to wait for a place among our own sessions.
PLACE_SECONDS = 20.0
_ASK_AGAIN_SECONDS = 0.1

Route = tuple[Host, ...]


class Link:
    """The link to a jump host is used by each link that goes over it (``below``)."""

    def __init__(self, route: Route, connection: asyncssh.SSHClientConnection, below: "Link | None") -> None:
        """Take an open connection, used by one."""
        self.route = route
        self.connection = connection
        self.below = below
        self.uses = 1
        self.clock: asyncio.TimerHandle | None = None
        self._places = asyncio.Semaphore(SESSIONS_AT_ONCE)
        self._has_let_us_in = False
        self._is_doubted = False

    @property
    def is_live(self) -> bool:
        """Whether the connection is open and nothing has gone wrong on it."""
        return not self._is_doubted and not self.connection.is_closed()

    def take(self) -> None:
        """Count one more who uses it."""
        self.uses += 1
        self.stop_clock()

    def stop_clock(self) -> None:
        """Stop the idle clock."""
        if self.clock:
            self.clock.cancel()
            self.clock = None

    def doubt(self) -> None:
        """Let nobody new use the connection: something on it hangs."""
        self._is_doubted = True

    def close(self) -> None:
        """Close the connection now."""
        self.stop_clock()
        self.connection.close()

    async def wake(self, seconds: float) -> None:
        """Have the host answer anything at all within so many seconds; no program is started.

        Raises Unreachable where it does not, and the connection is doubted. It asks what asyncssh's keepalive asks, by
        the inner name; where another version does not have that, it asks nothing.
        """
        ask = getattr(self.connection, "_make_global_request", None)
        try:
            async with asyncio.timeout(seconds):
                if ask:
                    await ask(b"keepalive@openssh.com")
        except TimeoutError as error:
            self.doubt()
            raise failures.of_session(self.route[-1], error) from error

    async def start(self, command: str, seconds: float) -> Talk:
        """Start a program in a session of its own, which the host has to do within so many seconds.

        Raises Unreachable; where the host did not refuse but failed to answer, the connection is doubted from then on.
        """
        until = asyncio.get_running_loop().time() + PLACE_SECONDS
        await self._take_place(until)
        try:
            talk = await self._started(command, seconds, until)
        except (OSError, asyncssh.Error) as error:
            self._places.release()
            await asyncio.sleep(0)  # a connection that has just been lost is known to be closed one turn later
            is_lost = self.connection.is_closed()
            if not isinstance(error, asyncssh.ChannelOpenError):  # which is an answer
                self.doubt()
            raise failures.of_session(self.route[-1], ConnectionError() if is_lost else error) from error
        except BaseException:
            self._places.release()
            self.doubt()
            raise
        self._has_let_us_in = True
        talk.call_when_closed(self._places.release)
        return talk

    async def _take_place(self, until: float) -> None:
        try:
            async with asyncio.timeout_at(until):
                await self._places.acquire()
        except TimeoutError as error:
            raise failures.busy(self.route[-1]) from error

    async def _started(self, command: str, seconds: float, until: float) -> Talk:
        while True:
            try:
                async with asyncio.timeout(seconds):
                    return await session.start(self.connection, command)
            except asyncssh.ChannelOpenError:
                await asyncio.sleep(_ASK_AGAIN_SECONDS)
                is_final = not self._has_let_us_in or self.connection.is_closed()
                if is_final or asyncio.get_running_loop().time() > until:
                    raise
