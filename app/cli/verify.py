"""``verify`` lets the host prove a service's claim now. It asks nobody and changes nothing on the host (law 2).

It exits 0 for VERIFIED, 2 where the host could not be seen, else 1.
"""

from typing import Annotated

import typer

from app.cli.answers import Answer, AsJson, Exit, Line, answer
from app.core.events import iso
from app.core.verdict import NOT_SEEN, Code
from app.flow import evidence
from app.flow.evidence import Evidence
from app.flow.freshness import worth_of
from app.flow.named import service_named
from app.flow.ports import World
from app.flow.prove import look, remember
from app.shapes.verification import verification
from app.store import proofs, services


def verify(
    context: typer.Context,
    service: Annotated[str, typer.Argument(help="The service's exact name.")],
    as_json: AsJson = False,
) -> None:
    """Let the host prove now what the registry claims about a service."""

    async def act(world: World) -> Answer:
        registry = await services.registry(world.db)
        claim = service_named(registry, service)
        seen = await look(world, registry, claim)
        await remember(world, seen)
        proof, worth = seen.evidence(), worth_of(world, await proofs.proof(world.db, claim.name))
        shape = verification(claim.name, proof).model_dump(mode="json")
        data = {**shape, "freshness": worth.freshness, "freshness_why": worth.why}
        lines = _lines(proof)
        if proof.verdict.code in NOT_SEEN and worth.proved_at:
            lines.append(f"Last proved: {iso(worth.proved_at)} ({worth.freshness})")
        return Answer(data, tuple(lines), _exit(proof.verdict.code))

    answer(context, act, as_json=as_json, asks=True)


def _lines(proof: Evidence) -> list[Line | str]:
    """Return a proof for people: the verdict, disagreements first, then the need."""
    verdict, need = proof.verdict, proof.need
    lines: list[Line | str] = [Line(verdict.code, "good" if verdict.is_verified else "bad")]
    for each in sorted(verdict.findings, key=lambda finding: finding.agrees is True):
        mark = {True: "agrees", False: "DIFFERS", None: "unseen"}[each.agrees]
        tone = {True: "", False: "bad", None: "wait"}[each.agrees]
        lines.append(
            Line(f"  {mark:8} {each.aspect}: claimed {each.claimed or '-'}; proved {each.observed or '-'}", tone)
        )
    if verdict.near:
        lines.append(f"Did you mean {' or '.join(verdict.near)}?")
    lines += [f"  check    {each.label}: {each.seen}" for each in proof.checks]
    lines.append(f"Restart called for: {need.answer}")
    lines += [f"  sign     {each.text}" for each in need.signs]
    lines += [f"  instead  {each.action}: {each.words}" for each in evidence.gentler(proof)]
    if verdict.next_step:
        lines.append(f"Next: {verdict.next_step}")
    return lines


def _exit(code: Code) -> Exit:
    if code is Code.VERIFIED:
        return Exit.YES
    return Exit.COULD_NOT_TELL if code in NOT_SEEN else Exit.NO
