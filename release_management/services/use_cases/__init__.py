"""Every command with its handler: `COMMANDS` maps a command's name to its model and its handler."""

from collections.abc import Callable, Mapping
from typing import Any

from release_management.kernel.gathering import gathered, modules_of
from release_management.kernel.types import Command, Giver
from release_management.services.gateway.unit_of_work import UnitOfWork

Handler = Callable[[Any, UnitOfWork], None]

COMMANDS: Mapping[str, tuple[type[Command], Handler]] = gathered(
    (command.NAME, (command, handler))
    for module in modules_of(__name__)
    for command, handler in getattr(module, "HANDLERS", {}).items()
)


def declaration(name: str) -> type[Command]:
    """Return the command of this name; `Command` itself, with its defaults, if there is none."""
    return COMMANDS[name][0] if name in COMMANDS else Command


def given_by(*givers: Giver) -> tuple[str, ...]:
    """Return the names of the commands that any of these givers give."""
    return tuple(name for name, (command, _) in COMMANDS.items() if command.GIVEN_BY in givers)
