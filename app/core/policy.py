"""Who may say yes: policies, the strictest of those that fit, and the one guard for approval.

Every path that can lead to an approval (page, API, command, agent) calls ``approval_refusal`` and nothing else
decides. It reads no clock and no store: the request, the person and the time are arguments. Keeps law 7 (nobody
approves their own), law 8 (no token approves) and law 9 (an ended or expired request takes no yes).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from app.core.errors import Conflict, Refused
from app.core.level import Level
from app.core.lifecycle import Request, State
from app.core.service import NAME, Host, Problem, Service


class Assurance(IntEnum):
    """What the yes is, weakest first."""

    CLICK = 1
    PASSKEY = 2
    SEALED = 3


class Role(StrEnum):
    """What a person may do. An admin approves nothing by being one."""

    REQUESTER = "requester"
    APPROVER = "approver"
    EDITOR = "editor"
    AUDITOR = "auditor"
    ADMIN = "admin"


class Via(StrEnum):
    """How somebody came in."""

    SESSION = "session"
    TOKEN = "token"  # noqa: S105 - a word, not a secret
    SIGNATURE = "signature"


class Scope(StrEnum):
    """What a token may do for its owner. There is none that approves."""

    ASK = "ask"
    READ = "read"


class Kind(StrEnum):
    """What holds the key that a yes is signed with. Nobody has to touch a plain one."""

    PASSKEY = "passkey"
    SECURITY_KEY = "security-key"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Policy:
    """One rule, for an environment or for a service. ``groups`` may not be empty: all of nothing is a refusal.

    ``plain_keys`` lets an SSH key sign that nobody has to touch.
    """

    environment: str | None = None
    service: str | None = None
    approvers: int = 1
    groups: tuple[str, ...] = ()
    assurance: Assurance = Assurance.CLICK
    expires_seconds: int = 900
    plain_keys: bool = False

    @property
    def name(self) -> str:
        """The rule's name on pages and in warrants."""
        return self.environment or f"service:{self.service}"

    def covers(self, service: Service, host: Host) -> bool:
        """Whether it holds for a service on its host."""
        return self.service == service.name or self.environment == host.environment


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds for one service: the strictest of all policies that fit. Each of ``groups`` must be satisfied."""

    name: str
    revision: int
    approvers: int
    groups: tuple[tuple[str, ...], ...]
    assurance: Assurance
    expires_seconds: int
    plain_keys: bool = False


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may act. ``human`` is the same for every account of one human being.

    ``groups`` maps a group's name to when the person joined it (epoch seconds).
    """

    id: str
    name: str
    human: str
    roles: frozenset[Role]
    groups: Mapping[str, float] = field(default_factory=dict)
    is_enabled: bool = True


@dataclass(frozen=True, slots=True)
class Proof:
    """A signature over the warrant of this digest that ``identity`` has verified, by a key that the person enrolled.

    ``key`` is its fingerprint ``SHA256:…``, ``usable_at`` (epoch seconds) when it may begin to approve, ``signature``
    the armored SSH signature itself.
    """

    digest: str
    key: str
    kind: Kind
    is_present: bool
    is_user_verified: bool
    usable_at: float
    signature: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to approve: who, how they came in, when they last proved who they are, and what they say yes to.

    ``proof`` is the signature that came with it. Without a session (``Via.SIGNATURE``) it is all that there is, and
    ``signed_in_at`` says nothing.
    """

    person: Person
    via: Via
    signed_in_at: float
    digest: str
    proof: Proof | None = None


def policy_problems(policy: Policy) -> list[Problem]:
    """Say what is wrong with one policy."""
    found: list[Problem] = []
    if (policy.environment is None) == (policy.service is None):
        found.append(Problem("environment", "name either an environment or a service"))
    if not 1 <= policy.approvers <= 9:
        found.append(Problem("approvers", "between 1 and 9"))
    if not policy.groups:
        found.append(Problem("groups", "name at least one group: a rule that names nobody would let nobody approve"))
    if any(not NAME.fullmatch(group) for group in policy.groups):
        found.append(Problem("groups", "a group is 1 to 40 of a-z, 0-9 and '-'"))
    if not 60 <= policy.expires_seconds <= 86_400:
        found.append(Problem("expires", "between 1m and 24h"))
    return found


def lowered(before: Policy, after: Policy | None) -> tuple[str, ...]:
    """Say in what a policy asks for less than it did. ``after`` is None where it was taken out."""
    if after is None:
        return ("it was taken out",)
    joined = sorted(set(after.groups) - set(before.groups))
    found = {
        f"{after.approvers} instead of {before.approvers} have to approve": after.approvers < before.approvers,
        f"{' and '.join(joined)} may approve too": bool(joined),
        f"{after.assurance.name.lower()} is enough": after.assurance < before.assurance,
        "a key that nobody has to touch may sign": after.plain_keys and not before.plain_keys,
        "a request lives longer": after.expires_seconds > before.expires_seconds,
    }
    return tuple(words for words, is_so in found.items() if is_so)


def rule_for(service: Service, host: Host, policies: Iterable[Policy], revision: int) -> Rule:
    """Return the strictest rule for a service. Raises Refused where no policy fits: silence is never yes.

    A sealed host takes nothing but signatures, so there its level is the rule's assurance.
    """
    fitting = sorted(
        (each for each in policies if each.covers(service, host)),
        key=lambda each: each.name,
    )
    if not fitting or any(policy_problems(each) for each in fitting):
        raise Refused(
            f"No policy says who may approve a restart of {service.name} in {host.environment}.",
            code="no_policy",
            next_step=f"An editor adds a policy for the environment {host.environment} to the registry.",
        )
    return Rule(
        name="+".join(each.name for each in fitting),
        revision=revision,
        approvers=max(each.approvers for each in fitting),
        groups=tuple(each.groups for each in fitting),
        assurance=Assurance.SEALED if host.level is Level.SEALED else max(each.assurance for each in fitting),
        expires_seconds=min(each.expires_seconds for each in fitting),
        plain_keys=all(each.plain_keys for each in fitting),
    )


def eligibility_refusal(request: Request, person: Person) -> Refused | None:
    """Say why this person can never approve this request, or None where only the moment and the session decide."""
    if person.human == request.requester_human:
        return _no("own_request", "You asked for this restart yourself.", _others(request.groups))
    if refusal := approver_refusal(person, request.groups):
        return refusal
    for groups in request.groups:
        if min(person.groups[group] for group in groups if group in person.groups) > request.asked_at:
            late = f"{person.name} joined the group after this was asked."
            return _no("joined_later", late, _others(request.groups))
    return None


def approver_refusal(person: Person, groups: Sequence[Sequence[str]]) -> Refused | None:
    """Say why this person may approve nothing by a rule of these groups, or None where each request decides.

    Who may is enabled, has the role approver, and is in one group of each set.
    """
    if not person.is_enabled:
        return _no("disabled", f"{person.name} is disabled.", "An admin can enable the account.")
    if Role.APPROVER not in person.roles:
        return _no("not_approver", f"{person.name} does not have the role approver.", _others(groups))
    if not groups:
        return _no("no_policy", "The request's policy names no group, so nobody may approve it.", "Ask again.")
    for names in groups:
        if not any(name in person.groups for name in names):
            return _no("not_in_group", f"{person.name} is not in {' or '.join(names)}.", _others(groups))
    return None


def groups_in_words(groups: Sequence[Sequence[str]]) -> str:
    """Return a rule's groups as a sentence has them after "of"."""
    return " and of ".join(" or ".join(names) for names in groups)


