"""A line to a PostgreSQL server that fails at a commit: before it arrives, or before its answer comes back."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from enum import StrEnum
from pathlib import Path

SOCKET = ".s.PGSQL.5432"


class Cut(StrEnum):
    """Where the line is cut."""

    BEFORE = "the server never hears of the commit"
    AFTER = "the commit is done, and nobody is told"
    HELD = "the commit is held up until the server has ended the transaction, and says so"


class Line:
    """One line, with as many connections as are made; ``cut_at`` cuts the next commit, and ``cut`` tells."""

    def __init__(self, server: Path) -> None:
        self._server = server
        self.cut_at: Cut | None = None
        self.cut = asyncio.Event()
        self._ways: set[asyncio.Task[None]] = set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either end closes it, or it is cut."""
        back, forth = await asyncio.open_unix_connection(str(self._server / SOCKET))
        muted = asyncio.Event()
        ways = [asyncio.create_task(self._ask(reader, forth, muted)), asyncio.create_task(_answer(back, writer, muted))]
        self._ways.update(ways)
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        for each in (writer, forth):
            each.close()
            with contextlib.suppress(ConnectionError):
                await each.wait_closed()
        self._ways.difference_update(ways)

    async def hang_up(self) -> None:
        """Cut all that is still carried, and return when it is closed."""
        while self._ways:
            for way in self._ways:
                way.cancel()
            await asyncio.sleep(0.01)

    async def _ask(self, reader: asyncio.StreamReader, forth: asyncio.StreamWriter, muted: asyncio.Event) -> None:
        while data := await reader.read(1 << 16):
            cut = self.cut_at if b"COMMIT" in data else None
            if cut is not None:
                self.cut_at = None
                self.cut.set()
            if cut is Cut.HELD:
                continue
            if cut is not None:
                muted.set()
            if cut is not Cut.BEFORE:
                forth.write(data)
            if cut is Cut.AFTER:
                await asyncio.sleep(0.2)  # the server has done it by then; what it says is read by nobody
            if cut is not None:
                return


async def _answer(back: asyncio.StreamReader, writer: asyncio.StreamWriter, muted: asyncio.Event) -> None:
    while data := await back.read(1 << 16):
        if not muted.is_set():
            writer.write(data)


@contextlib.asynccontextmanager
async def line_to(server: Path) -> AsyncIterator[tuple[Line, Path]]:
    """Lay a line to the server whose socket lies in a folder; yield it with the folder of its near end."""
    line = Line(server)
    with tempfile.TemporaryDirectory(prefix="askfirst-line-") as folder:
        listening = await asyncio.start_unix_server(line.carry, str(Path(folder) / SOCKET))
        async with listening:
            yield line, Path(folder)
            await line.hang_up()
