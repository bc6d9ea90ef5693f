"""A request in every state, a registry around it, and a year of history: what pages are looked at with."""

from collections.abc import Mapping
from dataclasses import replace

from app.core import events as happened
from app.core.lifecycle import Request
from app.core.policy import Assurance, Kind
from app.core.registry import difference, with_entry
from app.core.verdict import Answer, Code
from app.flow.ids import new_id, salted
from app.store import services
from tests.integration.web.keys import enrol
from tests.integration.web.seed import GUI, SIGNED, Seed

HOSTILE = (
    '<script>alert(1)</script><img src=x onerror=alert(2)><svg onload=alert(3)>" onmouseover="alert(4)\n'
    '</textarea></title></pre><a href="javascript:alert(5)">click</a>{{7*7}}{% raw %}\n'
    "\x1b]8;;javascript:alert(6)\x07link\x1b]8;;\x07\x1b[2J\x1b]52;c;ZXZpbA==\x07\x9b31m\u202eetorppA\u202c\u200b\ufeff\U000e0041"
)


async def every_state(seed: Seed) -> Mapping[str, Request]:
    """Write one request for each state, each for a service of its own, and return them by name."""
    await _register(seed)
    made = {"waiting": await seed.waiting()}
    made["blocked"] = await seed.block(await seed.ask(service="pypnm-api"))
    made["open"] = await seed.ask(service="gui-open")
    made["not-needed"] = await seed.verify(
        await seed.ask(service="gui-calm", reason="It feels slow."), need=Answer.NOT_NEEDED
    )
    made["one-of-two"] = await seed.approve(await seed.verify(await seed.ask(service="gui-two"), approvers=2), "cy")
    made["approved"] = await seed.approve(await seed.verify(await seed.ask(service="gui-approved")))
    made["running"] = await _running(seed, "gui-running", b"".join(b"%d: stopping worker\n" % n for n in range(1, 61)))
    made["settling"] = await seed.end(await _running(seed, "gui-settling"))
    made["unknown"] = await seed.then(
        await _running(seed, "gui-unknown"),
        happened.RunLost(
            **seed.stamp(), why="The connection to alpha was lost after the gate had started the command."
        ),
    )
    gone = salted("alpha burned down; its address is another machine's now.")
    made["given-up"] = await seed.then(
        await seed.then(await _running(seed, "gui-gone"), happened.RunLost(**seed.stamp(), why="The line was lost.")),
        happened.GivenUp(**seed.stamp("bo"), reason_text=gone.commitment),
        (gone,),
    )
    made["restored"] = await seed.then(
        await seed.ask(service="gui-restored"),
        happened.Restored(
            **seed.stamp(),
            why="An older state of the database was put back: it may have been approved and have run since.",
        ),
    )
    made["succeeded"] = await seed.settle(await seed.end(await _running(seed, "gui-good")))
    broken = await seed.end(await _running(seed, "gui-bad"), 1, "lab:pypnm-gui: ERROR (spawn error)\n")
    made["failed"] = await seed.settle(broken, is_success=False)
    made["signed"] = await seed.verify(await seed.ask(service=SIGNED.name), assurance=Assurance.PASSKEY)
    made |= await _gentler(seed)
    made |= await _ends_without_a_run(seed)
    made["hostile"] = await seed.run(
        await seed.approve(await seed.verify(await seed.ask(service="gui-evil", reason=HOSTILE))),
        HOSTILE.encode("utf-8", "surrogatepass") + b"\n\xff\xfe\n",
    )
    for service, code in (("pypnm-gui", Code.VERIFIED), ("pypnm-api", Code.NO_SUCH_UNIT), ("gui-good", Code.VERIFIED)):
        await seed.prove(service, code)
    await seed.prove(SIGNED.name)
    await _keys(seed)
    await _drift(seed)
    await _past(seed)
    return made


async def _keys(seed: Seed) -> None:
    """Let some people have keys, as far as keys can have come."""
    await enrol(seed, "bo", "this laptop")
    await enrol(seed, "bo", "blue key", Kind.SECURITY_KEY, usable_in=80_000)
    await enrol(seed, "bo", "phone", usable_in=None)
    await enrol(seed, "cy", "laptop " + HOSTILE[:40], usable_in=None)


