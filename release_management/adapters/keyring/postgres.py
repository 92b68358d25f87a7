"""Names and keys in the schema `relman_private` of a PostgreSQL database."""

import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
import structlog
from psycopg import errors

from release_management.adapters.keyring.cached import (
    LOOK_SECONDS,
    Actor,
    CachedKeyring,
)
from release_management.adapters.keyring.errors import KeyringError, KeyringUnavailableError
from release_management.adapters.postgres import (
    Connections,
    PostgresConnection,
    place,
)

_log = structlog.get_logger(__name__)
_LOCK = (0x72656C70, 1)  # "relp"
_SCHEMA = """
CREATE SCHEMA IF NOT EXISTS relman_private;
REVOKE ALL ON SCHEMA relman_private FROM PUBLIC;
CREATE TABLE relman_private.actors (
    id text PRIMARY KEY, name text COLLATE "C" NOT NULL, kind text NOT NULL, UNIQUE (name, kind)
);
CREATE TABLE relman_private.keys (subject text PRIMARY KEY, key bytea NOT NULL);
CREATE TABLE relman_private.secret (
    one integer PRIMARY KEY CHECK (one = 1), secret bytea NOT NULL, erasures bigint NOT NULL DEFAULT 0
);
"""
_UNUSABLE = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    errors.InternalError_,
    errors.ReadOnlySqlTransaction,
    errors.InsufficientPrivilege,
)


class PostgresKeyring(CachedKeyring):
    """The `Keyring` port on one database, safe for many threads and many processes.

    The server is asked at most every `LOOK_SECONDS` whether another process erased something.

    The tables are rewritten after an erasure, so that their files do not contain it any more; if that is not possible
    now, a warning says so. The server's write-ahead log, its archive, replicas and backups contain it until they are
    recycled: those are the operator's to expire.
    """

    def __init__(self, url: str) -> None:
        """Open the keyring at a `postgresql://` URL, or create it. Raises `KeyringError` if the schema is not ours."""
        super().__init__(_Schema(url))


class _Schema:
    """The vault in the database."""

    def __init__(self, url: str) -> None:
        try:
            self._where = place(url)
            self._connections = Connections(url)
        except ValueError as error:
            raise KeyringError(str(error)) from None
        self._erasures: int | None = None
        self._look_again = 0.0
        try:
            self.secret = self._make_ready()
        except BaseException:
            self._connections.close()
            raise

    def has_changed(self, *, soon: bool) -> bool:
        if time.monotonic() < self._look_again:
            return False
        self._look_again = time.monotonic() + LOOK_SECONDS
        with self._lend() as connection:
            ((erasures,),) = connection.execute("SELECT erasures FROM relman_private.secret").fetchall()
        before, self._erasures = self._erasures, erasures
        return bool(erasures != before)

    def keep(self, actors: Mapping[Actor, str], keys: Mapping[str, bytes]) -> bool:
        try:
            with self._lend() as connection, connection.transaction(), connection.cursor() as cursor:
                cursor.executemany(
                    "INSERT INTO relman_private.actors VALUES (%s, %s, %s)",
                    [(id, *actor) for actor, id in actors.items()],
                )
                cursor.executemany("INSERT INTO relman_private.keys VALUES (%s, %s)", list(keys.items()))
        except errors.UniqueViolation:
            return False
        return True

    def find(self, name: str, kind: str) -> str | None:
        with self._lend() as connection:
            row = connection.execute(
                "SELECT id FROM relman_private.actors WHERE name = %s AND kind = %s", (name, kind)
            ).fetchone()
        return row[0] if row else None

    def name(self, actor: str) -> str | None:
        with self._lend() as connection:
            row = connection.execute("SELECT name FROM relman_private.actors WHERE id = %s", (actor,)).fetchone()
        return row[0] if row else None

    def key(self, subject: str) -> bytes | None:
        with self._lend() as connection:
            row = connection.execute("SELECT key FROM relman_private.keys WHERE subject = %s", (subject,)).fetchone()
        return row[0] if row else None

    def erase(self, subject: str) -> None:
        with self._lend() as connection, connection.transaction():
            connection.execute("DELETE FROM relman_private.keys WHERE subject = %s", (subject,))
            connection.execute("DELETE FROM relman_private.actors WHERE id = %s", (subject,))
            connection.execute("UPDATE relman_private.secret SET erasures = erasures + 1")
        try:
            with self._lend() as connection:
                connection.execute("VACUUM (FULL) relman_private.keys")
                connection.execute("VACUUM (FULL) relman_private.actors")
        except KeyringUnavailableError as error:
            _log.warning(
                "erased, and the old bytes stay in the tables' files until the next erasure", reason=str(error)
            )

    def close(self) -> None:
        self._connections.close()

    def _make_ready(self) -> bytes:
        with self._lend() as connection:
            if self._is_new(connection):
                with connection.transaction():
                    connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", _LOCK)
                    if self._is_new(connection):
                        connection.execute(_SCHEMA)
                        connection.execute(
                            "INSERT INTO relman_private.secret VALUES (1, %s)", (secrets.token_bytes(32),)
                        )
            try:
                row = connection.execute("SELECT secret FROM relman_private.secret").fetchone()
            except (errors.UndefinedTable, errors.UndefinedColumn):
                row = None
        if row is None:
            raise KeyringError(
                f"the schema relman_private at {self._where} is not a keyring of ours and was left alone: "
                "name a database that has one, or has no such schema"
            )
        return bytes(row[0])

    def _is_new(self, connection: PostgresConnection) -> bool:
        """Return True if there is no schema yet, or an empty one (made by somebody who may make schemas)."""
        return not connection.execute(
            "SELECT FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
            " WHERE nspname = 'relman_private' LIMIT 1"
        ).fetchall()

    @contextmanager
    def _lend(self) -> Iterator[PostgresConnection]:
        """Lend a connection, and raise the server's errors as `KeyringUnavailableError`."""
        try:
            with self._connections.lend() as connection:
                yield connection
        except _UNUSABLE as error:
            raise KeyringUnavailableError(
                f"the keyring {self._where} cannot be used now ({str(error).partition(chr(10))[0]}): its server must "
                "run, let us in and write, and have space"
            ) from error
