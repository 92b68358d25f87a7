"""Every command with what decides it: `COMMANDS` maps a command's name to its model and its handler."""

from collections.abc import Callable, Mapping
from typing import Any

from release_management.domain.words import Command
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

COMMANDS: Mapping[str, tuple[type[Command], Handler]] = {
    model.NAME: (model, handler)
    for module in (setup, releases, approvals, deployments, rollbacks, retirement, incidents, steps, conditions)
    for model, handler in module.HANDLERS.items()
}
