"""Rebuild and unpark projections while the roles run in other processes, or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from release_management.adapters.read_model import (
    Progress,
    Projector,
    Unparked,
)
from release_management.domain.registry import Registry
from release_management.runtime.data_directory import DataDirectory


def rebuild(folder: Path, projection: str | None, progress: Progress | None = None) -> None:
    """Rebuild beside the live tables, and swap. Raises `UnknownProjectionError`."""
    with _projector(folder) as projector:
        projector.rebuild(projection, progress)


def unpark(folder: Path, projection: str, stream: str | None = None) -> Unparked:
    """Fold the parked events, of one stream or of all. Raises `UnknownProjectionError`."""
    with _projector(folder) as projector:
        return projector.unpark(projection, stream)


@contextmanager
def _projector(folder: Path) -> Iterator[Projector]:
    home, registry = DataDirectory.at(folder), Registry()
    log = home.open_log(registry)
    projector = Projector(log, registry, home.read_models)
    try:
        yield projector
    finally:
        projector.close()
        log.close()
