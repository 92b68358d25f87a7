"""Open the installation for a command: as a client if one runs, else the folder itself."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from release_management.cli.kit.errors import notice
from release_management.cli.kit.settings import settings

if TYPE_CHECKING:
    from release_management.adapters.nats.client import NotReachableError
    from release_management.facade.manager import ReleaseManager
    from release_management.runtime.installations import Installation
    from release_management.runtime.patient import PatientInstallation

BUSY_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Session:
    """An installation: `manager` for its use cases, `backend` for the rest."""

    manager: "ReleaseManager"
    backend: "PatientInstallation"

    def rows(self, name: str, **params: Any) -> Iterator[dict[str, Any]]:
        """Yield a query's rows, requested page by page as they are needed; parameters that are None are omitted.

        The parameter `limit` is the maximal number of rows.
        """
        return self.backend.rows(name, {key: value for key, value in params.items() if value is not None})

    def query(self, name: str, **params: Any) -> list[dict[str, Any]]:
        """Return all of a query's rows."""
        return list(self.rows(name, **params))


@contextmanager
def session(application: str = "default", *, creates: bool = False) -> Iterator[Session]:
    """Open the installation that `--data` names; with `creates`, make the folder if there is none.

    Raises `NotReachableError`.
    """
    from release_management.facade.manager import ReleaseManager
    from release_management.runtime.patient import PatientInstallation

    backend = PatientInstallation(_open(settings().data, creates), tell=notice)
    try:
        yield Session(ReleaseManager.on(backend, application, actor=settings().actor, sender="relman"), backend)
    finally:
        backend.close()


def is_empty(data: str) -> bool:
    """Return True if `data` is a folder in which nothing was ever recorded."""
    return "://" not in data and not any((Path(data) / name).is_file() for name in ("log.db", "store.url"))


def nothing_there(data: str) -> "NotReachableError":
    """Return the error for a folder in which nothing was ever recorded."""
    from release_management.adapters.nats.client import NotReachableError

    return NotReachableError(f"nothing is there yet in {data}; begin with: relman init, then: relman up")


def holder(folder: Path) -> int | None:
    """Return the pid of the folder's owner; None if it has none, 0 if the pid is not known."""
    from release_management.adapters.system.folder_lock import FolderBusyError, FolderLock

    if not (folder / "lock").exists():
        return None
    try:
        with FolderLock(folder):
            return None
    except FolderBusyError as busy:
        return busy.pid or 0


def bus_url(folder: Path) -> str | None:
    """Return the URL of the folder's message bus, with its password; None if there never was one."""
    from release_management.adapters.nats.wire.urls import read_url

    return read_url(folder)


def _open(data: str, creates: bool) -> "Installation":
    """Return a backend that answers, once no other command holds the folder and the store is there."""
    from release_management.adapters.nats.client import NotReachableError, UnavailableError
    from release_management.runtime.installations import connect
    from release_management.runtime.patient import ANSWER_SECONDS, Waiting
    from release_management.runtime.remote import RemoteInstallation
    from release_management.services.ports import LogUnavailableError

    if not creates and is_empty(data):
        raise nothing_there(data)
    waiting = Waiting(notice)
    while True:
        try:
            backend = connect(data, may_start=False)
            if not isinstance(backend, RemoteInstallation) or "://" in data or _listens(bus_url(Path(data))):
                waiting.is_over()
                return backend
            backend.close()
            pid = holder(Path(data)) or "another program"
            raise UnavailableError(
                f"the folder {data} is in use by process {pid}, which answers nobody; end it, or start relman up"
            )
        except LogUnavailableError as error:
            waiting.goes_on(UnavailableError(str(error)), waiting.began + ANSWER_SECONDS)
        except NotReachableError as error:
            waiting.goes_on(error, waiting.began + BUSY_SECONDS)


def _listens(url: str | None) -> bool:
    if url is None:
        return False
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname, address.port or 4222), timeout=1).close()
    except OSError:
        return False
    return True


def application_of(ref: str) -> str:
    """Return `shop` of `shop@1.0.0`. Raises a usage error for a malformed reference."""
    return parse_ref(ref)[0]


def parse_ref(ref: str) -> Sequence[str]:
    """Split `APP@VERSION` into its two parts. Raises a usage error for a malformed reference."""
    import typer

    application, separator, version = ref.partition("@")
    if not (application and separator and version):
        raise typer.BadParameter(f"{ref!r} is no release; write APP@VERSION, such as shop@1.0.0")
    return application, version
