"""What replicas tell each other over PostgreSQL: a place that is held while they serve, and what was written."""

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial

import pytest

from app.core.errors import Broken, Refused
from app.store import freezes, output
from app.store.engine import Database, heard, lock_for_serving, open_database
from app.store.log import Tx, body_for
from tests.integration.cluster import Cluster
from tests.integration.store.sample import NOW, waiting

pytestmark = pytest.mark.only("postgresql")


async def test_servers_are_as_many_as_you_like_but_none_while_somebody_is_alone_there(bare: str) -> None:
    alone = partial(lock_for_serving, bare, alone=True)
    with lock_for_serving(bare), lock_for_serving(bare), pytest.raises(Refused) as refused, alone():
        pass
    assert refused.value.code == "already_serving"
    with alone(), pytest.raises(Refused) as moved, lock_for_serving(bare):
        pass
    assert moved.value.code == "already_serving"


async def test_a_line_does_not_come_up_while_somebody_is_alone_and_holds_a_place_afterwards(bare: str) -> None:
    await (await open_database(bare)).close()
    alone = partial(lock_for_serving, bare, alone=True)
    with alone():
        with pytest.raises(Broken) as lost:
            await anext(heard(bare))
        assert lost.value.code == "store_away"
    async with contextlib.aclosing(heard(bare)) as hears:
        assert await anext(hears) == ""
        with pytest.raises(Refused) as refused, alone():
            pass
        assert refused.value.code == "already_serving"
    with alone():
        pass


Write = Callable[[Database], Awaitable[object]]


async def told(bare: str, hears: AsyncGenerator[str, None], write: Write) -> list[str]:
    """What one process hears of what another one writes."""
    assert await anext(hears) == ""  # from here on nothing is missed
    other = await open_database(bare)
    await write(other)
    await other.write(lambda tx: _said(tx, "end"))
    await other.close()
    topics = []
    while (topic := await anext(hears)) != "end":
        topics.append(topic)
    return sorted(topics)


async def _said(tx: Tx, topic: str) -> None:
    tx.topics.add(topic)


async def test_what_one_replica_writes_the_others_hear_once_it_is_durable(bare: str) -> None:
    await (await open_database(bare)).close()
    async with contextlib.aclosing(heard(bare)) as hears:
        request = []

        async def write(db: Database) -> None:
            request.append((await waiting(db)).id)
            await output.append(db, request[0], 0, b"a line")
            await freezes.freeze(db, "all", by="ada", at=NOW, event_id="f1", reason="Why.")

        topics = await told(bare, hears, write)
    assert set(topics) == {"work", request[0]}
    assert topics.count(request[0]) >= 3  # asked, verified, printed


async def test_what_was_undone_is_not_told(bare: str) -> None:
    await (await open_database(bare)).close()

    async def write(db: Database) -> None:
        async def change(tx: Tx) -> None:
            await tx.record(body_for("noted", {}, event_id="n1", at=NOW, by="ada", host="alpha"))
            raise Refused("No.", code="no", next_step="Nothing.")

        with pytest.raises(Refused):
            await db.write(change)

    async with contextlib.aclosing(heard(bare)) as hears:
        assert await told(bare, hears, write) == []


async def test_who_hears_is_told_that_the_server_went_away(bare: str, cluster: Cluster) -> None:
    await (await open_database(bare)).close()
    async with contextlib.aclosing(heard(bare)) as hears:
        assert await anext(hears) == ""
        cluster.run("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
        with pytest.raises(Broken) as lost:
            await anext(hears)
    assert lost.value.code == "store_away"
