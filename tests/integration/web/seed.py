"""A store with people, a registry and a request in every state, as pages and tests want to see it.

Everything is written through the store's own functions, by events that the life cycle allows. The evidence is written
by hand, in the form that the judge gives it; what the judge truly says is shown in ``test_the_whole_way``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from app.core import events as happened
from app.core.events import SYSTEM
from app.core.lifecycle import Request
from app.core.manager import Offered
from app.core.policy import Assurance, Policy, Role, rule_for
from app.core.registry import Registry, difference
from app.core.run import Checked
from app.core.service import Host, JsonCheck, Service, TcpCheck
from app.core.verdict import Answer, Code, Finding, Need, Sign, Verdict
from app.core.warrant import Warrant, digest_of
from app.flow.evidence import Evidence, Touched, claim_digest
from app.flow.ids import Stamp, new_id, salted, stamp
from app.flow.ports import World
from app.identity.passwords import hash_password
from app.store import output, people, proofs, requests, services
from app.store.people import Account

PASSWORD = "correct horse battery"
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGvc5ozaLlUtGDjMC+RMTvv4ifkvUI68FLacWSJlUURb"
REASON = "TFTP fix 6ed8c30 is pulled, the process is older. The constellation must use 172.22.147.18."
PEOPLE = {
    "ada": ("Ada Engineer", {Role.REQUESTER}, ()),
    "bo": ("Bo Approver", {Role.APPROVER, Role.REQUESTER}, ("lab-team",)),
    "cy": ("Cy Approver", {Role.APPROVER}, ("lab-team",)),
    "ed": ("Ed Editor", {Role.EDITOR, Role.REQUESTER}, ()),
    "fay": ("Fay Editor", {Role.EDITOR}, ()),
    "odo": ("Odo Auditor", {Role.AUDITOR}, ()),
    "root": ("Rae Admin", {Role.ADMIN}, ()),
}
CHECK = JsonCheck("http://127.0.0.1:5050/api/constellation", "tftp.server", "172.22.147.18")
GUI = Service(
    name="pypnm-gui",
    host="alpha",
    owner="lab-team",
    manager="supervisor",
    unit="lab:pypnm-gui",
    user="rbron",
    path="/opt/pypnm-gui-lab",
    ports=(5050,),
    checks=(TcpCheck(5050), CHECK),
    docs="Backend of the lab GUI. Ask rbron first.\nLogs: /var/log/supervisor/pypnm-gui.log",
)
# What is in no plan, and is registered by whoever wants to see a yes that needs a signature.
SIGNED = replace(GUI, name="gui-signed", unit="lab:gui-signed", ports=(5059,), checks=())
REGISTRY = Registry(
    hosts=(
        # Nobody listens there: what is tested beside this on real hosts must not be met by chance.
        Host("alpha", "127.0.0.1", "production", (HOST_KEY,), port=1, sudo=True),
        Host("beta", "beta.example.org", "staging", jump="alpha"),
    ),
    services=(
        replace(GUI, name="pypnm-api", manager="systemd", unit="pypnm-gui-backend.service", ports=(8000,), checks=()),
        GUI,
        Service("tftp", "alpha", "net-team", "manual", "tftpd", ports=(69,), docs="Restarted by the net team."),
    ),
    policies=(
        Policy(environment="production", groups=("lab-team",)),
        Policy(environment="staging", approvers=2, groups=("lab-team", "net-team"), expires_seconds=3600),
    ),
)


def verdict(code: Code = Code.VERIFIED, pid: int = 4711) -> Verdict:
    """Return what the judge says of the GUI, right or wrong."""
    if code is not Code.VERIFIED:
        step = (
            "Nothing of that name is known to systemd on alpha. Port 8000 is held by a container of Docker: "
            "register it as docker, name pypnm-api, or ask lab-team."
        )
        return Verdict(
            code,
            (
                Finding(
                    "manager",
                    "systemd",
                    "docker-proxy 2210 is run by Docker, container pypnm-api",
                    False,
                    Code.WRONG_MANAGER,
                    step,
                ),
                Finding(
                    "name",
                    "pypnm-gui-backend.service",
                    "no such name; like it: gui-5054.service",
                    False,
                    Code.NO_SUCH_UNIT,
                    step,
                ),
                Finding("process", "running", "not seen", None, Code.BLIND, "Grant the probe root's sight."),
                Finding("user", "rbron", "root", False, Code.WRONG_USER, "Correct the user in the claim."),
                Finding("ports", "8000", "8000 on 0.0.0.0, held by 2210", True),
            ),
            step,
            near=("gui-5054.service", "gui-alias.service"),
        )
    said = [
        ("manager", "supervisor", "supervisor (supervisord 612 → gunicorn 4711)"),
        ("name", "lab:pypnm-gui", "lab:pypnm-gui RUNNING"),
        ("process", "running", f"process {pid}, up 6 d 4 h, gunicorn --workers 2 --chdir /opt/pypnm-gui-lab app:app"),
        ("user", "rbron", "rbron"),
        ("path", "/opt/pypnm-gui-lab", "/opt/pypnm-gui-lab"),
        ("ports", "5050", f"5050 on 0.0.0.0, held by {pid}"),
        ("safety", "root runs nothing that others can write", "nothing found"),
        ("identity", "one process", f"process {pid}, boot 6f0c2a9e"),
    ]
    return Verdict(
        Code.VERIFIED, tuple(Finding(*each, True) for each in said), "Ask for a restart.", "lab:pypnm-gui", (pid,)
    )


def claim_of(service: str) -> str:
    """Return the digest of the registry's entries that a request for a service rests on."""
    claim = REGISTRY.service(service) or (SIGNED if service == SIGNED.name else GUI)
    host = REGISTRY.hosts[0]
    return claim_digest(claim, host, rule_for(claim, host, REGISTRY.policies, 1))


