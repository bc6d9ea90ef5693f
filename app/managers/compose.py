"""Docker Compose: the containers of one service of a project, restarted by the project's name.

The unit is ``project/service``, and may be several containers. Compose is run from ``/`` with the project's name, so
that it goes by the labels of the containers: the operator's own compose file is not opened, which root need not trust,
and what was changed in it is not applied. ``--no-deps`` keeps it from restarting other services of the project with it
(where they depend on this one with ``restart: true``): only what was proved is touched.

``path`` is the project's folder. Keeps law 4: the argv is made here.
"""

import re
from collections import Counter

from app.core.facts import Facts, Process
from app.core.manager import Command, Found, Lookup, Manager, Missing, Owner, Several
from app.core.service import Problem, Service
from app.core.verdict import Sign
from app.managers import _containers
from app.managers._contained import container_of, owned
from app.managers._near import near

UNIT = re.compile(r"([a-z0-9][a-z0-9_-]*)/([a-zA-Z0-9][a-zA-Z0-9._-]*)")

# The plugin is looked for where the docker command looks for it, in its order.
SHELL = r"""
facts_compose() {
  if [ -z "$AF_CLAIMS" ] || ! af_docker_answers compose; then return 0; fi
  af_label=com.docker.compose
  if [ "$AF_VERB" = restart ]; then
    af_docker_list compose --filter "label=$af_label.project=${AF_UNITS%%/*}" \
      --filter "label=$af_label.service=${AF_UNITS#*/}" && af_containers compose one "$af_listed"
    return
  fi
  af_docker_list compose --filter "label=$af_label.project" && af_containers compose all "$af_listed"
  for af_plugins in "${HOME:-/nonexistent}/.docker" /usr/local/lib/docker /usr/local/libexec/docker \
    /usr/lib/docker /usr/libexec/docker; do
    [ -x "$af_plugins/cli-plugins/docker-compose" ] || continue
    awk "$AF_AWK"'BEGIN { rec("compose.plugin"); put("is-there", "yes"); done() }'
    af_docker_guard "$af_plugins/cli-plugins/docker-compose"
    break
  done
  af_docker_guard "$(command -v docker)"
}
"""


class Compose(Manager):
    """Docker Compose, as a plugin of the docker command."""

    name = "compose"
    label = "Docker Compose"
    is_driven = True
    shell = SHELL

    def problems(self, service: Service) -> list[Problem]:
        found: list[Problem] = []
        if not UNIT.fullmatch(service.unit):
            found.append(Problem("unit", "project/service, as `docker compose ls` and `docker compose ps` show them"))
        if service.config is not None:
            found.append(
                Problem("config", "Compose is restarted by the project's name and reads no file: leave it out")
            )
        return found

    def recognise(self, chain: tuple[Process, ...], port: int | None, facts: Facts) -> Owner | None:
        container = container_of(chain, port, facts)
        return owned(self.name, container.unit, container, chain) if container and container.is_composed else None

    def find(self, service: Service, facts: Facts) -> Lookup:
        unseen = _containers.unseen(self.name, facts)
        if unseen is not None:
            return unseen
        own = [each for each in _containers.containers(facts) if each.unit == service.unit]
        if not own:
            return Missing(near(service.unit, (each.unit for each in _containers.containers(facts) if each.unit)))
        folders = sorted({each.project_folder for each in own})
        if len(folders) > 1:
            return Several(tuple(f"{service.unit} of {folder or 'an unknown folder'}" for folder in folders))
        states = Counter(each.state_words for each in own)
        users = {_containers.user_of(each, facts) for each in own}
        plugin = facts.records("compose.plugin")
        return Found(
            unit=service.unit,
            state=", ".join(f"{count} {state}" if len(own) > 1 else state for state, count in sorted(states.items())),
            main=tuple(sorted(each.pid for each in own if each.is_running)),
            ports=tuple(sorted({port for each in own for port in each.ports})),
            user=users.pop() if len(users) == 1 else None,
            path=folders[0] or None,
            obstacle="" if plugin else "the docker command has no compose plugin on this host",
        )

    def restart(self, service: Service, unit: str, facts: Facts) -> Command:
        project, _, name = unit.partition("/")
        return Command(("docker", "compose", "-p", project, "restart", "--no-deps", name), "root")

    def start(self, service: Service, unit: str, facts: Facts) -> Command:
        project, _, name = unit.partition("/")
        return Command(("docker", "compose", "-p", project, "start", name), "root")

    def signs(self, service: Service, facts: Facts) -> tuple[Sign, ...]:
        own = [each for each in _containers.containers(facts) if each.unit == service.unit]
        found = [sign for each in own for sign in _containers.signs(each, service, facts)]
        return (*found, *_containers.changed_files(own, service, facts))

    def mark(self, identity: tuple[str, ...]) -> tuple[str, ...]:
        return _containers.mark(identity)


MANAGER = Compose()
