"""The folder that holds everything of one installation: `.relman/`."""

from dataclasses import dataclass
from pathlib import Path

from release_management.adapters.event_store import LostLogError, SQLiteEventLog
from release_management.adapters.keyring import SQLiteKeyring
from release_management.adapters.nats.server import read_url
from release_management.domain.registry import Registry


@dataclass(frozen=True, slots=True)
class Home:
    """Where things lie. `log.db` and `private.db` are the truth; the rest can be rebuilt or is rewritten."""

    folder: Path

    @property
    def read_model(self) -> Path:
        """The projections that queries read."""
        return self.folder / "read.db"

    @property
    def agenda(self) -> Path:
        """The projection that the orchestrator and the timers read; a file of its own, since they write it too."""
        return self.folder / "road.db"

    @property
    def children(self) -> Path:
        """The processes that `relman up` started."""
        return self.folder / "up.json"

    @property
    def logs(self) -> Path:
        """What the processes of `relman up` say."""
        return self.folder / "logs"

    def prepare(self) -> None:
        """Make the folder, readable by the owner only."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def open_log(self, registry: Registry) -> SQLiteEventLog:
        """The event log, made in a new folder. Raises `LostLogError`, and `EventStoreError` where it cannot be read."""
        path = self.folder / "log.db"
        if (self.folder / "private.db").exists() and not (path.exists() and path.stat().st_size):
            raise LostLogError(
                f"{path} is gone or empty, but the keys that belong to it are there: put the log back from a backup, "
                "or remove the whole folder to begin anew"
            )
        return SQLiteEventLog.open(path, registry.knows)

    def open_keyring(self) -> SQLiteKeyring:
        """The names and keys."""
        return SQLiteKeyring(self.folder / "private.db")

    def url(self) -> str | None:
        """The URL of the message bus that ran here last; None where none did."""
        return read_url(self.folder)
