"""Docker: single containers, restarted by name.

A container that Compose made is Compose's, and is not recognised here, though it can be looked up by its name: then the
two ways do not meet. ``docker restart`` sends a stop signal, waits ten seconds, kills, and starts the same container
with the same image: it reads no file of the operator's. The restart counter does not count it; the start time tells.

``path``, where it is claimed, is a folder of the host that is mounted into the container: a container's own paths lie
inside it. Keeps law 4: the argv is made here.
"""

from app.core.facts import Facts, Process
from app.core.manager import Command, Found, Lookup, Manager, Missing, Owner
from app.core.service import Problem, Service
from app.core.verdict import Sign
from app.managers import _containers
from app.managers._contained import container_of, owned, unlisted
from app.managers._containers_fragment import ASKING
from app.managers._near import near

# With claims, all containers are asked about, so that a name that is not there is known not to be there. Without, those
# that run, and only where somebody who holds a port may be in one of them. containerd's folders name them for nothing.
SHELL = r"""
af_watch dockerd docker-proxy 'containerd-shim*'
facts_docker() {
  if [ "$AF_VERB" = restart ]; then
    af_docker_answers docker && af_containers docker one "$AF_UNITS"
  elif [ -n "$AF_CLAIMS" ]; then
    af_docker_answers docker && af_docker_list docker && af_containers docker all "$af_listed"
    af_docker_guard "$(command -v docker)"
  elif [ -S /var/run/docker.sock ] && af_docker_holds && af_docker_answers docker; then
    af_containers docker running "$(af_docker_running || af_limit docker ps -q --no-trunc)"
  fi
}

af_docker_holds() {
  af_hex='[0-9a-f]'
  af_hex=$af_hex$af_hex$af_hex$af_hex
  af_hex=$af_hex$af_hex$af_hex$af_hex
  af_hex=$af_hex$af_hex$af_hex$af_hex
  case $AF_CGROUPS in *docker* | */$af_hex*) return 0 ;; esac
  af_has docker-proxy
}

af_docker_running() {
  set +f
  af_some=1
  for af_task in /run/containerd/io.containerd.runtime.v2.task/moby/* \
    /run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/*; do
    af_task=${af_task##*/}
    if [ ${#af_task} = 64 ]; then echo "$af_task"; af_some=0; fi
  done
  set -f
  return $af_some
}
"""


class Docker(Manager):
    """The Docker daemon of the host, which root runs."""

    name = "docker"
    label = "Docker"
    is_driven = True
    shell = ASKING + SHELL

    def problems(self, service: Service) -> list[Problem]:
        found: list[Problem] = []
        if "/" in service.unit:
            found.append(Problem("unit", "project/service is Compose's name: set manager to compose"))
        elif problem := _containers.name_problem(service.unit, "docker ps"):
            found.append(problem)
        if service.config is not None:
            found.append(Problem("config", "Docker has no configuration file for one container: leave it out"))
        return found

    def recognise(self, chain: tuple[Process, ...], port: int | None, facts: Facts) -> Owner | None:
        container = container_of(chain, port, facts)
        if container is None:
            return unlisted(self.name, chain, port, facts)
        return None if container.is_composed else owned(self.name, container.name, container, chain)

    def find(self, service: Service, facts: Facts) -> Lookup:
        unseen = _containers.unseen(self.name, facts)
        if unseen is not None:
            return unseen
        known = {container.name: container for container in _containers.containers(facts)}
        container = known.get(service.unit)
        if container is None:
            return Missing(near(service.unit, known))
        return Found(
            unit=container.name,
            state=container.state_words,
            main=(container.pid,) if container.is_running else (),
            ports=container.ports,
            user=_containers.user_of(container, facts),
            path=container.path_for(service.path),
            obstacle="Docker is removing it" if container.state in {"removing", "dead"} else "",
        )

    def restart(self, service: Service, unit: str, facts: Facts) -> Command:
        return Command(("docker", "restart", unit), "root")

    def start(self, service: Service, unit: str, facts: Facts) -> Command:
        return Command(("docker", "start", unit), "root")

    def signs(self, service: Service, facts: Facts) -> tuple[Sign, ...]:
        own = (each for each in _containers.containers(facts) if each.name == service.unit)
        return tuple(sign for each in own for sign in _containers.signs(each, service, facts))

    def mark(self, identity: tuple[str, ...]) -> tuple[str, ...]:
        return _containers.mark(identity)


MANAGER = Docker()
