"""Rebuilding projections from outside, while `relman up` runs."""

from pathlib import Path

from release_management.adapters.read_model import Projector
from release_management.adapters.stack.home import Home
from release_management.domain.registry import Registry


def rebuild(folder: Path, projection: str | None) -> None:
    """Build again beside the live tables, and swap. Raises `UnknownProjectionError`."""
    home, registry = Home(folder), Registry()
    log = home.open_log(registry)
    projector = Projector(log, registry, home.read_model)
    try:
        projector.rebuild(projection)
    finally:
        projector.close()
        log.close()
