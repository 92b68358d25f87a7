"""The append-only log on PostgreSQL. Apart from the rest, so that SQLite users need not load the driver."""

from release_management.adapters.event_store.postgres.database import PostgresDatabase
from release_management.adapters.event_store.postgres.log import PostgresEventLog
from release_management.adapters.event_store.postgres.recorder import PostgresRecorder

__all__ = ["PostgresDatabase", "PostgresEventLog", "PostgresRecorder"]
