"""The read models' database: a projector that keeps it up to date, and a store that answers from it."""

from release_management.adapters.read_model.database import TROUBLE
from release_management.adapters.read_model.errors import (
    BadQueryError,
    NewerVersionError,
    NotAnsweringError,
    NotCaughtUpError,
    ParkedError,
    ReadModelError,
    UnknownProjectionError,
    UnknownQueryError,
)
from release_management.adapters.read_model.projector import (
    Progress,
    Projector,
    Unparked,
)
from release_management.adapters.read_model.store import ReadStore

__all__ = [
    "TROUBLE",
    "BadQueryError",
    "NewerVersionError",
    "NotAnsweringError",
    "NotCaughtUpError",
    "ParkedError",
    "Progress",
    "Projector",
    "ReadModelError",
    "ReadStore",
    "UnknownProjectionError",
    "UnknownQueryError",
    "Unparked",
]
