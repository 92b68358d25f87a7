"""The append-only log in one SQLite file."""
