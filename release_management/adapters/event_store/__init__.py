"""The append-only log, on SQLite and (`postgres`) on PostgreSQL. No other package uses the `eventsourcing` library."""

from release_management.adapters.event_store.errors import (
    CorruptRecordError,
    DamagedStoreError,
    EventStoreError,
    ForeignStoreError,
    GapError,
    LostContentError,
    LostLogError,
    StoreUnavailableError,
    UnreadableStoreError,
)
from release_management.adapters.event_store.sqlite.database import SQLiteDatabase
from release_management.adapters.event_store.sqlite.log import SQLiteEventLog
from release_management.adapters.event_store.sqlite.recorder import SQLiteRecorder

__all__ = [
    "CorruptRecordError",
    "DamagedStoreError",
    "EventStoreError",
    "ForeignStoreError",
    "GapError",
    "LostContentError",
    "LostLogError",
    "SQLiteDatabase",
    "SQLiteEventLog",
    "SQLiteRecorder",
    "StoreUnavailableError",
    "UnreadableStoreError",
]
