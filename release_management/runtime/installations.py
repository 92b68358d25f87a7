"""The two ways to reach an installation: as its owner, in this process, or as a client, over the bus."""

import errno
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from release_management.adapters.nats.client import NotReachableError
from release_management.adapters.nats.dead_letters.model import OpenedLetter, Replay
from release_management.adapters.nats.wire.urls import read_url
from release_management.adapters.system.folder_lock import FolderBusyError, FolderLock
from release_management.kernel.record import Recorded
from release_management.runtime.program_log import log_errors
from release_management.runtime.remote import RemoteInstallation
from release_management.services.envelope import CommandEnvelope, Outcome
from release_management.services.paging.pages import Page

if TYPE_CHECKING:
    from release_management.adapters.read_model import Progress, Unparked


class Installation(Protocol):
    """The operations of an installation that the facade needs."""

    @property
    def verifies_user(self) -> bool:
        """True if commands come from this very process, so that the operating system vouches for the user."""
        ...

    def ask(self, envelope: CommandEnvelope) -> Outcome:
        """Submit a command and wait for its outcome. Raises `NotReachableError`."""
        ...

    def page(self, name: str, params: dict[str, Any], after: int = 0) -> Page:
        """Return a page of a query's rows, once its projections have reached the position `after`.

        Raises `QueryNotUnderstood` and `NotReachableError`.
        """
        ...

    def start_workers(self) -> None:
        """Make sure that the workers run which move deployments. Raises `NotReachableError`."""
        ...

    def letters_page(self, params: dict[str, Any]) -> Page:
        """Return a page of the dead letters, newest first."""
        ...

    def dead_letter(self, id: int) -> OpenedLetter | None:
        """Return all of one dead letter; None if there is none."""
        ...

    def replay_dead_letters(self, ids: Sequence[int]) -> list[Replay]:
        """Send the messages of dead letters again; return the result of each."""
        ...

    def records(self, after: int, *, follow: bool) -> Iterator[Recorded]:
        """Yield the log's records above a position, in order; with `follow` those to come as well, for ever."""
        ...

    def content(self, dataref: str) -> bytes:
        """Return the data that stand beside the records with this `dataref`."""
        ...

    def rebuild(self, projection: str | None, progress: "Progress | None" = None) -> None:
        """Rebuild projections from the log."""
        ...

    def unpark(self, projection: str, stream: str | None) -> "Unparked":
        """Fold the parked events of a projection, of one stream or of all."""
        ...

    def close(self) -> None:
        """Stop what this process started, and release its resources."""
        ...


def connect(data: str, *, may_start: bool, store: str | None = None) -> Installation:
    """Return the installation at a folder or a `nats://` address: embedded if the folder is free, else remote.

    A folder on a read-only disk can be read. With `may_start` False, an owner never starts the workers that move
    deployments, and says so instead. `store`: see `DataDirectory.at`.
    """
    log_errors()
    if data.startswith(("nats://", "tls://")):
        return RemoteInstallation(data)
    folder = Path(data).resolve()
    lock = FolderLock(folder)
    try:
        lock.acquire()
    except FolderBusyError as busy:
        url = read_url(folder)
        if url is None:
            raise NotReachableError(f"{busy}; it serves nobody else") from None
        return RemoteInstallation(url, folder)
    except OSError as error:
        if error.errno != errno.EROFS or not any((folder / name).is_file() for name in ("log.db", "store.url")):
            raise
        from release_management.runtime.copied import CopiedInstallation

        return CopiedInstallation(folder)
    # A client need not load the stores, the projections and the executor, which take most of a second.
    from release_management.runtime.data_directory import DataDirectory
    from release_management.runtime.embedded import EmbeddedInstallation

    try:
        home = DataDirectory.at(folder, store)
    except BaseException:
        lock.release()
        raise
    return EmbeddedInstallation(home, lock, may_start=may_start)
