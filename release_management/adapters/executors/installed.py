"""The names of the executors that are installed, read from entry points; none of them is loaded for that.

Our own are listed here. Others come in packages of their own, as entry points of the group `relman.executors`: the name
of the entry point is the executor's, and what it points to is an `ExecutorDeclaration`.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from release_management.kernel.errors import ErrorCode, RelmanError
from release_management.kernel.types import plain_name

GROUP = "relman.executors"
OURS = (
    EntryPoint("command", "release_management.adapters.executors.command:EXECUTOR", GROUP),
    EntryPoint("local", "release_management.adapters.executors.local:EXECUTOR", GROUP),
)


class UnusableExecutorError(RelmanError):
    """An installed executor cannot be used; the text says which, whose it is, and what would be right."""

    code = ErrorCode.UNUSABLE


def executor_names() -> tuple[str, ...]:
    """Return the names of all executors that are installed. Loads none of them. Raises `UnusableExecutorError`."""
    return tuple(installed())


@cache
def installed() -> Mapping[str, EntryPoint]:
    """Return the entry point of each executor that is installed, by its name. Raises `UnusableExecutorError`."""
    return gather((*OURS, *entry_points(group=GROUP)))


def gather(entries: Iterable[EntryPoint]) -> Mapping[str, EntryPoint]:
    """Return entry points by their names. Raises `UnusableExecutorError` for a bad name, and for a name given twice."""
    gathered: dict[str, EntryPoint] = {}
    for entry in entries:
        try:
            plain_name(entry.name)
        except ValueError as error:
            raise UnusableExecutorError(
                f"{package_of(entry)} adds an executor whose name cannot be used: {error}"
            ) from None
        if entry.name in gathered:
            raise UnusableExecutorError(
                f"two executors are named {entry.name}: that of {package_of(gathered[entry.name])} and that of "
                f"{package_of(entry)}; uninstall one of them, or rename its entry point in the group {GROUP}"
            )
        gathered[entry.name] = entry
    return gathered


def package_of(entry: EntryPoint) -> str:
    """Return the name and version of the package that an entry point belongs to."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "release-management"