def evidence(
    now: float,
    *,
    need: Answer = Answer.NEEDED,
    code: Code = Code.VERIFIED,
    pid: int = 4711,
    service: str = "pypnm-gui",
    committed: bool | None = True,
) -> Evidence:
    """Return the evidence of a look at the GUI at a time."""
    is_fixed = pid != 4711
    began = now - 3 if is_fixed else now - 6.2 * 86_400
    signs = (
        Sign(
            "code",
            "Commit 6ed8c30 (Use the lab's own TFTP server) was checked out 6 d after process 4711 started.",
            now - 2460,
        ),
        Sign("check", "The check tftp.server is 172.22.147.18 is red: the field holds 10.0.0.1."),
    )
    green = Checked(
        "tftp.server is 172.22.147.18", is_fixed, "the field holds " + ("172.22.147.18" if is_fixed else "10.0.0.1")
    )
    looked = (
        "code newer than the process",
        "replaced executable or libraries",
        "what supervisor itself says",
        "red checks",
    )
    is_seen = code is Code.VERIFIED
    touched = [
        Touched(pid, "rbron", "/usr/bin/python3 /usr/bin/gunicorn --workers 2 app:app", began, (5050,)),
        Touched(pid + 4, "rbron", "gunicorn: worker", began + 1, (5050,)),
        Touched(pid + 5, "rbron", "gunicorn: worker", began + 1, (5050,)),
    ]
    return Evidence(
        taken_at=now,
        verdict=verdict(code, pid),
        need=Need(need, signs if need is Answer.NEEDED else (), looked),
        identity=identity(pid),
        touched=tuple(touched) if is_seen else (),
        checks=(Checked("tcp 127.0.0.1:5050", True, "it accepts a connection"), green) if is_seen else (),
        claim=claim_of(service),
        commands=COMMANDS if is_seen else (),
        committed=Finding("committed", "all of it is committed and pushed", _PUSHED[committed], committed),
        gone=identity()[1:2] if is_fixed else (),
    )


