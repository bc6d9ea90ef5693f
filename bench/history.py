"""The history page's queries over 5,000 and over 1,000,000 requests, in one run: python -m bench.history [REQUESTS].

Both databases are made here, in a temporary folder, with the product's own schema and with events that its own verifier
accepts; then each query of the page runs on the one and on the other, in turn. What counts is the ratio of the two: a
page that is keyed and indexed costs the same in a log two hundred times as long.
"""

import asyncio
import platform
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.core import events as happened
from app.core import lifecycle
from app.core.events import body_of, iso
from app.store import history, listing, projection, requests
from app.store.engine import Database, open_database
from app.store.listing import Filter
from app.store.log import FIRST, canonical, link
from app.store.verify import verify

SMALL, LARGE = 5_000, 1_000_000
ROUNDS = 40
START, EVERY_SECONDS = 1_700_000_000.0, 60.0
SERVICES, HOSTS, PEOPLE, APPROVERS = 200, 50, 100, 20
WORDS = ("because", "restart", "after", "deploy", "memory", "leak")

_ASKED = happened.Asked(
    id="@ID@",
    at=0.0,
    by="@WHO@",
    service="@SERVICE@",
    host="@HOST@",
    environment="production",
    requester="@WHO@",
    requester_human="@WHO@",
    reason_text="sha256:" + "0" * 64,
    ticket_text="",
    registry=1,
)
_BLOCKED = happened.Blocked(
    id="@ID@", at=0.0, by="askfirst", verdict="WRONG_MANAGER", need="UNSURE", evidence_text="sha256:" + "1" * 64
)
_VERIFIED = happened.Verified(
    id="@ID@",
    at=0.0,
    by="askfirst",
    need="NEEDED",
    evidence_text="sha256:" + "2" * 64,
    warrant_text="sha256:" + "3" * 64,
    digest="4" * 64,
    manager="supervisor",
    policy="production",
    policy_revision=1,
    approvers=1,
    groups=(("lab-team",),),
    assurance=1,
    not_after=4e9,
)
_DENIED = happened.Denied(id="@ID@", at=0.0, by="@APPROVER@", reason_text="")
_CANCELLED = happened.Cancelled(id="@ID@", at=0.0, by="@WHO@")
# Lives of requests, and how many of a thousand go so.
LIVES: list[tuple[tuple[happened.Event, ...], int]] = [
    ((_ASKED, _CANCELLED), 700),
    ((_ASKED, _VERIFIED, _DENIED), 199),
    ((_ASKED, replace(_VERIFIED, approvers=2), _CANCELLED), 100),
    ((_ASKED, _BLOCKED), 1),
]


class Life:
    """One way for a request to go, as templates of its events' bytes and of its row."""

    def __init__(self, events: tuple[happened.Event, ...]) -> None:
        """Write the life once with the product's own code, its particulars left open."""
        request = lifecycle.fold("@REQUEST@", events)
        self.row = projection.row_of(request, 0)
        about = {"service": "@SERVICE@", "host": "@HOST@", "seq": 987654321}
        bodies = [canonical({**body_of(event, "@REQUEST@", n), **about}) for n, event in enumerate(events, 1)]
        self.bodies = [_template(body.decode()) for body in bodies]
        self.denied_in = next((n for n, event in enumerate(events, 1) if isinstance(event, happened.Denied)), None)


def _template(body: str) -> str:
    open_ = {"987654321": "%(seq)d", iso(0.0): "%(at)s"}
    open_ |= {f"@{name.upper()}@": f"%({name})s" for name in ("id", "who", "service", "host", "request", "approver")}
    body = body.replace("%", "%%")
    for mark, slot in open_.items():
        body = body.replace(mark, slot)
    return body