async def _drift(seed: Seed) -> None:
    """Let one service go up and down, and one host give no answer after a proof."""
    for ago, code in ((4000, Code.VERIFIED), (3000, Code.DOWN), (2000, Code.VERIFIED), (900, Code.DOWN)):
        await seed.prove("gui-calm", code, ago)
    for ago, code in ((700, Code.VERIFIED), (600, Code.UNREACHABLE)):
        await seed.prove("gui-soft", code, ago)


async def _gentler(seed: Seed) -> dict[str, Request]:
    said = await seed.ask(service="gui-soft", action="reload", said=("committed",), reason="New log level.")
    dirty = await seed.ask(service="gui-anew", action="daemon-reload", said=("committed",), reason="The unit changed.")
    done = await seed.ask(service="gui-eased", action="reload", reason="New log level.")
    return {
        "reload": await seed.verify(said, committed=None),
        "daemon-reload": await seed.verify(dirty, committed=False),
        "reloaded": await seed.settle(await seed.end(await seed.run(await seed.approve(await seed.verify(done))))),
    }


async def _ends_without_a_run(seed: Seed) -> dict[str, Request]:
    why = salted("Not during the field test. Ask again after 16:00.")
    moved = "The host changed: it was «process 4711 8812345 rbron», it is «process 5099 9912345 rbron»."
    waiting = {
        name: await seed.verify(await seed.ask(service=f"gui-{name}"))
        for name in ("denied", "expired", "cancelled", "stale", "refused")
    }
    refused = await seed.run(await seed.approve(waiting["refused"]), b"")
    by_hand = await seed.approve(await seed.verify(await seed.ask(service="tftp"), by_hand=True))
    return {
        "denied": await seed.then(
            waiting["denied"], happened.Denied(**seed.stamp("bo"), reason_text=why.commitment), (why,)
        ),
        "expired": await seed.then(waiting["expired"], happened.Expired(**seed.stamp())),
        "cancelled": await seed.then(waiting["cancelled"], happened.Cancelled(**seed.stamp("ada"))),
        "stale": await seed.then(
            await seed.approve(waiting["stale"]), happened.WentStale(**seed.stamp(), why=moved, evidence_text="")
        ),
        "not-run": await seed.then(
            refused, happened.RunRefused(**seed.stamp(), why="alpha answered: sudo needs a password for sh -s.")
        ),
        "by-hand": await seed.then(
            by_hand,
            happened.HandedOver(
                **seed.stamp(), digest=by_hand.digest, to=by_hand.requester, until=seed.world.clock.now() + 3000
            ),
        ),
    }


async def _running(
    seed: Seed, service: str, printed: bytes = b"lab:pypnm-gui: stopped\nlab:pypnm-gui: started\n"
) -> Request:
    return await seed.run(await seed.approve(await seed.verify(await seed.ask(service=service))), printed)


async def _past(seed: Seed) -> None:
    """Some history of one service, so that its ninety days show something."""
    for days in (1, 2, 2, 9, 17, 31, 31, 31, 60, 88):
        asked = await seed.ask(service="gui-past", ago=days * 86_400)
        if days == 17:
            await seed.block(asked, Code.WRONG_USER)
            continue
        run = await seed.run(await seed.approve(await seed.verify(asked)))
        await seed.settle(await seed.end(run), is_success=days != 31)


async def _register(seed: Seed) -> None:
    """Register what the requests are for, so that each link leads somewhere."""
    names = (
        *(
            "open",
            "calm",
            "two",
            "approved",
            "running",
            "settling",
            "unknown",
            "gone",
            "restored",
            "good",
            "bad",
            "evil",
            "past",
        ),
        *("denied", "expired", "cancelled", "stale", "refused", "soft", "anew", "eased"),
    )
    db, now = seed.world.db, seed.world.clock.now()
    current = await services.registry(db)
    wanted = with_entry(current, "service", SIGNED.name, SIGNED)
    for port, name in enumerate(names, 6000):
        service = replace(GUI, name=f"gui-{name}", unit=f"lab:gui-{name}", ports=(port,), checks=())
        wanted = with_entry(wanted, "service", service.name, service)
    await services.apply(
        db,
        difference(current, wanted),
        by="operator",
        at=now,
        event_id=new_id(now),
        base_revision=current.revision,
    )
