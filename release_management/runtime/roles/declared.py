"""The roles of an installation, each declared once: how it is made, and how `relman up` runs it.

`relman serve`, `relman up`, `relman health` and the answers of a role that cannot serve follow this list. The subjects
that a role may use on the bus stand in `adapters/nats/access/permissions.py`, under its name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from release_management.kernel.gathering import gathered

if TYPE_CHECKING:
    from release_management.runtime.data_directory import DataDirectory
    from release_management.runtime.roles.kit.health import Health


class Serving(Protocol):
    """A role that was made, and that a process serves."""

    async def serve(self) -> None:
        """Serve until cancelled; raises what ends it. It can be called again then."""
        ...


@dataclass(frozen=True, slots=True)
class Role:
    """A role that a process can run."""

    name: str
    make: "Callable[[DataDirectory, Health, str], Serving]"
    """Makes it of the installation's data, its health and, for an executor, the executor's name. Loads only its own."""
    instances: int = 1
    """So many processes of it are started by `relman up` where every role has a process of its own."""
    shares_process: bool = True
    """True if the all-in-one process of a small installation serves the role, too."""
    per_executor: bool = False
    """True if each executor has a process of this role, with its own user of the bus."""
    answers_as: str | None = None
    """The user of the bus by which it is asked, and answers "busy" while its store is away; None: nobody asks it."""


def _gateway(home: "DataDirectory", health: "Health", _: str) -> Serving:
    from release_management.runtime.roles.gateway import GatewayRole

    return GatewayRole(home, health)


def _projector(home: "DataDirectory", health: "Health", _: str) -> Serving:
    from release_management.runtime.roles.projector import ProjectorRole

    return ProjectorRole(home, health)


def _orchestrator(home: "DataDirectory", health: "Health", _: str) -> Serving:
    from release_management.runtime.roles.agenda import AgendaRole
    from release_management.services.workers.orchestrator import at_once

    return AgendaRole(home, health, at_once)


def _timers(home: "DataDirectory", health: "Health", _: str) -> Serving:
    from release_management.runtime.roles.agenda import AgendaRole
    from release_management.services.workers.orchestrator import timed

    return AgendaRole(home, health, timed)


def _relay(home: "DataDirectory", health: "Health", _: str) -> Serving:
    from release_management.runtime.roles.relay import RelayRole

    return RelayRole(home, health)


def _executor(home: "DataDirectory", health: "Health", name: str) -> Serving:
    from release_management.runtime.roles.executor import ExecutorRole

    return ExecutorRole(home, health, name)


def _all_in_one(home: "DataDirectory", health: "Health", _: str) -> Serving:
    from release_management.runtime.roles.all_in_one import AllInOneRole

    return AllInOneRole(home, health)


ROLES: Mapping[str, Role] = gathered(
    (role.name, role)
    for role in (
        Role("gateway", _gateway, instances=2, answers_as="gateway"),
        Role("projector", _projector, shares_process=False, answers_as="projector"),
        Role("orchestrator", _orchestrator),
        Role("timers", _timers),
        Role("relay", _relay),
        Role("executor", _executor, per_executor=True),
    )
)
"""The roles that `relman serve` can run, by name."""
ALL_IN_ONE = Role("road", _all_in_one, shares_process=False, answers_as=ROLES["gateway"].answers_as)
"""The process of a small installation that serves every role with `shares_process`."""


def role_of(name: str) -> Role:
    """Return the role of a process. Raises `KeyError` where there is none of this name."""
    return ALL_IN_ONE if name == ALL_IN_ONE.name else ROLES[name]
