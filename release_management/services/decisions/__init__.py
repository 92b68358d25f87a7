"""Every command with what decides it: `COMMANDS` maps a command's name to its model and its handler."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from release_management.domain.words import Command, Giver
from release_management.services.decisions import (
    approvals,
    conditions,
    deployments,
    incidents,
    releases,
    retirement,
    rollbacks,
    setup,
    steps,
)
from release_management.services.desk import Desk

Handler = Callable[[Any, Desk], None]


def gathered(handlers: Iterable[Mapping[type[Command], Handler]]) -> Mapping[str, tuple[type[Command], Handler]]:
    """The commands with their handlers, by name. Raises `ValueError` where two commands have one name."""
    commands: dict[str, tuple[type[Command], Handler]] = {}
    for command, handler in (item for each in handlers for item in each.items()):
        if command.NAME in commands:
            other = commands[command.NAME][0]
            raise ValueError(f"{command.__name__} and {other.__name__} are both named {command.NAME}")
        commands[command.NAME] = command, handler
    return commands


_MODULES = (setup, releases, approvals, deployments, rollbacks, retirement, incidents, steps, conditions)
COMMANDS = gathered(module.HANDLERS for module in _MODULES)


def declaration(name: str) -> type[Command]:
    """The command of this name; `Command` itself, with what it says of a command by default, where there is none."""
    return COMMANDS[name][0] if name in COMMANDS else Command


def given_by(*givers: Giver) -> tuple[str, ...]:
    """The names of the commands that any of these give."""
    return tuple(name for name, (command, _) in COMMANDS.items() if command.GIVEN_BY in givers)
