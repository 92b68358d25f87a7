"""Keyrings: names and keys, kept outside the log in a private file, or (`postgres`) in a schema of their own."""

from release_management.adapters.keyring.errors import KeyringError, KeyringUnavailableError
from release_management.adapters.keyring.sqlite import SQLiteKeyring

__all__ = ["KeyringError", "KeyringUnavailableError", "SQLiteKeyring"]
