"""Every command with its handler: `COMMANDS` maps a command's name to its model and its handler."""

from collections.abc import Callable, Mapping
from typing import Any

from release_management.kernel.gathering import gathered
from release_management.kernel.types import Command, Giver
from release_management.services.gateway.unit_of_work import UnitOfWork
from release_management.services.use_cases import (
    approvals,
    conditions,
    configuration,
    deployments,
    incidents,
    releases,
    retirement,
    rollbacks,
    steps,
)

Handler = Callable[[Any, UnitOfWork], None]

_MODULES = (configuration, releases, approvals, deployments, rollbacks, retirement, incidents, steps, conditions)
COMMANDS: Mapping[str, tuple[type[Command], Handler]] = gathered(
    (command.NAME, (command, handler)) for module in _MODULES for command, handler in module.HANDLERS.items()
)


def declaration(name: str) -> type[Command]:
    """Return the command of this name; `Command` itself, with its defaults, if there is none."""
    return COMMANDS[name][0] if name in COMMANDS else Command


def given_by(*givers: Giver) -> tuple[str, ...]:
    """Return the names of the commands that any of these givers give."""
    return tuple(name for name, (command, _) in COMMANDS.items() if command.GIVEN_BY in givers)
