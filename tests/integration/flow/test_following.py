"""Following a request: every line of its output comes once, whichever way it came from the host."""

from app.core.lifecycle import State
from app.flow import execute
from app.flow.following import follow
from app.store import output, requests
from tests.fakes.cut import Cut
from tests.integration.flow.conftest import Stage

LINES = ["one", "two", "three", "FATAL: the configuration is broken"]


async def test_what_was_printed_after_the_line_was_lost_is_told_once_it_is_read(stage: Stage) -> None:
    approved = await stage.approve(await stage.waiting())
    stage.alpha.next_output = "".join(f"{line}\n" for line in LINES).encode()
    stage.hosts.cut_at["alpha"] = Cut.AFTER_START
    lost = await execute.execute(stage.world, approved)
    assert lost.state is State.UNKNOWN
    await output.append(stage.db, lost.id, 0, b"one\ntwo\n")
    live = follow(stage.world, lost.id, 1, 0.01)
    heard = list((await anext(live)).lines)
    assert heard == LINES[:2]
    stage.clock.advance(30)
    after = await stage.work(lost)
    assert after.state is State.SUCCEEDED, after.outcome
    heard += [line async for seen in live for line in seen.lines]
    assert heard == LINES
    assert [line async for seen in follow(stage.world, after.id, 1, 0.01) for line in seen.lines] == LINES
    assert [line async for seen in follow(stage.world, after.id, 3, 0.01) for line in seen.lines] == LINES[2:]
    assert await requests.text(stage.db, after.output_text) == "\n".join(LINES) + "\n"
