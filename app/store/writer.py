"""The one writer of this process: callers queue a change, and are released when it is durable.

It takes whatever has queued, gives each change a savepoint of its own, chains their events in order, and commits once;
an idle queue commits at once. It knows nothing of what a change does. Keeps law 10 (log, then act): nobody is told of
success before the commit has returned, and where it fails nobody is.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.core.errors import Broken
from app.store import dialect as dialects
from app.store.log import Head, Tx

T = TypeVar("T")

_LARGEST_BATCH = 256
# Seconds between the looks at a database that went away in the middle of a commit: a quarter of a minute in all.
_PAUSES = (0.0, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
_HASH = "SELECT hash FROM audit WHERE seq = ?"
_MOVE_HEAD = "UPDATE audit_head SET seq = ?, hash = ?, latest = ? WHERE id = 1"


class Writer:
    """Writes for everybody in this process. Other processes may have writers of their own."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Write through this engine, whose transactions begin by excluding every other writer."""
        self._engine = engine
        self._dialect = dialects.of(engine)
        self._queue: deque[_Job] = deque()
        self._task: asyncio.Task[None] | None = None

    async def write(self, change: Callable[[Tx], Awaitable[T]]) -> T:
        """Run a change and return its answer once it is durable.

        The change awaits nothing but its own ``Tx``, and runs at most once. What it raises undoes it alone and comes
        back here. Raises Broken where the database could not take it (a full disk): then nothing of it is there.
        """
        job = _Job(change)
        self._queue.append(job)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        result: T = await job.done
        return result

    async def close(self) -> None:
        """Let what is queued be written, then close."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])
        await self._engine.dispose()

    async def _work(self) -> None:
        while self._queue:
            count = min(len(self._queue), _LARGEST_BATCH)
            taken = [self._queue.popleft() for _ in range(count)]
            batch = [job for job in taken if not job.done.done()]  # without those who went away before it began
            try:
                await self._commit(batch)
            except Exception as error:  # noqa: BLE001 - whatever it is, nothing was committed, and each caller is told
                for job in batch:
                    job.fail(self._meaning(error))
            except asyncio.CancelledError:
                for job in (*batch, *self._queue):
                    job.done.cancel()
                self._queue.clear()
                raise
            else:
                for job in batch:
                    job.release(self._meaning)

    def _meaning(self, error: Exception) -> Exception:
        """Return what a caller is told of a failure: ours as it is, the database's in our words."""
        if not isinstance(error, self._dialect.FAILURES):
            return error
        meaning = self._dialect.explain(error)
        meaning.__cause__ = error
        return meaning

    async def _commit(self, batch: list["_Job"]) -> None:
        moved: Head | None = None
        try:
            async with self._engine.connect() as connection:
                transaction = await connection.begin()
                tx = await self._begin(connection)
                before = tx.head.seq
                for job in batch:
                    await job.run(tx)
                if tx.head.seq != before:
                    await tx.run(_MOVE_HEAD, (tx.head.seq, tx.head.hash, tx.head.latest))
                    moved = tx.head
                if tx.topics:
                    await self._dialect.tell(tx.run, tx.topics)
                await transaction.commit()
        except self._dialect.FAILURES as error:
            if moved is None or not self._dialect.is_lost(error) or not await self._is_there(moved):
                raise

    async def _begin(self, connection: AsyncConnection) -> Tx:
        """Read the head, which from now on nobody else moves."""
        run = await self._dialect.fast(connection)
        head = next((Head(*row) for row in await run(self._dialect.HEAD)), None)
        if head is None:
            raise Broken(
                "The audit log has lost its head.", code="log_broken", next_step="Run `askfirst audit verify`."
            )
        return Tx(self._dialect, connection, run, head)

    async def _is_there(self, head: Head) -> bool:
        """Whether a commit whose acknowledgement was lost is seen to have taken place: its last event is in the log.

        The head is locked first: a transaction that the server has not ended yet still holds it. Where the database
        cannot be asked, for whatever reason, nobody knows, and the lost line is what callers are told of.
        """
        for pause in _PAUSES:
            await asyncio.sleep(pause)
            try:
                async with self._engine.connect() as connection:
                    await connection.begin()  # and undone again: nothing that fails from here on changes the answer
                    tx = await self._begin(connection)
                    return [(head.hash,)] == [tuple(row) for row in await tx.run(_HASH, (head.seq,))]
            except self._dialect.FAILURES:
                continue
        return False


class _Job:
    """One change that waits, and its caller's future."""

    def __init__(self, change: Callable[[Tx], Awaitable[Any]]) -> None:
        self.change = change
        self.done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.result: Any = None
        self.refusal: Exception | None = None

    async def run(self, tx: Tx) -> None:
        """Make the change, and undo it alone where it is refused. Raises where the whole batch cannot go on."""
        head, topics = tx.head, set(tx.topics)
        await tx.run("SAVEPOINT change")
        try:
            self.result = await self.change(tx)
        except Exception as error:  # noqa: BLE001 - it is handed to the caller, whatever it is
            await tx.run("ROLLBACK TO change")
            tx.head, tx.topics = head, topics
            self.refusal = error
        await tx.run("RELEASE change")

    def release(self, meaning: Callable[[Exception], Exception]) -> None:
        """Tell the caller, who may have gone."""
        if self.refusal is not None:
            self.fail(meaning(self.refusal))
        elif not self.done.done():
            self.done.set_result(self.result)

    def fail(self, error: Exception) -> None:
        """Tell the caller that nothing of the change is there, and why."""
        if not self.done.done():
            self.done.set_exception(error)
