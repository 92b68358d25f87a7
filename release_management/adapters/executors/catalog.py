"""The declarations of the executors that are installed, and how one is made by its name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Protocol

from release_management.adapters.executors.base.executor import Trouble
from release_management.adapters.executors.base.look import Look
from release_management.adapters.executors.installed import UnusableExecutorError, installed, package_of
from release_management.domain.orders import Order
from release_management.kernel.errors import ErrorCode
from release_management.kernel.suggestions import no_such_executor
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


@dataclass(frozen=True, slots=True)
class ExecutorDeclaration:
    """The declaration of an executor.

    `check_settings` reads a component's settings, and `make` gives the executor, which keeps its durable state under
    the folder that it is given.
    """

    check_settings: SettingsCheck
    make: Callable[[Path, Clock], RunningExecutor]


@cache
def executors() -> Mapping[str, ExecutorDeclaration]:
    """Every executor that is installed, by its name. Raises `UnusableExecutorError`."""
    return {name: load(entry) for name, entry in installed().items()}


def settings_checks() -> Mapping[str, SettingsCheck]:
    """Return the settings check of each installed executor, by name. Raises `UnusableExecutorError`."""
    return {name: executor.check_settings for name, executor in executors().items()}


def make_executor(name: str, folder: Path, clock: Clock) -> RunningExecutor:
    """An executor by its name, with its durable state under `folder`. Loads no other one.

    Raises `UnusableExecutorError`, also where there is none of this name.
    """
    entries = installed()
    if name not in entries:
        raise UnusableExecutorError(no_such_executor(name, entries), code=ErrorCode.NOT_FOUND)
    return load(entries[name]).make(folder, clock)


def load(entry: EntryPoint) -> ExecutorDeclaration:
    """Return the declaration that an entry point names. Raises `UnusableExecutorError`."""
    origin = f"the executor {entry.name} of {package_of(entry)}, {entry.value},"
    try:
        loaded = entry.load()
    except Exception as error:  # it runs code of others, which may raise anything
        reason = f"{type(error).__name__}: {error}".rstrip(": ")
        raise UnusableExecutorError(f"{origin} cannot be loaded ({reason}); repair it, or uninstall it") from error
    if not isinstance(loaded, ExecutorDeclaration):
        raise UnusableExecutorError(
            f"{origin} is {loaded!r}; let its entry point name an ExecutorDeclaration, as MODULE:NAME, or uninstall it"
        )
    return loaded
