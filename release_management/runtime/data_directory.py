"""The files and databases of one installation: its folder `.relman/`, and PostgreSQL if it was created with that."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from release_management.adapters.nats.wire.urls import read_url
from release_management.adapters.system.error_paths import naming
from release_management.adapters.system.folder_lock import make_private
from release_management.kernel.errors import ErrorCode, RelmanError

if TYPE_CHECKING:
    from release_management.domain.registry import Registry
    from release_management.services.ports import EventLog, Keyring

NOTE = "store.url"


class OtherStoreError(RelmanError):
    """The folder was created with another store than the one that is named now, or no store can be named so."""

    code = ErrorCode.UNUSABLE


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """The places of an installation's data. A store is loaded when it is opened.

    The event log and the names and keys are the source of truth: `log.db` and `private.db`, or the database at `store`,
    a `postgresql://` URL. The rest can be rebuilt or is rewritten. `bus` names the servers of a message bus that runs
    elsewhere, with the user of the role that connects; without it, the folder's own bus is used. The bus's streams have
    `replicas` copies.
    """

    folder: Path
    store: str | None = None
    bus: str | None = None
    replicas: int = 1

    @classmethod
    def at(cls, folder: Path, store: str | None = None, bus: str | None = None, replicas: int = 1) -> "DataDirectory":
        """Return the installation of a folder, with the store that it was created with.

        Raises `OtherStoreError` if `store` names another one.
        """
        noted = _noted(folder)
        if store is not None and noted is None and (folder / "log.db").exists():
            raise OtherStoreError(
                f"{folder} keeps its events in log.db, not in PostgreSQL; name another folder to begin one there"
            )
        if store is not None and noted is not None and store != noted:
            _check_same(folder, noted, store)
        return cls(folder, store or noted, bus, replicas)

    @property
    def read_models(self) -> str | Path:
        """The database of the projections that queries read: a database URL, or a SQLite file."""
        return self.store or self.folder / "read.db"

    @property
    def agenda(self) -> str | Path:
        """The database of the agenda, which the orchestrator and the timers read and write: hence its own file."""
        return self.store or self.folder / "road.db"

    @property
    def children(self) -> Path:
        """The file that lists the processes that `relman up` started."""
        return self.folder / "up.json"

    @property
    def logs(self) -> Path:
        """The folder of the log files of the processes of `relman up`."""
        return self.folder / "logs"

    @property
    def run(self) -> Path:
        """The folder in which running roles write the addresses of their health probes."""
        return self.folder / "run"

    def prepare(self) -> None:
        """Create the folder, readable by the owner only. Raises `FolderOpenError`."""
        make_private(self.folder)

    def open_log(self, registry: "Registry") -> "EventLog":
        """Open the event log, creating it if there is none; afterwards the folder remembers which store it uses.

        Raises `LostLogError`, and `EventStoreError` if the log cannot be read.
        """
        if self.store is not None:
            from release_management.adapters.event_store.postgres import PostgresEventLog

            log = PostgresEventLog.open(self.store, registry.knows)
            self._remember(self.store)
            return log
        from release_management.adapters.event_store import LostLogError, SQLiteEventLog

        path = self.folder / "log.db"
        if (self.folder / "private.db").exists() and not (path.exists() and path.stat().st_size):
            raise LostLogError(
                f"{path} is gone or empty, but the keys that belong to it are there: put the log back from a backup, "
                "or remove the whole folder to begin anew"
            )
        return SQLiteEventLog.open(path, registry.knows)

    def _remember(self, store: str) -> None:
        if _noted(self.folder) == store:
            return
        self.prepare()
        beside = self.folder / f"{NOTE}.{os.getpid()}"
        with naming(beside), open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(store + "\n")
        beside.rename(self.folder / NOTE)

    def open_keyring(self) -> "Keyring":
        """Open the store of names and keys."""
        if self.store is not None:
            from release_management.adapters.keyring.postgres import PostgresKeyring

            return PostgresKeyring(self.store)
        from release_management.adapters.keyring import SQLiteKeyring

        return SQLiteKeyring(self.folder / "private.db")

    def bus_url(self, user: str) -> str | None:
        """Return the message bus's URL for one of its users; None if no bus was started here yet."""
        from release_management.adapters.nats.wire.urls import credentials

        return self.bus or credentials(self.folder, user)

    def url(self) -> str | None:
        """Return the message bus's URL for clients; None if no bus was started here yet."""
        return self.bus or read_url(self.folder)


def _noted(folder: Path) -> str | None:
    with contextlib.suppress(FileNotFoundError):
        return (folder / NOTE).read_text().strip() or None
    return None


def _check_same(folder: Path, noted: str, store: str) -> None:
    from release_management.adapters.postgres import place

    try:
        begun, named = place(noted), place(store)
    except ValueError as error:
        raise OtherStoreError(str(error)) from None
    if begun != named:
        raise OtherStoreError(
            f"{folder} was begun with the store {begun}, and {named} is named now; name that one, or another folder"
        )
