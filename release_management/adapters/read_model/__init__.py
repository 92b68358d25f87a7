"""The read models' database: a projector that keeps it up to date, and a store that answers from it."""

from release_management.adapters.read_model.errors import (
    BadQueryError,
    NotCaughtUpError,
    ParkedError,
    ReadModelError,
    UnknownProjectionError,
    UnknownQueryError,
)
from release_management.adapters.read_model.projector import Projector
from release_management.adapters.read_model.store import ReadStore

__all__ = [
    "BadQueryError",
    "NotCaughtUpError",
    "ParkedError",
    "Projector",
    "ReadModelError",
    "ReadStore",
    "UnknownProjectionError",
    "UnknownQueryError",
]
