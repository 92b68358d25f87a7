"""The executors: what each declares of itself, and how it is found by its name.

Our own are listed here. Others come in packages of their own, as entry points of the group `relman.executors`: the name
of the entry point is the executor's, and what it points to is an `ExecutorDeclaration`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Protocol

from release_management.adapters.executors.base.executor import Trouble
from release_management.adapters.executors.base.look import Look
from release_management.domain.orders import Order
from release_management.kernel.errors import ErrorCode, RelmanError
from release_management.kernel.suggestions import no_such_executor
from release_management.kernel.types import plain_name
from release_management.services.gateway.unit_of_work import SettingsCheck
from release_management.services.ports import Clock, Executor

GROUP = "relman.executors"
OURS = (
    EntryPoint("command", "release_management.adapters.executors.command:EXECUTOR", GROUP),
    EntryPoint("local", "release_management.adapters.executors.local:EXECUTOR", GROUP),
)


class UnusableExecutorError(RelmanError):
    """An installed executor cannot be used; the text says which, whose it is, and what would be right."""

    code = ErrorCode.UNUSABLE


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


def executor_names() -> tuple[str, ...]:
    """The names of all executors that are installed. Loads none of them. Raises `UnusableExecutorError`."""
    return tuple(_installed())


@cache
def executors() -> Mapping[str, ExecutorDeclaration]:
    """Every executor that is installed, by its name. Raises `UnusableExecutorError`."""
    return {name: load(entry) for name, entry in _installed().items()}


def settings_checks() -> Mapping[str, SettingsCheck]:
    """Return the settings check of each installed executor, by name. Raises `UnusableExecutorError`."""
    return {name: executor.check_settings for name, executor in executors().items()}


def make_executor(name: str, folder: Path, clock: Clock) -> RunningExecutor:
    """An executor by its name, with its durable state under `folder`. Loads no other one.

    Raises `UnusableExecutorError`, also where there is none of this name.
    """
    installed = _installed()
    if name not in installed:
        raise UnusableExecutorError(no_such_executor(name, installed), code=ErrorCode.NOT_FOUND)
    return load(installed[name]).make(folder, clock)


def gather(entries: Iterable[EntryPoint]) -> Mapping[str, EntryPoint]:
    """Entry points by their names. Raises `UnusableExecutorError` where one has no good name, or two have the same."""
    gathered: dict[str, EntryPoint] = {}
    for entry in entries:
        try:
            plain_name(entry.name)
        except ValueError as error:
            raise UnusableExecutorError(
                f"{_package(entry)} adds an executor whose name cannot be used: {error}"
            ) from None
        if entry.name in gathered:
            raise UnusableExecutorError(
                f"two executors are named {entry.name}: that of {_package(gathered[entry.name])} and that of "
                f"{_package(entry)}; uninstall one of them, or rename its entry point in the group {GROUP}"
            )
        gathered[entry.name] = entry
    return gathered


def load(entry: EntryPoint) -> ExecutorDeclaration:
    """Return the declaration that an entry point names. Raises `UnusableExecutorError`."""
    origin = f"the executor {entry.name} of {_package(entry)}, {entry.value},"
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


@cache
def _installed() -> Mapping[str, EntryPoint]:
    return gather((*OURS, *entry_points(group=GROUP)))


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "release-management"
