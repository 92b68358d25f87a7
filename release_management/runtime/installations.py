"""Two ways to reach an installation: as its owner, in this process, or as a client, over the bus."""

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
    """What the facade needs of an installation."""

    @property
    def verifies_user(self) -> bool:
        """Whether wishes come from this very process, so that the operating system vouches for the user."""
        ...

    def ask(self, envelope: CommandEnvelope) -> Outcome:
        """Submit a wish and wait for its outcome. Raises `NotReachableError`."""
        ...

    def page(self, name: str, params: dict[str, Any], after: int = 0) -> Page:
        """A page of a query's rows, once the log was taken in up to `after`.

        Raises `QueryNotUnderstood` and `NotReachableError`.
        """
        ...

    def start_workers(self) -> None:
        """Make sure that deployments move. Raises `NotReachableError`."""
        ...

    def letters_page(self, params: dict[str, Any]) -> Page:
        """A page of the messages that could not be understood, newest first."""
        ...

    def dead_letter(self, id: int) -> OpenedLetter | None:
        """All of one of them; None where there is none."""
        ...

    def replay_dead_letters(self, ids: Sequence[int]) -> list[Replay]:
        """Send the messages again to where they came from; what became of each."""
        ...

    def records(self, after: int, *, follow: bool) -> Iterator[Recorded]:
        """The log's records above a position, in order; with `follow` those to come as well, for ever."""
        ...

    def content(self, dataref: str) -> bytes:
        """The data that stand beside the records with this `dataref`."""
        ...

    def rebuild(self, projection: str | None, progress: "Progress | None" = None) -> None:
        """Build projections again from the log."""
        ...

    def unpark(self, projection: str, stream: str | None) -> "Unparked":
        """Take in again what a projection has set aside, of one stream or of all."""
        ...

    def close(self) -> None:
        """Stop what this process started, release what it holds."""
        ...


def connect(data: str, *, may_start: bool, store: str | None = None) -> Installation:
    """The backend for a folder or a `nats://` address: its owner where nobody else is, else its client.

    What a folder has that lies on a read-only disk can be read. `may_start` False: an owner never starts what moves
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