_PUSHED = {
    True: "commit 6ed8c3000000 is on origin/main by the last fetch, 2 h before, and nothing is changed",
    False: "2 files changed, over commit 6ed8c3000000",
    None: "no git checkout was seen at /opt/pypnm-gui-lab",
}
# What a manager that can do more than restart would be told.
COMMANDS = (
    Offered("daemon-reload", ("systemctl", "daemon-reload"), "root"),
    Offered("reload", ("systemctl", "reload", "gui.service"), "root"),
    Offered("restart", ("systemctl", "restart", "gui.service"), "root"),
)


def identity(pid: int = 4711) -> tuple[str, ...]:
    """Return the identity lines of the GUI."""
    return (
        "boot 6f0c2a9e-6a0e-4c0f-9e7b-0d6d6e5b1f3a",
        f"process {pid} 8812345 rbron /opt/pypnm-gui-lab",
        "program lab:pypnm-gui RUNNING",
    )


@dataclass
class Seed:
    """Writes requests into a store."""

    world: World
    accounts: dict[str, Account]

    async def ask(
        self,
        who: str = "ada",
        service: str = "pypnm-gui",
        reason: str = REASON,
        *,
        ago: float = 30,
        action: str = "restart",
        said: tuple[str, ...] = (),
    ) -> Request:
        """Open a request."""
        now = self.world.clock.now() - ago
        person = self.accounts[who].person
        texts = (salted(reason), salted("LAB-212"))
        event = happened.Asked(
            **stamp(now, person.id),
            service=service,
            host="alpha",
            environment="production",
            requester=person.id,
            requester_human=person.human,
            reason_text=texts[0].commitment,
            ticket_text=texts[1].commitment,
            registry=1,
            action=action,
            said=said,
        )
        return await requests.create(self.world.db, new_id(now), event, texts, key=None, key_digest="")

    async def block(self, request: Request, code: Code = Code.NO_SUCH_UNIT) -> Request:
        """Let the host refuse the claim."""
        text = salted(evidence(self.world.clock.now(), code=code).text())
        event = happened.Blocked(**self._stamp(), verdict=code, need="UNSURE", evidence_text=text.commitment)
        return await requests.append(self.world.db, request, event, (text,))

    async def verify(
        self,
        request: Request,
        *,
        need: Answer = Answer.NEEDED,
        approvers: int = 1,
        by_hand: bool = False,
        seconds: float = 840,
        committed: bool | None = True,
        assurance: Assurance = Assurance.CLICK,
        plain_keys: bool = False,
    ) -> Request:
        """Let the host prove the claim, and write the warrant."""
        now = self.world.clock.now()
        proof = salted(evidence(now - 12, need=need, service=request.service, committed=committed).text())
        command = next(each.argv for each in COMMANDS if each.action == request.action)
        if request.action == "restart":
            command = ("supervisorctl", "restart", "lab:pypnm-gui")
        until = int(now + seconds)
        reason = (await requests.text(self.world.db, request.reason_text)) or ""
        warrant = Warrant(
            id=request.id,
            service=request.service,
            host="alpha",
            host_key="SHA256:QmXo4n0hB2u0m8W0rE5mN3mJ9n0Xj1v7d8e9f0a1b2c",
            manager="manual" if by_hand else "supervisor",
            unit="tftpd" if by_hand else "lab:pypnm-gui",
            action=request.action,
            argv=() if by_hand else command,
            argv_user="-" if by_hand else "root",
            identity=identity(),
            requester="ada@example.org",
            reason=reason,
            policy="production 1",
            not_after=until,
            evidence=proof.commitment,
        )
        text = salted(warrant.text())
        event = happened.Verified(
            **self._stamp(),
            need=need,
            evidence_text=proof.commitment,
            warrant_text=text.commitment,
            digest=digest_of(text.body),
            manager=warrant.manager,
            policy="production",
            policy_revision=1,
            approvers=approvers,
            groups=(("lab-team",),),
            assurance=int(assurance),
            plain_keys=plain_keys,
            not_after=float(until),
        )
        return await requests.append(self.world.db, request, event, (proof, text))

    async def waiting(self, **more: object) -> Request:
        """Return a fresh request that waits for a yes."""
        asked = await self.ask(**{key: more.pop(key) for key in ("who", "service", "reason") if key in more})  # type: ignore[arg-type]
        return await self.verify(asked, **more)  # type: ignore[arg-type]

    async def approve(self, request: Request, who: str = "bo") -> Request:
        """Write a yes."""
        person = self.accounts[who].person
        event = happened.Approved(**self._stamp(person.id), human=person.human, digest=request.digest, level="click")
        return await requests.append(self.world.db, request, event)

    async def run(
        self, request: Request, printed: bytes = b"lab:pypnm-gui: stopped\nlab:pypnm-gui: started\n"
    ) -> Request:
        """Let a worker take it, and print something."""
        event = happened.RunStarted(**self._stamp(), digest=request.digest, worker="here:1")
        request = await requests.append(self.world.db, request, event)
        await output.append(self.world.db, request.id, 0, printed)
        return request

    async def end(
        self, request: Request, status: int = 0, printed: str = "lab:pypnm-gui: stopped\nlab:pypnm-gui: started\n"
    ) -> Request:
        """Let the command end."""
        text = salted(printed)
        event = happened.RunEnded(**self._stamp(), exit_status=status, how="streamed", output_text=text.commitment)
        return await requests.append(self.world.db, request, event, (text,))

    async def settle(self, request: Request, *, is_success: bool = True) -> Request:
        """Let the host prove, or not, that it came back."""
        now = self.world.clock.now()
        is_new = is_success and request.action == "restart"
        shown = evidence(now, pid=5120 if is_new else 4711, code=Code.VERIFIED if is_success else Code.WRONG_PORT)
        text = salted(shown.text())
        why = (
            "A new process under the same manager, stable for 5 s, ports held, every check green."
            if is_new
            else f"The same process (4711) runs on as claimed, 5 s after the {request.action}."
            if is_success
            else "Nothing holds port 5050 60 s after the command ended."
        )
        event = happened.Settled(**self._stamp(), is_success=is_success, why=why, evidence_text=text.commitment)
        return await requests.append(self.world.db, request, event, (text,))

    async def then(self, request: Request, event: happened.Event, texts: Sequence[object] = ()) -> Request:
        """Let anything else happen."""
        return await requests.append(self.world.db, request, event, texts)  # type: ignore[arg-type]

    async def prove(self, service: str, code: Code = Code.VERIFIED, ago: float = 40) -> None:
        """Keep a last proof of a service."""
        at = self.world.clock.now() - ago
        shown = evidence(at, code=code)
        await proofs.record_proof(self.world.db, service, str(code), str(shown.need.answer), at, shown.text())

    def stamp(self, who: str = "") -> Stamp:
        """Return what an event carries, by a person or by Askfirst."""
        return self._stamp(self.accounts[who].person.id if who else SYSTEM)

    def _stamp(self, by: str = SYSTEM) -> Stamp:
        return stamp(self.world.clock.now(), by)


@cache
def _hashed() -> str:
    return hash_password(PASSWORD)  # slow on purpose, so made once


async def plant(world: World) -> Seed:
    """Write people and registry into an empty store."""
    hashed = _hashed()
    now = world.clock.now() - 30 * 86_400
    accounts = {}
    for key, (name, roles, groups) in PEOPLE.items():
        accounts[key] = await people.add(
            world.db,
            person_id=new_id(now),
            name=name,
            email=f"{key}@example.org",
            roles=roles,
            groups=groups,
            password_hash=hashed,
            by="operator",
            at=now,
            event_id=new_id(now),
        )
    changes = difference(Registry(), REGISTRY)
    await services.apply(world.db, changes, by="operator", at=now, event_id=new_id(now), base_revision=0)
    return Seed(world, accounts)
