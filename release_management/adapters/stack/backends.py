"""Two ways to reach an installation: as its owner, in this process, or as a client, over the bus."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, cast

from release_management.adapters.folder import FolderBusyError, FolderLock
from release_management.adapters.nats.client import BusClient, NotReachableError
from release_management.adapters.nats.dead_letters import DeadLetter
from release_management.adapters.nats.server import read_url
from release_management.adapters.stack.logs import log_errors
from release_management.adapters.stack.loop import LoopThread
from release_management.domain.record import Recorded
from release_management.services.wishes import Outcome, Wish


class Backend(Protocol):
    """What the facade needs of an installation."""

    @property
    def verifies_user(self) -> bool:
        """Whether wishes come from this very process, so that the operating system vouches for the user."""
        ...

    def ask(self, wish: Wish) -> Outcome:
        """Submit a wish and wait for its outcome. Raises `NotReachableError`."""
        ...

    def query(self, name: str, params: dict[str, Any], after: int = 0) -> list[dict[str, Any]]:
        """A query's rows, once the log was taken in up to `after`. Raises `QueryNotUnderstood`."""
        ...

    def start_road(self) -> None:
        """Make sure that deployments move. Raises `NotReachableError`."""
        ...

    def dead_letters(self, limit: int) -> list[DeadLetter]:
        """The newest messages that could not be understood."""
        ...

    def records(self, after: int, *, follow: bool) -> Iterator[Recorded]:
        """The log's records above a position, in order; with `follow` those to come as well, for ever."""
        ...

    def rebuild(self, projection: str | None) -> None:
        """Build projections again from the log."""
        ...

    def close(self) -> None:
        """Stop what this process started, release what it holds."""
        ...


class Client:
    """A client over the bus of an installation that runs elsewhere."""

    verifies_user = False

    def __init__(self, url: str, folder: Path | None = None) -> None:
        """`folder`: where the installation keeps its data, if that is on this machine."""
        self._loop = LoopThread("bus client")
        self._bus = BusClient(url)
        self._folder = folder
        self._last = 0

    def ask(self, wish: Wish) -> Outcome:
        """Ask over the bus."""
        outcome = self._loop.run(self._bus.ask(wish))
        self._last = max(self._last, outcome.last)
        return outcome

    def query(self, name: str, params: dict[str, Any], after: int = 0) -> list[dict[str, Any]]:
        """Ask over the bus; the answer has taken in whatever was asked for through this client."""
        return cast(list[dict[str, Any]], self._loop.run(self._bus.query(name, params, max(after, self._last))))

    def start_road(self) -> None:
        """It runs there."""

    def dead_letters(self, limit: int) -> list[DeadLetter]:
        """Ask over the bus."""
        return self._loop.run(self._bus.dead_letters(limit))

    def records(self, after: int, *, follow: bool) -> Iterator[Recorded]:
        """The published events; without `follow`, up to the position that the projections have now."""
        last = None if follow else self._position()
        if last is not None and last <= after:
            return
        events = self._bus.events(after)
        while True:
            recorded = self._loop.run(anext(events))
            yield recorded
            if last is not None and recorded.position >= last:
                self._loop.run(events.aclose())
                return

    def _position(self) -> int:
        return max((int(row["position"]) for row in self.query("position", {})), default=0)

    def rebuild(self, projection: str | None) -> None:
        """Beside the running projector, which takes it over should this process die; only on the same machine."""
        if self._folder is None:
            raise NotReachableError("projections are rebuilt where they are kept; run relman projections rebuild there")
        from release_management.adapters.stack.rebuilding import rebuild

        rebuild(self._folder, projection)

    def close(self) -> None:
        """Leave."""
        self._loop.run(self._bus.close())
        self._loop.close()


def connect(data: str, *, may_start: bool) -> Backend:
    """The backend for a folder or a `nats://` address: its owner where nobody else is, else its client.

    `may_start` False: an owner never starts what moves deployments, and says so instead.
    """
    log_errors()
    if data.startswith(("nats://", "tls://")):
        return Client(data)
    folder = Path(data).resolve()
    lock = FolderLock(folder)
    try:
        lock.acquire()
    except FolderBusyError as busy:
        url = read_url(folder)
        if url is None:
            raise NotReachableError(f"{busy}; it serves nobody else") from None
        return Client(url, folder)
    # A client need not load the stores, the projections and the executor, which take most of a second.
    from release_management.adapters.stack.owner import Owner

    return Owner(folder, lock, may_start=may_start)
