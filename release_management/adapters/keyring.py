"""Names and keys in a private file beside the log."""

import base64
import hmac
import os
import re
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_FORMAT = "s1."
_NONCE_BYTES = 12
_TAG_BYTES = 16
_PREFIXES = {"person": "usr_", "service": "svc_"}
_SYSTEM = re.compile(r"system:[a-z-]{1,40}")
_APPLICATION_ID = 0x72656C70  # "relp"
_TABLES = (
    """CREATE TABLE actors (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, UNIQUE (name, kind)
    ) STRICT""",
    "CREATE TABLE keys (subject TEXT PRIMARY KEY, key BLOB NOT NULL) STRICT",
    "CREATE TABLE secret (one INTEGER PRIMARY KEY CHECK (one = 1), secret BLOB NOT NULL) STRICT",
)


class KeyringError(Exception):
    """The file of names and keys cannot be used. The text says which, and what would be right."""


class SQLiteKeyring:
    """The `Keyring` port on one SQLite file of mode 0600, safe for many threads and many processes.

    Whatever a method returns rests on keys and names that are already durable. A key that another process
    destroyed is not used again. A destroyed key is overwritten in the file; copies of the file are the
    operator's to destroy. Every method raises `KeyringError` where the file cannot be used.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the file, or make it. Raises `KeyringError` where it is another program's."""
        self._path = Path(path)
        self._lock = threading.Lock()
        self._data_version = 0
        self._keys: dict[str, AESGCM] = {}
        self._actors: dict[tuple[str, str], str] = {}
        with self._explained():
            # Made by hand because SQLite would let others read it; its journal takes the same mode.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._connection = sqlite3.connect(self._path, timeout=10, isolation_level=None, check_same_thread=False)
            try:
                self._secret = self._make_ready()
            except BaseException:
                self._connection.close()
                raise

    def actor_id(self, name: str, kind: str = "person") -> str:
        """The opaque id of an actor (`usr_…`, or `svc_…` for kind "service"), made at first sight.

        `system:…` names are their own ids. Raises ValueError for a kind or a system name that there is not.
        """
        if name.startswith("system:"):
            if not _SYSTEM.fullmatch(name):
                raise ValueError(f"{name!r} is no system actor; write system: and 1 to 40 of a-z and '-'")
            return name
        if kind not in _PREFIXES:
            raise ValueError(f"{kind!r} is no kind of a named actor; {name!r} is a person or a service")
        with self._explained():
            self._notice_others()
            if (name, kind) not in self._actors:
                fresh = _PREFIXES[kind] + base64.b32encode(secrets.token_bytes(16)).decode().lower().rstrip("=")
                with self._transaction():
                    self._connection.execute(
                        "INSERT INTO actors VALUES (?, ?, ?) ON CONFLICT (name, kind) DO NOTHING",
                        (fresh, name, kind),
                    )
                    (actor,) = self._connection.execute(
                        "SELECT id FROM actors WHERE name = ? AND kind = ?", (name, kind)
                    ).fetchone()
                self._actors[name, kind] = actor
            return self._actors[name, kind]

    def actor_name(self, actor: str) -> str | None:
        """The name behind an id; None where it was erased or never known."""
        if _SYSTEM.fullmatch(actor):
            return actor
        with self._explained():
            row = self._connection.execute("SELECT name FROM actors WHERE id = ?", (actor,)).fetchone()
        return row[0] if row else None

    def seal(self, subject: str, text: str) -> str:
        """Encrypt under the subject's key, made at first use: AES-256-GCM, bound to the subject."""
        with self._explained():
            key = self._key(subject) or self._make_key(subject)
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = nonce + key.encrypt(nonce, text.encode(), subject.encode())
        return _FORMAT + base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def open(self, subject: str, sealed: str) -> str | None:
        """Decrypt; None where the key was destroyed, or is another than the text was sealed with.

        Raises ValueError for a text that was never sealed.
        """
        sealed_bytes = _unpack(sealed)
        with self._explained():
            key = self._key(subject)
        if key is None:
            return None
        nonce, ciphertext = sealed_bytes[:_NONCE_BYTES], sealed_bytes[_NONCE_BYTES:]
        try:
            return key.decrypt(nonce, ciphertext, subject.encode()).decode()
        except InvalidTag:
            return None

    def fingerprint(self, content: bytes) -> bytes:
        """A keyed HMAC-SHA-256 of a command's content."""
        return hmac.digest(self._secret, content, "sha256")

    def erase(self, subject: str) -> None:
        """Destroy the subject's key and forget its name."""
        with self._explained(), self._transaction():
            self._connection.execute("DELETE FROM keys WHERE subject = ?", (subject,))
            self._connection.execute("DELETE FROM actors WHERE id = ?", (subject,))
            self._keys.clear()
            self._actors.clear()

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._connection.close()

    def _key(self, subject: str) -> AESGCM | None:
        self._notice_others()
        if subject not in self._keys:
            row = self._connection.execute("SELECT key FROM keys WHERE subject = ?", (subject,)).fetchone()
            if row is None:
                return None
            self._keys[subject] = AESGCM(row[0])
        return self._keys[subject]

    def _make_key(self, subject: str) -> AESGCM:
        with self._transaction():
            self._connection.execute(
                "INSERT INTO keys VALUES (?, ?) ON CONFLICT (subject) DO NOTHING",
                (subject, AESGCM.generate_key(256)),
            )
            (key,) = self._connection.execute("SELECT key FROM keys WHERE subject = ?", (subject,)).fetchone()
        self._keys[subject] = AESGCM(key)
        return self._keys[subject]

    def _notice_others(self) -> None:
        """Drop what is cached where another process has written since: it may have erased."""
        (data_version,) = self._connection.execute("PRAGMA data_version").fetchone()
        if data_version != self._data_version:
            self._data_version = data_version
            self._keys.clear()
            self._actors.clear()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """One thread at a time; what the file refuses is said as `KeyringError`."""
        with self._lock:
            try:
                yield
            except (OSError, sqlite3.OperationalError) as error:
                raise KeyringError(
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
        """Whether the file is still empty. Raises `KeyringError` where it belongs to another program."""
        try:
            # In this order: another process may make the file between the two, tables and id in one transaction.
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


def _unpack(sealed: str) -> bytes:
    try:
        if not sealed.startswith(_FORMAT):
            raise ValueError
        packed = sealed.removeprefix(_FORMAT)
        unpacked = base64.b64decode(packed + "=" * (-len(packed) % 4), altchars=b"-_", validate=True)
        if len(unpacked) < _NONCE_BYTES + _TAG_BYTES:
            raise ValueError
    except ValueError:
        raise ValueError(
            f"{sealed[:20]!r} is no sealed text; one begins with {_FORMAT!r} and goes on in URL-safe base64"
        ) from None
    return unpacked
