"""What a run came to, concluded from what is seen after it: success is a new process that stays, with green checks.

Of a gentler action it is the other way round: the same process has to run on, the command has to have ended with 0, and
what it was to mend has to be gone. A new process is then what nobody approved, and the run has failed.

``Watch`` takes one observation after the other, each with its time. Success needs two, at least the claim's ``settle``
time apart, with nothing worse between them: the claim judged VERIFIED again; an incarnation of which nothing was there
before the run, of the same user; the same incarnation in both; green checks. A host that did not answer in between says
nothing; anything else less begins the wait anew. A claimed path is judged; one that is not claimed may change with a
release, and is told.

It probes nothing and reads no clock: whoever asks decides when to stop, and then ``why`` is the reason of the failure.
Keeps law 11: the exit status is told, and never makes a success.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from app.core.display import span, visible
from app.core.manager import Action, Manager
from app.core.service import Service
from app.core.verdict import NOT_SEEN, Sign, Verdict

Mark = tuple[str, ...]
_GENTLER = frozenset({Action.DAEMON_RELOAD, Action.RELOAD})


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What may be said by now. ``is_final`` tells that no look can change it; ``look_again_in`` is in seconds."""

    is_success: bool
    is_final: bool
    why: str
    look_again_in: float | None = None


@dataclass(frozen=True, slots=True)
class Watch:
    """What is known of the time after a run. ``before`` are the warrant's identity lines.

    ``good_since`` is when the present incarnation was first seen to be all that it should be, ``same_since`` when the
    old one was first seen to be still there; None where that is not so now. ``seen`` are the incarnations since.
    """

    service: Service
    manager: Manager
    before: tuple[str, ...]
    exit_status: int | None
    action: str = Action.RESTART
    good_since: float | None = None
    same_since: float | None = None
    seen: tuple[Mark, ...] = ()

    @classmethod
    def begin(
        cls,
        service: Service,
        before: tuple[str, ...],
        manager: Manager,
        *,
        exit_status: int | None = None,
        action: str = Action.RESTART,
    ) -> Self:
        """Begin, with the identity lines of the warrant and the exit status, None where the host cannot tell it."""
        return cls(service, manager, before, exit_status, action)

    def see(
        self,
        at: float,
        verdict: Verdict,
        identity: tuple[str, ...],
        checks: Sequence[tuple[str, bool, str]],
        signs: Sequence[Sign] = (),
        *,
        took: float = 0.0,
    ) -> tuple["Watch", Conclusion]:
        """Take an observation, with its checks as label, greenness and what was seen; conclude from all so far.

        ``at`` is when it began, ``took`` how long it lasted: what is good is so from its end, until the next began.
        ``signs`` are those of need, as they are seen then.
        """
        if verdict.code in NOT_SEEN:
            return self, _not_yet(self, f"It could not be seen: {_reason(verdict)}")
        mark, old = self.manager.mark(identity), self.manager.mark(self.before)
        if self.action in _GENTLER:
            lack = _lack(verdict, identity, self.before, checks) or _left(self.action, signs)
            return _kept(self, at, at + took, _broken(self, mark, old), lack, pids=verdict.pids)
        if set(mark) & set(old):
            return _unchanged(self, at, at + took)
        watch = replace(self, same_since=None)
        if mark and (not self.seen or mark != self.seen[-1]):
            watch = replace(watch, seen=(*self.seen, mark), good_since=None)
        lack = _lack(verdict, identity, self.before, checks) if mark else "Nothing runs under this name."
        if lack:
            return replace(watch, good_since=None), _not_yet(watch, lack)
        if watch.good_since is None:
            text = f"A new process runs as claimed; it has to stay for {span(self.service.settle_seconds)}."
            return replace(watch, good_since=at + took), _not_yet(watch, text, self.service.settle_seconds)
        left = watch.good_since + self.service.settle_seconds - at
        if left > 0:
            return watch, _not_yet(
                watch, f"A new process runs as claimed; it has to stay {span(max(left, 1.0))} more.", left
            )
        return watch, Conclusion(is_success=True, is_final=True, why=_success(watch, verdict, identity, checks))


def _broken(watch: Watch, mark: Mark, old: Mark) -> str:
    """Say what no later look at a gentler action can mend, or nothing."""
    if mark != old:
        now = "Another process runs now" if mark else "Nothing runs under this name now"
        return f"{_exit(watch)}{now}: a {watch.action} was approved, which leaves the process as it is."
    return ""


def _not_done(watch: Watch) -> str:
    """Say why a gentler action did not do its work, by its exit status, or nothing."""
    if watch.exit_status is None:
        return f"The host cannot tell how the {watch.action} ended. The same process runs on."
    return f"{_exit(watch)}The {watch.action} was refused. The same process runs on." if watch.exit_status else ""


