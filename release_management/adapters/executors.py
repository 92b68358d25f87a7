"""The executors by name: how each checks a component's settings, and how it is made."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from release_management.adapters import command, local
from release_management.services.desk import SettingsCheck
from release_management.services.ports import Clock, Executor


class RunningExecutor(Executor, Protocol):
    """An executor in a process of its own."""

    async def run(self) -> None:
        """Look after what was deployed, until `stop`."""
        ...

    async def stop(self, keep: bool = False) -> None:
        """Take no more orders, and give up those in flight without a report; with `keep` what was deployed stays."""
        ...


EXECUTORS: Mapping[str, SettingsCheck] = {
    "command": command.check_settings,
    "local": lambda settings, _: local.check_settings(settings),
}
_MADE: Mapping[str, Callable[[Path, Clock], RunningExecutor]] = {
    "command": command.CommandExecutor,
    "local": local.LocalExecutor,
}


def make_executor(name: str, folder: Path, clock: Clock) -> RunningExecutor:
    """An executor by its name, with its durable state under `folder`. Raises `LookupError` where there is none."""
    if name not in _MADE:
        raise LookupError(f"there is no executor {name!r}; there is {', '.join(sorted(_MADE))}")
    return _MADE[name](folder, clock)
