"""The executors by name: the check of a component's settings, and the executor's constructor."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from release_management.adapters.executors import command, local
from release_management.adapters.executors.base.executor import Trouble
from release_management.adapters.executors.base.look import Look
from release_management.domain.orders import Order
from release_management.services.gateway.unit_of_work import SettingsCheck
from release_management.services.ports import Clock, Executor


class RunningExecutor(Executor, Protocol):
    """An executor in a process of its own."""

    async def run(self) -> None:
        """Keep deployed components as intended, until `stop`."""
        ...

    def troubles(self) -> list[Trouble]:
        """Return the components that the executor cannot keep as intended now."""
        ...

    async def look(self, order: Order | None = None) -> Sequence[Look]:
        """Observe every component of this executor, or only the component of `order`."""
        ...

    async def stop(self, keep: bool = False) -> None:
        """Take no more orders, abandon those in flight without a report; with `keep`, what was deployed goes on."""
        ...


def _command(settings: Mapping[str, Any], routes: bool) -> Collection[str]:
    return command.check_settings(settings, routes).claims.things


def _local(settings: Mapping[str, Any], _: bool) -> Collection[str]:
    checked = local.check_settings(settings)
    return dict.fromkeys((f"port {checked.port}", *checked.claims.things))


EXECUTORS: Mapping[str, SettingsCheck] = {"command": _command, "local": _local}
_MADE: Mapping[str, Callable[[Path, Clock], RunningExecutor]] = {
    "command": command.CommandExecutor,
    "local": local.LocalExecutor,
}


def make_executor(name: str, folder: Path, clock: Clock) -> RunningExecutor:
    """Return a new executor by its name, with its durable state under `folder`. Raises `LookupError`."""
    if name not in _MADE:
        raise LookupError(f"there is no executor {name!r}; there is {', '.join(sorted(_MADE))}")
    return _MADE[name](folder, clock)