def _left(action: str, signs: Sequence[Sign]) -> str:
    """Say what an action was to take away, and has not: the sign of need that bears its name."""
    return next((f"Not done: {sign.text}" for sign in signs if sign.kind == action), "")


def _kept(
    watch: Watch, at: float, ended: float, broken: str, lack: str, *, pids: Sequence[int]
) -> tuple[Watch, Conclusion]:
    """Conclude on a gentler action: the same incarnation, twice, with nothing worse between."""
    if broken:
        return watch, Conclusion(is_success=False, is_final=True, why=broken)
    if undone := _not_done(watch):
        # What a refused reload did to the process may show a moment later.
        since = ended if watch.same_since is None else watch.same_since
        left = watch.service.settle_seconds - (at - since)
        is_final = watch.same_since is not None and left <= 0
        told = Conclusion(is_success=False, is_final=is_final, why=undone, look_again_in=None if is_final else left)
        return replace(watch, same_since=since), told
    if lack:
        return replace(watch, good_since=None), _not_yet(watch, lack)
    since = ended if watch.good_since is None else watch.good_since
    stay = watch.service.settle_seconds
    if watch.good_since is None or at - since < stay:
        text = f"The same process runs as claimed; it has to stay so for {span(max(stay - (at - since), 1.0))}."
        return replace(watch, good_since=since), _not_yet(watch, text, stay - (at - since))
    named = ", ".join(map(str, pids[:4]))
    text = f"The same process ({named}) runs on as claimed, {span(stay)} after the {watch.action}."
    return watch, Conclusion(is_success=True, is_final=True, why=text)


def _unchanged(watch: Watch, at: float, ended: float) -> tuple[Watch, Conclusion]:
    """The old incarnation, or a part of it, is still there; after a refused command that is the end of it."""
    since = ended if watch.same_since is None else watch.same_since
    text = f"{_exit(watch)}What ran before still runs: it was not restarted."
    is_final = bool(watch.exit_status) and since < at and at - since >= watch.service.settle_seconds
    unchanged = replace(watch, good_since=None, same_since=since)
    return unchanged, Conclusion(is_success=False, is_final=is_final, why=text)


def _not_yet(watch: Watch, why: str, look_again_in: float | None = None) -> Conclusion:
    flaps = f" It does not stay: {len(watch.seen)} different ones were seen since the run." if watch.seen[1:] else ""
    return Conclusion(is_success=False, is_final=False, why=f"{_exit(watch)}{why}{flaps}", look_again_in=look_again_in)


def _success(watch: Watch, verdict: Verdict, identity: tuple[str, ...], checks: Sequence[tuple[str, bool, str]]) -> str:
    pids = ", ".join(map(str, verdict.pids[:4]))
    green = f", {len(checks)} of {len(checks)} checks are green" if checks else ""
    was, now = _words(watch.before, 4), _words(identity, 4)
    moved = (
        f" It works in {', '.join(sorted(now))} now; before in {', '.join(sorted(was))}." if was and was != now else ""
    )
    stayed = span(watch.service.settle_seconds)
    return f"{_exit(watch)}A new process ({pids}) runs as claimed and stayed for {stayed}{green}.{moved}"


def _exit(watch: Watch) -> str:
    return f"The command exited with {watch.exit_status}. " if watch.exit_status else ""


def _lack(
    verdict: Verdict, identity: tuple[str, ...], before: tuple[str, ...], checks: Sequence[tuple[str, bool, str]]
) -> str:
    """Say what an observation of a new incarnation falls short of, or nothing."""
    if not verdict.is_verified or not verdict.pids:
        return f"The host does not prove the claim: {_reason(verdict)}"
    was, now = _words(before, 3), _words(identity, 3)
    if was and was != now:
        return f"It runs as {', '.join(sorted(now))} now; before as {', '.join(sorted(was))}."
    red = [f"{visible(label)} ({visible(seen)})" for label, is_green, seen in checks if not is_green]
    return f"Not green: {'; '.join(red)}." if red else ""


def _reason(verdict: Verdict) -> str:
    """Say which aspect a verdict rests on, and what was observed of it."""
    finding = next((each for each in verdict.findings if each.code is verdict.code), None)
    seen = f", {finding.aspect}: {finding.observed}" if finding else ""
    return f"{verdict.code}{seen}."


def _words(identity: tuple[str, ...], index: int) -> set[str]:
    """Return one word of each identity line of a process: ``process PID START USER CWD``."""
    lines = (line.split(" ") for line in identity if line.startswith("process "))
    return {words[index] for words in lines if len(words) > index}