def approval_refusal(
    request: Request, attempt: Attempt, *, now: float, frozen: str | None, step_up_seconds: float
) -> Refused | None:
    """The guard: say why this yes does not count, or None where it does. ``frozen`` is the freeze's own sentence."""
    again = "Open the request again: it shows what holds now."
    if attempt.via not in {Via.SESSION, Via.SIGNATURE}:
        return _no("token", "A token cannot approve; only a human can.", "A person opens the request's page.")
    if request.state is not State.WAITING or request.warrant is None:
        return Conflict(f"This request is {request.state}, not waiting.", code="not_waiting", next_step=again)
    if request.not_after <= now:
        return Conflict("This request has expired.", code="expired", next_step="Ask for a new one.")
    if frozen:
        return _no("frozen", frozen, "Wait until the freeze is released, then approve.")
    if refusal := eligibility_refusal(request, attempt.person):
        return refusal
    if any(attempt.person.human == approval.human for approval in request.approvals):
        return Conflict("You have approved this already.", code="already_approved", next_step=_others(request.groups))
    if attempt.digest != request.digest:
        return Conflict("The yes names another warrant than this one.", code="digest_differs", next_step=again)
    if attempt.proof is not None:
        return _proof_refusal(request, attempt.proof, now)
    if request.assurance > Assurance.CLICK or attempt.via is Via.SIGNATURE:
        sign = "Sign it with your passkey on the request's page, or with `askfirst approve`."
        return _no("needs_signature", "This yes needs a signature, a click is not enough.", sign)
    if now - attempt.signed_in_at > step_up_seconds:
        return _no("step_up_required", "You signed in too long ago to approve.", "Enter your password once more.")
    return None


def _proof_refusal(request: Request, proof: Proof, now: float) -> Refused | None:
    """Say why a signature does not count, or None where it does."""
    if proof.digest != request.digest:
        again = "Open the request again, and sign what it shows."
        return Conflict("The signature is over another warrant than this one.", code="other_warrant", next_step=again)
    if proof.usable_at > now:
        return _no("key_too_new", "This key was enrolled too recently to approve.", _others(request.groups))
    if any(proof.key == approval.key for approval in request.approvals):
        return Conflict("This key has signed this already.", code="key_used", next_step=_others(request.groups))
    if proof.kind is Kind.PLAIN:
        enrol = "Enrol a passkey or a security key in Settings, and sign with that."
        return None if request.plain_keys else _no("plain_key", "The policy asks for a key with a touch.", enrol)
    if not (proof.is_present and proof.is_user_verified):
        how = "Let the key ask for its PIN, finger or face; a security key for SSH is made with -O verify-required."
        return _no("not_verified", "The key did not find out who touched it.", how)
    return None


def _no(code: str, message: str, next_step: str) -> Refused:
    return Refused(message, code=code, next_step=next_step)


def _others(groups: Sequence[Sequence[str]]) -> str:
    wanted = groups_in_words(groups)
    return f"Someone else who is an approver of {wanted} can decide." if wanted else "Someone else can decide."
