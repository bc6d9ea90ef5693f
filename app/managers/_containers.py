"""Containers, as values read from the records of the gate, and what can be said of them. Used by each manager of such.

It does not say whose container a process is in (``_contained`` does for Docker's). Of Docker's both managers' records
are read, since either may have asked about a container of the other's; what tells whose it is, is ``is_composed``.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.core.display import span, visible
from app.core.facts import Facts, Record
from app.core.manager import Unseen
from app.core.service import Problem, Service
from app.core.verdict import Sign
from app.managers._climbing import climbing

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_ID = re.compile(r"[0-9a-f]{12}|[0-9a-f]{64}")
_SYSTEMDS = (".service", ".socket", ".target", ".timer", ".scope", ".slice")


@dataclass(frozen=True, slots=True)
class Container:
    """One container, by its keeper's word. ``ports`` are the host's, ``mounts`` the host's folders that it sees.

    ``listed_as`` is the image as ``docker ps`` shows it, empty where that was not asked. ``started`` is its keeper's
    own text, ``started_at`` the same in epoch seconds, like ``created_at``. ``unit`` is Compose's name for it, empty
    where Compose has none. ``policy`` tells whether Docker starts it again by itself; ``no`` or empty where never.
    """

    id: str
    name: str
    pid: int
    state: str
    started: str
    started_at: float
    image: str
    image_id: str
    listed_as: str
    user: str
    folder: str
    mounts: tuple[str, ...]
    ports: tuple[int, ...]
    restarts: int
    health: str
    unit: str
    project_folder: str
    created_at: float
    policy: str

    @property
    def is_composed(self) -> bool:
        """Whether ``docker compose`` restarts it: it goes by these labels, and leaves what it ran once alone."""
        return self.unit != ""

    @property
    def is_running(self) -> bool:
        """Whether it has a live main process."""
        return self.pid > 0

    @property
    def state_words(self) -> str:
        """Its state in words for people: one that nothing starts again by itself is told."""
        return f"{self.state}, started by nobody after a reboot" if self.policy in {"", "no"} else self.state

    def sees(self, path: str) -> bool:
        """Whether a folder of the host, or a part of it, is mounted into it."""
        return any(
            mount == path or mount.startswith(f"{path}/") or path.startswith(f"{mount}/") for mount in self.mounts
        )

    def path_for(self, claimed: str | None) -> str:
        """Return where it works: the claimed folder of the host where it sees that, else its own folder, in words."""
        return claimed if claimed and self.sees(claimed) else f"{self.folder or '/'} inside the container"


def containers(facts: Facts) -> tuple[Container, ...]:
    """Return all containers that were told of, by name."""
    found = {record.get("id"): record for record in _records(facts)}
    return tuple(sorted((container_from(record) for record in found.values()), key=lambda each: (each.name, each.id)))


def by_id(container_id: str, facts: Facts) -> Container | None:
    """Return the container of this id, None where Docker did not tell of one."""
    return next((container_from(record) for record in _records(facts) if record.get("id") == container_id), None)


def publishing(port: int, facts: Facts) -> Container | None:
    """Return the running container that Docker publishes a port of the host for."""
    likely = (container_from(record) for record in _records(facts) if f"{port}/" in record.get("ports"))
    return next((each for each in likely if port in each.ports and each.is_running), None)


def unseen(manager: str, facts: Facts) -> Unseen | None:
    """Say why a manager could not be asked for all its containers, None where it was."""
    blind = next((each for each in facts.blind if (each.what, each.about) == ("docker", manager)), None)
    if blind is not None:
        step = "See that Docker runs on the host, and that Askfirst's user may ask it (`sudo: true` for the host)."
        return Unseen(f"Docker could not be asked: {blind.why}", step)
    if not any(record.get("scope") == "all" for record in facts.records(f"{manager}.list")):
        return Unseen("the host's gate did not ask Docker", "Probe again; where it stays so, renew the host's kit.")
    return None


def name_problem(name: str, command: str) -> Problem | None:
    """Say why a claim's name is no container's, as ``command`` shows them; None where it may be one."""
    if name.endswith(_SYSTEMDS):
        return Problem("unit", "this is a systemd unit's name: set manager to systemd, or name the container")
    if _ID.fullmatch(name):
        return Problem("unit", "each new container has another id: write its name")
    if not _NAME.fullmatch(name):
        return Problem("unit", f"the container's name as `{command}` shows it: letters, digits and _ . - only")
    return None


def user_of(container: Container, facts: Facts) -> str | None:
    """Return its user by its own view; None where only the number on the host tells."""
    main = facts.processes.get(container.pid)
    name = container.user.partition(":")[0]
    if main is not None and main.uid == 0:
        return "root"
    if name in {"", "0", "root"}:
        return "root" if main is None else None
    return None if name.isdecimal() else name


def signs(container: Container, service: Service, facts: Facts, keeper: str = "Docker") -> Iterator[Sign]:
    """Give what its keeper knows that calls for a restart, or for more than one."""
    if container.listed_as.startswith("sha256:") and container.listed_as != container.image:
        image_id = container.image_id.removeprefix("sha256:")[:12]
        text = (
            f"{container.name} runs image {image_id}, which {container.image} no longer names. "
            "A restart keeps the old image; only a new container takes the new one."
        )
        yield Sign("image", text)
    if container.health == "unhealthy":
        yield Sign("health", f"{container.name} is unhealthy by its own health check.")
    yield from climbing(keeper, container.name, container.restarts, container.started_at, facts.now)
    code = facts.code.get(service.name)
    if code is None or service.path is None or not container.sees(service.path):
        return
    for at, what in ((code.commit_at, f"commit {(code.commit or '')[:12]}"), (code.newest_at, code.newest_file)):
        if at is not None and at > container.started_at:
            yield Sign("code", f"{what} is newer than {container.name}, which {service.path} is mounted into.", at)


def changed_files(own: Sequence[Container], service: Service, facts: Facts) -> Iterator[Sign]:
    """Say which file that containers were made from is newer than they are."""
    made_at = min((each.created_at for each in own), default=0.0)
    for claim in facts.records("compose.claim"):
        if claim.get("service") != service.name or made_at <= 0:
            continue
        for kind, named, at in (("config", "file", "files-at"), ("environment", "environment", "environment-at")):
            changed = claim.number(at)
            if changed > made_at:
                name, after = visible(claim.get(named), 300), span(changed - made_at)
                text = (
                    f"{name} was changed {after} after {visible(own[0].name, 100)} was made from it. A restart keeps"
                    " the old settings; only a new container takes the new ones (docker compose up -d)."
                )
                yield Sign(kind, text, changed)


def mark(identity: tuple[str, ...]) -> tuple[str, ...]:
    """Return container and start of each ``container ID STARTED IMAGE STATE``."""
    return tuple(" ".join(line.split(" ")[1:3]) for line in identity if line.startswith("container "))


def _records(facts: Facts) -> Iterator[Record]:
    yield from facts.records("docker.container")
    yield from facts.records("compose.container")


def container_from(record: Record) -> Container:
    """Read a container from its record: the fields are named alike whoever keeps it."""
    project, service = text_from(record.get("project")), text_from(record.get("service"))
    is_composed = project and service and text_from(record.get("oneoff")) != "True"
    published = (port.partition("/") for port in record.get("ports").split(",") if port.endswith("/tcp"))
    return Container(
        id=record.get("id"),
        name=record.get("name"),
        pid=record.number("main"),
        state=record.get("state"),
        started=record.get("started"),
        started_at=_time(record.get("started")),
        image=text_from(record.get("image")),
        image_id=record.get("image-id"),
        listed_as=record.get("listed-as"),
        user=text_from(record.get("user")),
        folder=text_from(record.get("folder")),
        mounts=_texts(record.get("mounts")),
        ports=tuple(sorted({int(host) for host, _, _ in published if re.fullmatch(r"[0-9]{1,5}", host)})),
        restarts=record.number("restarts"),
        health=record.get("health"),
        unit=f"{project}/{service}" if is_composed else "",
        project_folder=text_from(record.get("project-folder")),
        created_at=_time(record.get("created")),
        policy=record.get("policy", "not told"),
    )


def _json(value: str) -> object:
    """Read what the host printed as JSON; what is cut or is none counts as nothing said."""
    try:
        return json.loads(value)
    except ValueError:
        return None


def text_from(value: str) -> str:
    """Read a text that was printed as JSON, empty where it is none."""
    read = _json(value)
    return read if isinstance(read, str) else ""


def _texts(value: str) -> tuple[str, ...]:
    read = _json(value)
    return tuple(each for each in read if isinstance(each, str)) if isinstance(read, list) else ()


def _time(value: str) -> float:
    try:
        return datetime.fromisoformat(value).timestamp()
    except (OverflowError, ValueError):
        return 0.0
