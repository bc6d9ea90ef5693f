"""The words of the pages: every state, verdict and need as a word, an icon and a tone, with the next step in a
sentence.

It decides nothing and knows no request; each table is complete, which a test checks. An icon is a name of the sprite in
``templates/parts/marks.html``, a tone a class of the stylesheet.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from app.core.checklist import Certainty
from app.core.discovery import Standing
from app.core.lifecycle import State
from app.core.policy import Assurance, Kind, Role
from app.core.verdict import Answer, Code


@dataclass(frozen=True, slots=True)
class Sign:
    """One state on a page: a word, an icon, a tone, and what comes next."""

    word: str
    icon: str
    tone: str
    next_step: str = ""
    turning: bool = False


STATES: Mapping[State, Sign] = {
    State.OPEN: Sign(
        "Open", "eye", "work", "The host is being asked what really runs there. Nobody has to do anything."
    ),
    State.BLOCKED: Sign(
        "Blocked", "barred", "no", "Nothing was run and nobody was asked. What to do next stands below; then ask again."
    ),
    State.WAITING: Sign("Waiting", "clock", "wait", "An approver reads the proof, then approves or denies."),
    State.APPROVED: Sign(
        "Approved", "shield", "work", "It runs as soon as a worker takes it, if the host still agrees."
    ),
    State.RUNNING: Sign("Running", "turn", "work", "The command is under way; its output appears below.", turning=True),
    State.UNKNOWN: Sign(
        "Unknown",
        "ask",
        "lost",
        "Whether it ran is not known. Askfirst asks the host what happened; it never runs it again.",
    ),
    State.SETTLING: Sign(
        "Settling",
        "turn",
        "work",
        "The command ended. The host is now asked whether the service truly came back.",
        True,
    ),
    State.SUCCEEDED: Sign(
        "Succeeded", "ok", "yes", "Nothing is left to do: the host proved that the service came back."
    ),
    State.FAILED: Sign(
        "Failed", "x", "no", "The command ran, and the service did not come back as it should. Look at the proof below."
    ),
    State.DENIED: Sign(
        "Denied", "hand", "no", "Nothing was run. Read the reason; a new request starts from a new proof."
    ),
    State.EXPIRED: Sign(
        "Expired", "past", "past", "Nothing was run, since nobody decided in time. Ask again if needed."
    ),
    State.CANCELLED: Sign("Cancelled", "x", "past", "It was taken back before it ran. Nothing was run."),
    State.STALE: Sign(
        "Stale", "past", "lost", "Nothing was run: the host or the registry is no longer as it was proved. Ask again."
    ),
    State.NOT_RUN: Sign("Not run", "barred", "no", "Nothing was run, and this warrant can never run. Ask again."),
    State.GIVEN_UP: Sign(
        "Given up", "ask", "lost", "What it did was never found out. Look at the host before anybody asks again."
    ),
}

BY_HAND = Sign(
    "Running", "person", "work", "A person restarts it by hand now, and says so on this page. Askfirst runs nothing."
)


@dataclass(frozen=True, slots=True)
class Reading:
    """A verdict for people: a headline, a tone, and what it means."""

    head: str
    icon: str
    tone: str
    meaning: str


_NO = ("barred", "no")
_LOST = ("ask", "lost")
VERDICTS: Mapping[Code, Reading] = {
    Code.VERIFIED: Reading(
        "The host proves the claim", "shield", "yes", "Name and process lead to each other, and every aspect agrees."
    ),
    Code.HOST_KEY_CHANGED: Reading(
        "The host showed another key",
        *_NO,
        "This may be another machine, or somebody in between. Nothing was sent to it.",
    ),
    Code.UNREACHABLE: Reading(
        "The host gave no answer", *_LOST, "No connection, or no answer in time. What runs there is not known."
    ),
    Code.BLIND: Reading(
        "Something could not be seen", *_LOST, "What the probe could not see never counts as agreement."
    ),
    Code.NO_SUCH_UNIT: Reading(
        "There is no such name on the host", *_NO, "The manager does not know the name claimed."
    ),
    Code.WRONG_MANAGER: Reading(
        "Another manager runs it",
        *_NO,
        "The process is there, and the manager that the registry names does not run it.",
    ),
    Code.AMBIGUOUS: Reading(
        "More than one fits", *_NO, "The manager is right; which of its units is meant is not clear."
    ),
    Code.WRONG_USER: Reading(
        "Another user runs it", *_NO, "The process is there, and runs as another user than claimed."
    ),
    Code.WRONG_PATH: Reading("It runs from another path", *_NO, "The process is there, and runs from another place."),
    Code.WRONG_PORT: Reading("It holds another port", *_NO, "The process is there, and a claimed port is not its own."),
    Code.DOWN: Reading(
        "Nothing runs", *_NO, "The manager knows the name, and nothing runs: this would be a start, not a restart."
    ),
    Code.UNSAFE: Reading(
        "It is not safe to restart", *_NO, "Root would run something that an ordinary user of the host can rewrite."
    ),
}

NEEDS: Mapping[Answer, Sign] = {
    Answer.NEEDED: Sign("Yes", "ok", "yes", "The host shows why a restart is called for."),
    Answer.NOT_NEEDED: Sign("No sign of it", "warn", "wait", "Signs were looked for and none was found."),
    Answer.UNSURE: Sign("Unsure", "ask", "lost", "The host could not show whether a restart is called for."),
}

STANDINGS: Mapping[Standing, Sign] = {
    Standing.REGISTERED: Sign("registered", "ok", "yes", "A service of the registry, and the host proves its claim."),
    Standing.WRONG: Sign("registered wrong", "x", "no", "A service of the registry, and the host does not prove it."),
    Standing.UNREGISTERED: Sign("not registered", "plus", "wait", "Nobody has told the registry of it."),
    Standing.UNSEEN: Sign("not seen", "ask", "lost", "Something listens there; what it is could not be seen."),
    Standing.SYSTEM: Sign(
        "the machine's own", "note", "past", "The machine's, or it only keeps others, or neither listens nor is kept."
    ),
}

CERTAINTIES: Mapping[Certainty, Sign] = {
    Certainty.PROVED: Sign("proved", "ok", "yes"),
    Certainty.NOT_PROVED: Sign("not proved", "warn", "wait"),
    Certainty.SAID: Sign("said", "person", "lost"),
    Certainty.LATER: Sign("not yet", "clock", "past"),
}

# Of an action that leaves the process as it is, these states mean something else than of a restart.
GENTLER: Mapping[State, str] = {
    State.SETTLING: "The command ended. The host is now asked whether the same process runs on as it should.",
    State.SUCCEEDED: "Nothing is left to do: the same process runs on, and the host proved it.",
    State.FAILED: "It did not end as it was approved. Look at the proof below.",
}

ROLES: Mapping[Role, str] = {
    Role.REQUESTER: "asks for restarts",
    Role.APPROVER: "approves or denies what others ask for",
    Role.EDITOR: "writes the registry",
    Role.AUDITOR: "reads everything, the audit log included",
    Role.ADMIN: "looks after people; approves nothing by that",
}

ASSURANCES: Mapping[Assurance, str] = {
    Assurance.CLICK: "click",
    Assurance.PASSKEY: "passkey",
    Assurance.SEALED: "sealed",
}

YES: Mapping[Assurance, str] = {
    Assurance.CLICK: "a signed-in person's click",
    Assurance.PASSKEY: "a signature over this text, by a passkey or a security key",
    Assurance.SEALED: "a signature over this text, by a passkey or a security key, which the host itself checks",
}

# What a page may say after a redirect: a word in the address picks the sentence, so that no link can put words there.
SAID: Mapping[str, str] = {
    "saved": "Saved.",
    "added": "Added.",
    "proved": "The host was asked just now.",
    "frozen": "Frozen. Nothing within that scope runs until it is released.",
    "released": "Released.",
    "password": "Your password was changed, and your other sessions were ended.",
    "ended": "The sessions were ended.",
    "revoked": "The token was revoked.",
    "applied": "The registry was changed.",
    "withdrawn": "The change was withdrawn.",
    "insisted": "Your stronger reason was added.",
    "pinned": "The host key was pinned.",
    "seen": "Marked as seen.",
    "unchanged": "Nothing was changed, so nothing was saved.",
    "enrolled": "The key is here. It counts for nothing until it is confirmed.",
    "confirmed": "The key was confirmed.",
    "removed": "The key was removed.",
    "again": "Thank you: you can change keys now.",
}

KEYS: Mapping[Kind, str] = {
    Kind.PASSKEY: "passkey",
    Kind.SECURITY_KEY: "SSH security key",
    Kind.PLAIN: "SSH key, without a touch",
}

# How far a key has come: not confirmed, confirmed yet too new to approve, or as good as any.
NEW_KEY, YOUNG_KEY, SURE_KEY = (
    Sign("Waits for confirmation", "clock", "wait"),
    Sign("Too new to approve", "clock", "wait"),
    Sign("May approve", "ok", "yes"),
)
