"""The incident, told again by a real fleet: every wrong claim of the report is blocked, the right one is restarted.

Each step goes through the doors that people and scripts use: the engineer asks over the API with a token, the approver
signs in and presses the button, the auditor reads the history. A step that ends otherwise than it should is told as
such, and the story then ends with no.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from app.cli import browser
from app.cli.answers import Line, show
from app.cli.cast import Cast
from app.cli.claims import REPORT, RIGHT, Wrong
from app.cli.fleet import NEW_SERVER, OLD_SERVER, Fleet
from app.cli.server import Server, connected
from app.core.errors import NotFound
from app.store.verify import Report

VerifyLog = Callable[[], Awaitable[Report]]


class Story:
    """Tells steps, and remembers whether each ended as it should."""

    def __init__(self) -> None:
        """Begin with nothing told."""
        self.failed: list[str] = []

    def chapter(self, title: str) -> None:
        """Begin a chapter."""
        show(["", title])

    def tell(self, text: str) -> None:
        """Tell something."""
        show([f"  {text}"])

    def expect(self, text: str, holds: bool) -> None:
        """Tell a step that should hold."""
        show([Line(f"  {'ok  ' if holds else 'NOT '} {text}", "good" if holds else "bad")])
        if not holds:
            self.failed.append(text)


async def tell(base_url: str, cast: Cast, fleet: Fleet, verify_log: VerifyLog) -> bool:
    """Tell the whole story. Returns whether every step ended as it should."""
    story = Story()
    gui = httpx.AsyncClient(base_url=f"http://127.0.0.1:{fleet.gui_port}", trust_env=False)
    async with gui, connected(base_url, cast.token) as server:
        before = await _the_machine(story, gui, fleet)
        for wrong in REPORT:
            await _a_wrong_claim(story, server, wrong)
        asked = await _the_right_claim(story, server)
        if asked["state"] == "waiting":
            await _the_decision(story, base_url, cast, server, asked)
            await _the_outcome(story, server, asked["id"], gui, before)
    await _the_log(story, base_url, cast, asked, verify_log)
    story.chapter("THE END")
    if story.failed:
        show([Line(f"  {len(story.failed)} of the steps did not end as they should.", "bad")])
        return False
    show([Line("  Every step ended as it should.", "good")])
    return True


async def _the_machine(story: Story, gui: httpx.AsyncClient, fleet: Fleet) -> int:
    """Show what truly runs. Returns the pid of the GUI."""
    story.chapter("WHAT TRULY RUNS")
    pid, server = await _pid(gui), await _tftp(gui)
    story.tell(
        f"supervisord runs lab:pypnm-gui: process {pid} of {fleet.user}, port {fleet.gui_port}, {fleet.gui_path}"
    )
    story.tell(f"by hand, and known to no manager: port {fleet.hand_port}, {fleet.hand_path}")
    story.expect(f"the TFTP fix is pulled, yet the running process still says {server}", server == OLD_SERVER)
    return pid


async def _a_wrong_claim(story: Story, server: Server, wrong: Wrong) -> None:
    """Ask for a restart by one of the report's claims: the host refutes it, and nobody is asked."""
    story.chapter(f"THE REPORT: {wrong.said}")
    asked = await ask(server, wrong.service, "as the report says")
    proof = asked["verification"] or {"verdict": "-", "findings": [], "next": ""}
    ends = " or ".join(sorted(wrong.verdicts))
    is_right = asked["state"] == "blocked" and proof["verdict"] in wrong.verdicts
    story.expect(f"{asked['short_id']} {asked['state'].upper()}: {proof['verdict']}", is_right)
    if not is_right:
        story.tell(f"     it should have been BLOCKED: {ends}")
    for each in proof["findings"]:
        if each["agrees"] is not True:
            story.tell(f"     {each['aspect']}: claimed {each['claimed']}; proved {each['observed']}")
    story.tell(f"     next: {proof['next']}")


