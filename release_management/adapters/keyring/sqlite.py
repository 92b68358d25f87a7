"""Names and keys in a private file beside the log."""

import os
import secrets
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from release_management.adapters.keyring.cached import (
    LOOK_SECONDS,
    Actor,
    CachedKeyring,
)
from release_management.adapters.keyring.errors import KeyringError, KeyringUnavailableError

_APPLICATION_ID = 0x72656C70  # "relp"
_TABLES = (
    """CREATE TABLE actors (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, UNIQUE (name, kind)
    ) STRICT""",
    "CREATE TABLE keys (subject TEXT PRIMARY KEY, key BLOB NOT NULL) STRICT",
    "CREATE TABLE secret (one INTEGER PRIMARY KEY CHECK (one = 1), secret BLOB NOT NULL) STRICT",
)


class SQLiteKeyring(CachedKeyring):
    """The `Keyring` port on one SQLite file of mode 0600, safe for many threads and many processes.

    A destroyed key is overwritten in the file; copies of the file are the operator's to destroy.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the file, creating it if need be. Raises `KeyringError` if it belongs to another program."""
        super().__init__(_File(Path(path)))


class _File:
    """The vault in the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._data_version = 0
        self._look_again = 0.0
        with self._explained():
            # Created here because SQLite would let others read it; its journal takes the same mode.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._connection = sqlite3.connect(self._path, timeout=10, isolation_level=None, check_same_thread=False)
            try:
                self.secret = self._make_ready()
            except BaseException:
                self._connection.close()
                raise

    def has_changed(self, *, soon: bool) -> bool:
        if soon and time.monotonic() < self._look_again:
            return False
        self._look_again = time.monotonic() + LOOK_SECONDS
        with self._explained():
            (data_version,) = self._connection.execute("PRAGMA data_version").fetchone()
        before, self._data_version = self._data_version, data_version
        return bool(data_version != before)

    def keep(self, actors: Mapping[Actor, str], keys: Mapping[str, bytes]) -> bool:
        try:
            with self._explained(), self._transaction():
                self._connection.executemany(
                    "INSERT INTO actors VALUES (?, ?, ?)", [(id, *actor) for actor, id in actors.items()]
                )
                self._connection.executemany("INSERT INTO keys VALUES (?, ?)", list(keys.items()))
        except sqlite3.IntegrityError:
            return False
        return True

    def find(self, name: str, kind: str) -> str | None:
        with self._explained():
            row = self._connection.execute("SELECT id FROM actors WHERE name = ? AND kind = ?", (name, kind)).fetchone()
        return row[0] if row else None

    def name(self, actor: str) -> str | None:
        with self._explained():
            row = self._connection.execute("SELECT name FROM actors WHERE id = ?", (actor,)).fetchone()
        return row[0] if row else None

    def key(self, subject: str) -> bytes | None:
        with self._explained():
            row = self._connection.execute("SELECT key FROM keys WHERE subject = ?", (subject,)).fetchone()
        return row[0] if row else None

    def erase(self, subject: str) -> None:
        with self._explained(), self._transaction():
            self._connection.execute("DELETE FROM keys WHERE subject = ?", (subject,))
            self._connection.execute("DELETE FROM actors WHERE id = ?", (subject,))

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise errors of the file as `KeyringUnavailableError`."""
        try:
            yield
        except (OSError, sqlite3.OperationalError) as error:
            raise KeyringUnavailableError(
                f"the keyring {self._path} cannot be used now ({error}): its folder must exist, be "
                "writable and have space, and no other program may keep it locked"
            ) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.rollback()
            raise

    def _make_ready(self) -> bytes:
        self._is_new()
        # No write-ahead log, where a destroyed key stays readable. EXTRA makes the journal's end durable.
        for setting in ("journal_mode = DELETE", "synchronous = EXTRA", "secure_delete = ON"):
            self._connection.execute(f"PRAGMA {setting}")
        self._path.chmod(0o600)
        with self._transaction():
            if self._is_new():
                for table in _TABLES:
                    self._connection.execute(table)
                self._connection.execute("INSERT INTO secret VALUES (1, ?)", (secrets.token_bytes(32),))
                self._connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            secret: bytes
            (secret,) = self._connection.execute("SELECT secret FROM secret").fetchone()
        return secret

    def _is_new(self) -> bool:
        """Return True if the file is still empty. Raises `KeyringError` if it belongs to another program."""
        try:
            # In this order: another process may create the tables between the two, with the id in one transaction.
            if not self._connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchall():
                return True
            ((application_id,),) = self._connection.execute("PRAGMA application_id").fetchall()
            if application_id == _APPLICATION_ID:
                return False
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            pass
        raise KeyringError(
            f"{self._path} is not a keyring of ours and was left alone: "
            "name a keyring, or a file that does not exist yet"
        )
