"""Executing: the one run of one warrant, from the claim to the command's end.

It decides nothing: what runs is the text that was approved. ``execute`` is the only caller of ``Hosts.restart``.
Keeps law 6 (the claim is one event with a unique key, then the gate spends the warrant), law 10 (RunStarted is
committed before a byte goes to the host) and law 12 (a lost line is ``unknown``, and is never tried again).
"""

import asyncio

from app.core.display import masked
from app.core.errors import AskfirstError, NotFound, Unreachable
from app.core.events import RunEnded, RunLost, RunRefused, RunStarted
from app.core.level import Level
from app.core.lifecycle import Request
from app.core.registry import Registry
from app.core.run import OUTPUT_BYTES, SPENT, Differs, Exited, Output, Progress, Refusal
from app.core.warrant import read as read_warrant
from app.flow import envelope, watch
from app.flow import evidence as proof
from app.flow.by_hand import hand_over
from app.flow.ids import salted, stamp
from app.flow.ports import World
from app.flow.prove import place
from app.flow.record import begin, record
from app.store import freezes, output, requests, services


async def execute(world: World, request: Request) -> Request:
    """Run an approved request: check what the yes rests on, claim it, and follow the command to its end."""
    held = await _held_back(world, request)
    if held is not None:
        return held
    text = await envelope.approved_text(world.db, request)
    signatures = await envelope.signatures(world.db, request, text)
    if not read_warrant(text).argv:
        return await hand_over(world, request)
    claimed = await _claim(world, request)
    if claimed is None:
        return request
    registry = await services.registry(world.db)
    held = await _called_back(world, claimed, registry)
    return held or await _follow(world, claimed, text, signatures, registry)


async def _held_back(world: World, request: Request) -> Request | None:
    """Return the request where it may not run now: expired, stale, or frozen (then it stays approved)."""
    if request.not_after <= await world.time():
        return await watch.expire(world, request)
    if await freezes.stopping(world.db, request.host, request.environment):
        return request
    return await watch.gone_stale(world, request, await services.registry(world.db))


async def _called_back(world: World, request: Request, registry: Registry) -> Request | None:
    """Look once more, now that the start is in the log: what was changed or over before it was does not run."""
    if request.not_after <= await world.time():
        return await _refused(world, request, "It expired the moment before the run.")
    return await watch.gone_stale(world, request, registry)


async def _claim(world: World, request: Request) -> Request | None:
    """Commit RunStarted, unless a freeze came first. Of all workers exactly one gets past this line."""
    event = RunStarted(**stamp(await world.time()), digest=request.digest, worker=world.worker)
    return await begin(world, request, event)


async def _follow(
    world: World, request: Request, text: str, signatures: tuple[str, ...], registry: Registry
) -> Request:
    """Send the warrant, store what comes back, and write the one event that ends the run."""
    seen = bytearray()
    try:
        host, via = place(registry, request.host)
        async with asyncio.timeout(world.limits.run_timeout_seconds):
            serial = await requests.start_number(world.db, request.id) if host.certificates else 0
            sent = signatures if host.level is Level.SEALED else ()
            async for progress in world.hosts.restart(host, text, via, signatures=sent, serial=serial):
                after = await _step(world, request, progress, seen)
                if after is not None:
                    return after
    except (Unreachable, NotFound) as error:
        return await _refused(world, request, error.message)
    except TimeoutError:
        return await lose(world, request, "The command runs longer than it is followed for.")
    except AskfirstError as error:
        return await lose(world, request, error.message)
    return await lose(world, request, "The gate's answer ended without the command's exit status.")


async def _step(world: World, request: Request, progress: Progress, seen: bytearray) -> Request | None:
    """Take one piece of the gate's answer; return the request where that piece ends the run."""
    match progress:
        case Output(offset, data):
            seen.extend(data[: max(0, OUTPUT_BYTES - len(seen))])
            await output.append(world.db, request.id, offset, data)
            world.news.tell(request.id)
        case Exited(status):
            return await ended(world, request, status, "streamed", bytes(seen))
        case Refusal(why) if why == SPENT:
            return await lose(world, request, "The host says that this warrant was spent before.")
        case Refusal(why):
            return await _refused(world, request, why)
        case Differs(identity):
            return await _differs(world, request, identity)
    return None


async def ended(world: World, request: Request, status: int | None, how: str, printed: bytes) -> Request:
    """Write the command's end with what it printed, masked."""
    text = salted(masked(printed.decode("utf-8", "backslashreplace")))
    event = RunEnded(**stamp(world.clock.now()), exit_status=status, how=how, output_text=text.commitment)
    return await record(world, request, event, (text,))


async def lose(world: World, request: Request, why: str) -> Request:
    """Note that nobody follows this run any more: it may have run."""
    return await record(world, request, RunLost(**stamp(world.clock.now()), why=masked(why)))


async def _differs(world: World, request: Request, identity: tuple[str, ...]) -> Request:
    before = await proof.of(world.db, request)
    was = [line for line in (before.identity if before else ()) if line not in identity]
    now = [line for line in identity if before and line not in before.identity]
    why = f"The host changed before the run: it was «{was[0] if was else '-'}», it is «{now[0] if now else 'nothing'}»."
    return await watch.go_stale(world, request, why, None)


async def _refused(world: World, request: Request, why: str) -> Request:
    return await record(world, request, RunRefused(**stamp(world.clock.now()), why=masked(why)))