async def _the_right_claim(story: Story, server: Server) -> dict[str, Any]:
    """Ask by the right claim: the host proves it, and shows why a restart is called for."""
    story.chapter("THE RIGHT CLAIM: supervisor runs it as lab:pypnm-gui")
    asked = await ask(server, RIGHT, "The TFTP fix is pulled; the process is older than it")
    proof = asked["verification"] or {"verdict": "-", "need": {"answer": "-", "signs": []}, "checks": []}
    story.expect(f"{asked['short_id']} {asked['state'].upper()}: {proof['verdict']}", asked["state"] == "waiting")
    for each in proof.get("findings", ()):
        if each["agrees"] is not True:
            story.tell(f"     {each['aspect']}: claimed {each['claimed']}; proved {each['observed']}")
    story.expect(f"a restart is called for: {proof['need']['answer']}", proof["need"]["answer"] == "NEEDED")
    for sign in proof["need"]["signs"]:
        story.tell(f"     {sign['text']}")
    is_red = any(not each["is_green"] for each in proof["checks"])
    story.expect(f"the check of tftp.server is red: it should be {NEW_SERVER}", is_red)
    return asked


async def _the_decision(story: Story, base_url: str, cast: Cast, server: Server, asked: dict[str, Any]) -> None:
    """Nobody approves their own, and no token approves; somebody else reads the warrant and clicks."""
    story.chapter("THE DECISION")
    page, warrant = f"/requests/{asked['id']}", asked["warrant"]
    for line in warrant["text"].splitlines():
        story.tell(f"     {line}")
    async with browser.signed_in(base_url, cast.engineer.email, cast.engineer.password) as ada:
        shown = await ada.open(page)
        story.expect("Ada, who asked, finds no button to approve it", shown.form("Approve") is None)
        fields = next((form.fields for form in shown.forms if "csrf" in form.fields), {})
        forced = await ada.post(f"{page}/approve", {"csrf": fields.get("csrf", ""), "digest": warrant["digest"]})
        story.expect(f"her yes, sent all the same, is refused ({forced.status})", forced.status == 403)
    story.expect("her script has no door to approve through", not await _has_door(server, asked["id"]))
    async with browser.signed_in(base_url, cast.approver.email, cast.approver.password) as bo:
        shown = await bo.open(page)
        story.expect(f"Bo reads warrant {warrant['short_digest']} on its page", warrant["short_digest"] in shown.text)
        await bo.press(shown, "Approve")
    story.tell("Bo presses Approve.")


async def _the_outcome(story: Story, server: Server, request_id: str, gui: httpx.AsyncClient, before: int) -> None:
    """Follow the run to its end, and look at the service itself."""
    story.chapter("THE RUN")
    async for kind, data in server.follow(request_id):
        if kind == "happened":
            story.tell(f"{data['at'][11:23]}  {data['type'].replace('_', ' ')}")
        elif kind == "printed":
            for line in data["lines"]:
                story.tell(f"  | {line}")
    asked = await server.get(f"/api/v1/requests/{request_id}")
    story.expect(f"{asked['short_id']} {asked['state'].upper()}: {asked['outcome']}", asked["state"] == "succeeded")
    after, now = await _pid(gui), await _tftp(gui)
    story.expect(f"process {before} is gone, process {after} answers", after != before)
    story.expect(f"the constellation's TFTP server is {now}", now == NEW_SERVER)


async def _the_log(story: Story, base_url: str, cast: Cast, asked: dict[str, Any], verify_log: VerifyLog) -> None:
    """The auditor finds it all, and the log is whole."""
    story.chapter("THE LOG")
    async with browser.signed_in(base_url, cast.auditor.email, cast.auditor.password) as cy:
        shown = await cy.open("/history")
        story.expect(f"Cy, the auditor, finds {asked['short_id']} in the history", asked["short_id"] in shown.text)
    report = await verify_log()
    story.expect(f"the audit log is whole: {report.rows} events, head {report.head[:16]}…", report.is_whole)


async def ask(server: Server, service: str, reason: str) -> dict[str, Any]:
    """Ask, and wait until the host has answered."""
    asked = await server.post("/api/v1/requests", {"service": service, "reason": reason})
    async for kind, data in server.follow(asked["id"]):
        if kind == "ended" or (kind == "happened" and data["type"] == "verified"):
            break
    found: dict[str, Any] = await server.get(f"/api/v1/requests/{asked['id']}")
    return found


async def _has_door(server: Server, request_id: str) -> bool:
    try:
        await server.post(f"/api/v1/requests/{request_id}/approve")
    except NotFound:
        return False
    return True


async def _pid(gui: httpx.AsyncClient) -> int:
    return int((await gui.get("/health")).json()["pid"])


async def _tftp(gui: httpx.AsyncClient) -> str:
    return str((await gui.get("/api/constellation")).json()["tftp"]["server"])
