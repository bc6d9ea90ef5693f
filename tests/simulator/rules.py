"""What has to be true of when things happen, and of what a person does by hand: judged by ``standing``'s account.

Each rule says what the flow promises and no more, since what lies between a look and its commit cannot be known:

- No two requests of one service are open at a time, and a yes comes before its request is over.
- A run or a hand-over is begun under a lease, and not while a freeze holds. By a look that came after the lease was
  taken, nothing that was over by then, by the database's clock, is begun.
- Of what was begun no byte is sent where its time was over when its start was committed, by the clock that counts: the
  database's, with a file the sender's. There was a second look after that.
- A request expires when its time has come by that clock, whatever another one says; and it goes stale where something
  has changed on the host since it was asked for.
- By hand nothing is sent. A success there is another process than before; what was restarted has not been not run; and
  where what ran before was there to be seen when the wait was over, nothing was restarted.
- What runs anew, and has since before whoever settles it took the lease, has not failed where every look was answered.
- What a sweep keeps, it keeps under its lease.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from app.core.events import (
    Approved,
    Event,
    Expired,
    HandedOver,
    RunEnded,
    RunLost,
    RunRefused,
    RunStarted,
    Settled,
    WentStale,
)
from app.core.lifecycle import ENDED, State
from app.flow.worker import OPEN_SECONDS
from tests.simulator.faults import Record
from tests.simulator.standing import Standing, Told


@dataclass(repr=False)
class Rules:
    """The rules, over one account."""

    record: Record
    standing: Standing

    def asks(self, told: Told, others: Iterable[Told]) -> None:
        """Hold a question against the rules, and the requests that were there before it."""
        service = told.request.service
        if any(each.request.service == service and each.request.state not in ENDED for each in others):
            self.record.breaks("one open request of a service", service)

    def happens(self, told: Told, event: Event, who: str) -> None:
        """Hold an event, which is not in ``told`` yet, against the rules."""
        match event:
            case Approved() if event.at >= told.request.not_after:
                self.record.breaks("a yes is in time", event.human)
            case RunStarted() | HandedOver():
                self._begins(told, who)
            case Expired():
                self._expires(told, event, who)
            case WentStale():
                if not self.standing.has_changed(told.request.service, told.asked):
                    self.record.breaks("a stale end is true", event.why)
            case Settled(is_success=False):
                self._fails(told, event)
        if told.request.is_by_hand:
            self._by_hand(told, event, who)

    def sends(self, told: Told, who: str) -> None:
        """Hold the sending of a warrant that has a start against the rules."""
        if told.was_over:
            self.record.breaks("what is over is not sent", f"by {who}")

    def sweeps(self, who: str) -> None:
        """Hold a sweep that was noted against the rules."""
        if not self.standing.holds(who, "sweep alpha"):
            self.record.breaks("what a sweep keeps, it keeps under its lease", f"by {who}")

    def _begins(self, told: Told, who: str) -> None:
        standing, request = self.standing, told.request
        told.was_over = standing.is_over(request.not_after, standing.clocks[who].now(), who)
        lease = standing.leases.get(request.id)
        if lease is None or not standing.holds(who, request.id):
            self.record.breaks("a run is begun under a lease", f"by {who}")
        elif standing.is_frozen(request):
            self.record.breaks("what is frozen is not begun", f"by {who}")
        elif request.not_after <= lease.at and (standing.is_served or standing.is_steady(who)):
            self.record.breaks("what is over is not begun", f"by {who}")

    def _expires(self, told: Told, event: Expired, who: str) -> None:
        standing, request = self.standing, told.request
        at = request.asked_at + OPEN_SECONDS if request.state is State.OPEN else request.not_after
        if standing.is_early(at, event.at, who):
            self.record.breaks("an expired end is true", f"by {who}")

    def _fails(self, told: Told, event: Settled) -> None:
        standing, service = self.standing, told.request.service
        lease = standing.leases.get(told.request.id)
        began = lease.moment if lease else 0
        is_new = standing.has_changed(service, told.proved, began) and service in standing.running
        if is_new and not standing.has_changed(service, began) and standing.unanswered < began:
            self.record.breaks("what came back has not failed", event.why)

    def _by_hand(self, told: Told, event: Event, who: str) -> None:
        standing, request = self.standing, told.request
        lease = standing.leases.get(request.id)
        began = lease.moment if lease else 0
        match event:
            case RunLost():
                self.record.breaks("nobody loses what a person does", event.why)
            case RunRefused() if standing.has_changed(request.service, told.proved, began):
                self.record.breaks("what was restarted by hand has run", event.why)
            case RunEnded(how="time ran out") if (
                not standing.has_changed(request.service, told.asked) and standing.unanswered < began
            ):
                self.record.breaks("where the old process runs on, nothing has run", f"by {who}")
            case Settled(is_success=True) if not standing.has_changed(request.service, told.asked):
                self.record.breaks("a success by hand is another process", event.why)