def fill(file: Path, count: int) -> None:
    """Write so many requests with their events, chained; indexes and triggers are taken off meanwhile and made anew."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        parts = connection.execute(
            "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND (type = 'trigger' OR type = 'index')"
        ).fetchall()
        connection.execute("BEGIN")
        for kind, name, _ in parts:
            connection.execute(f"DROP {kind} {name}")
        tables: dict[str, list[Any]] = {"audit": [], "requests": [], "decisions": [], "words": []}
        columns = list(Life(LIVES[0][0]).row)
        statements = {
            "audit": "INSERT INTO audit (seq, body, prev, hash) VALUES (?, ?, ?, ?)",
            "requests": f"INSERT INTO requests ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",  # noqa: S608
            "decisions": "INSERT INTO decisions VALUES (?, ?, ?, ?, ?, ?, ?)",
            "words": "INSERT INTO words VALUES (?, ?)",
        }
        head = (0, FIRST)
        for number, seq, last in _write(count, tables):
            head = (seq, last)
            if number % 20_000 == 0 or number == count:
                for table, statement in statements.items():
                    connection.executemany(statement, tables[table])
                    tables[table].clear()
        connection.execute(
            "UPDATE audit_head SET seq = ?, hash = ?, latest = ?", (*head, START + count * EVERY_SECONDS)
        )
        for _, _, sql in parts:
            connection.execute(sql)
        connection.execute("COMMIT")


def _write(count: int, tables: dict[str, list[Any]]) -> Iterator[tuple[int, int, bytes]]:
    chance = random.Random(1)  # noqa: S311 - the same rows each time
    lives = [Life(events) for events, _ in LIVES]
    seq, prev = 0, FIRST
    for number in range(1, count + 1):
        (life,) = chance.choices(lives, [weight for _, weight in LIVES])
        at = START + number * EVERY_SECONDS
        who = f"person-{chance.randrange(PEOPLE)}"
        about = {
            "at": iso(at),
            "request": f"01{number:024}",
            "service": f"service-{chance.randrange(SERVICES)}",
            "host": f"host-{chance.randrange(HOSTS)}",
            "who": who,
            "approver": f"approver-{chance.randrange(APPROVERS)}",
        }
        first = seq + 1
        for template in life.bodies:
            seq += 1
            body = (template % {**about, "id": f"event-{seq}", "seq": seq}).encode()
            hashed = link(prev, body)
            tables["audit"].append((seq, body, prev, hashed))
            prev = hashed
        own = {"id": about["request"], "seq": first, "short": f"{number:024}"[-4:], "requester": who}
        own |= {"requester_human": who, "service": about["service"], "host": about["host"]}
        tables["requests"].append(tuple({**life.row, **own, "asked_at": at, "changed_at": at}.values()))
        if life.denied_in is not None:
            tables["decisions"].append((about["request"], life.denied_in, about["approver"], None, "denied", at, first))
        words = {chance.choice(WORDS), "usual", *([f"rare-{number}"] if number % 1000 == 0 else [])}
        tables["words"].extend((word, first) for word in sorted(words))
        yield number, seq, prev


Query = Callable[[Database, int], Awaitable[Any]]


def queries(count: int) -> dict[str, Query]:
    """Name every question that the page can ask; ``pick`` is a number from a fixed row of chances."""
    end = START + count * EVERY_SECONDS

    def listed(wanted: Callable[[int], Filter], before: Callable[[int], int | None] = lambda pick: None) -> Query:
        return lambda db, pick: listing.page(db, wanted(pick), before(pick), 50)

    return {
        "newest page": listed(lambda p: Filter()),
        "a page anywhere, by key": listed(lambda p: Filter(), lambda p: 1 + p % (2 * count)),
        "one service": listed(lambda p: Filter(service=f"service-{p % SERVICES}")),
        "one host": listed(lambda p: Filter(host=f"host-{p % HOSTS}")),
        "one requester": listed(lambda p: Filter(requester=f"person-{p % PEOPLE}")),
        "one approver": listed(lambda p: Filter(approver=f"approver-{p % APPROVERS}")),
        "a rare verdict": listed(lambda p: Filter(verdict="WRONG_MANAGER")),
        "a common state": listed(lambda p: Filter(state="cancelled")),
        "service and requester": listed(
            lambda p: Filter(service=f"service-{p % SERVICES}", requester=f"person-{p % PEOPLE}")
        ),
        "requester and rare verdict": listed(
            lambda p: Filter(requester=f"person-{p % PEOPLE}", verdict="WRONG_MANAGER")
        ),
        "service and state": listed(lambda p: Filter(service=f"service-{p % SERVICES}", state="denied")),
        "a week, long ago": listed(
            lambda p: Filter(
                since=START + (end - START) * (p % 80) / 100, until=START + (end - START) * (p % 80) / 100 + 7e5
            )
        ),
        "the last week": listed(lambda p: Filter(since=end - 7 * 86_400)),
        "last week, one service": listed(lambda p: Filter(since=end - 7 * 86_400, service=f"service-{p % SERVICES}")),
        "a rare word": listed(lambda p: Filter(q=f"rare-{1000 * (1 + p % (count // 1000))}")),
        "a common word": listed(lambda p: Filter(q="usual")),
        "two common words": listed(lambda p: Filter(q="usual memory")),
        "a common word, one service": listed(lambda p: Filter(q="memory", service=f"service-{p % SERVICES}")),
        'how many, up to "50+"': lambda db, p: listing.count(db, Filter(service=f"service-{p % SERVICES}")),
        "one request whole": lambda db, p: requests.load(db, f"01{1 + p % count:024}"),
        **_of_the_audit_page(end),
    }


def _of_the_audit_page(end: float) -> dict[str, Query]:
    return {
        "audit: newest page": lambda db, p: history.page(db, history.Filter()),
        "audit: one type": lambda db, p: history.page(db, history.Filter(type="blocked")),
        "audit: one person": lambda db, p: history.page(db, history.Filter(by=f"person-{p % PEOPLE}")),
        "audit: a week, long ago": lambda db, p: history.page(
            db, history.Filter(since=START + (end - START) / 3, until=START + (end - START) / 3 + 7e5)
        ),
    }


async def measure(sides: list[tuple[Database, int]]) -> None:
    """Run every query on each side in turn, and print medians and 95th percentiles, in milliseconds."""
    chance = random.Random(2)  # noqa: S311 - the same questions each time
    names = list(queries(SMALL))
    times: dict[tuple[str, int], list[float]] = {(name, side): [] for name in names for side in range(len(sides))}
    for turn in range(ROUNDS + 3):
        for name in names:
            pick = chance.randrange(1 << 40)
            for side, (db, count) in enumerate(sides):
                began = time.perf_counter()
                await queries(count)[name](db, pick)
                if turn >= 3:
                    times[name, side].append(1000 * (time.perf_counter() - began))
    print(f"\n{'milliseconds':30} {'5k p50':>8} {'p95':>8}   {'large p50':>9} {'p95':>8}   {'ratio p50':>9} {'p95':>6}")
    for name in names:
        (small, small95), (large, large95) = ((statistics.median(t), _p95(t)) for t in (times[name, 0], times[name, 1]))
        line = (
            f"{small:8.2f} {small95:8.2f}   {large:9.2f} {large95:8.2f}   {large / small:9.2f} {large95 / small95:6.2f}"
        )
        print(f"{name:30} {line}")


def _p95(times: list[float]) -> float:
    return sorted(times)[int(0.95 * len(times))]


async def main(large: int) -> None:
    """Make both databases, prove the small one, and measure."""
    cpu = next((line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "?")
    cores = sum(line.startswith("processor") for line in _lines("/proc/cpuinfo"))
    print(f"{cores} × {cpu}, {platform.system()} {platform.release()}, Python {platform.python_version()}, ", end="")
    print(f"SQLite {sqlite3.sqlite_version}; {ROUNDS} rounds, sides in turn")
    with tempfile.TemporaryDirectory(prefix="askfirst-bench-") as folder:
        sides = []
        for count in (SMALL, large):
            file = Path(folder) / f"{count}.db"
            await (await open_database(f"sqlite:///{file}")).close()
            began = time.perf_counter()
            fill(file, count)
            print(f"{count:,} requests made in {time.perf_counter() - began:.0f} s, {file.stat().st_size >> 20} MiB")
            sides.append((await open_database(f"sqlite:///{file}"), count))
        report = await verify(sides[0][0])
        assert report.is_whole, report
        await measure(sides)
        for db, _ in sides:
            await db.close()


def _lines(file: str) -> list[str]:
    return Path(file).read_text(encoding="utf-8").splitlines()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else LARGE))
