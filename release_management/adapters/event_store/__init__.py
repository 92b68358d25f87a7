"""The append-only log on SQLite. The only place that knows the `eventsourcing` library."""

from release_management.adapters.event_store.database import Database
from release_management.adapters.event_store.errors import (
    CorruptRecordError,
    DamagedStoreError,
    EventStoreError,
    ForeignStoreError,
    GapError,
    LostLogError,
    StoreUnavailableError,
    UnreadableStoreError,
)
from release_management.adapters.event_store.log import SQLiteEventLog
from release_management.adapters.event_store.recorder import SQLiteRecorder

__all__ = [
    "CorruptRecordError",
    "DamagedStoreError",
    "Database",
    "EventStoreError",
    "ForeignStoreError",
    "GapError",
    "LostLogError",
    "SQLiteEventLog",
    "SQLiteRecorder",
    "StoreUnavailableError",
    "UnreadableStoreError",
]
