"""Two ways to reach an installation: as its owner, in this process, or as a client, over the bus."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol, cast

from release_management.adapters.folder import FolderBusyError, FolderLock
from release_management.adapters.nats.client import BusClient, NotReachableError
from release_management.adapters.nats.dead_letters import DeadLetter
from release_management.adapters.nats.server import NatsServer
from release_management.adapters.stack.core import Core
from release_management.adapters.stack.home import Home
from release_management.adapters.stack.logs import log_errors
from release_management.adapters.stack.loop import LoopThread
from release_management.adapters.stack.reading import QueryRole, Reading
from release_management.adapters.stack.road import Road
from release_management.domain.record import Recorded
from release_management.services.bus import GatewayFailed
from release_management.services.wishes import Outcome, Wish

NEEDS_ROAD = frozenset(
    {
        "deployment.deploy",
        "deployment.promote",
        "deployment.abort",
        "deployment.rollback",
        "deployment.retry",
        "approval.grant",
        "approval.refuse",
    }
)
START_SECONDS = 30.0
QUERY_SECONDS = 10.0


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


class Owner:
    """Holds the folder's lock; decides and folds in this process, and starts the rest when something must move.

    `may_start` False: it never starts the rest, and says so instead. Raises `FolderBusyError`.
    """

    verifies_user = True

    def __init__(self, folder: Path, *, may_start: bool) -> None:
        Home(folder).prepare()
        self._lock = FolderLock(folder)
        self._lock.acquire()
        try:
            self._core = Core(folder)
        except BaseException:
            self._lock.release()
            raise
        self._reading = Reading(self._core.home, self._core.log, self._core.keyring)
        self._may_start = may_start
        self._starting = threading.Lock()
        self._server: NatsServer | None = None
        self._loop: LoopThread | None = None
        self._serving: list[Future[None]] = []

    def ask(self, wish: Wish) -> Outcome:
        """Decide here."""
        if wish.command in NEEDS_ROAD:
            self.start_road()
        try:
            return self._core.gateway.ask(wish).result()
        except GatewayFailed as error:
            return Outcome(status="busy", sender=wish.sender, id=wish.id, command=wish.command, reason=str(error))

    def query(self, name: str, params: dict[str, Any], after: int = 0) -> list[dict[str, Any]]:
        """Ask the projections here, once they have taken in what was there when the folder was opened, too."""
        self._reading.projector.catch_up()
        return self._reading.ask(name, params, after)

    def start_road(self) -> None:
        """Start bus, relay, orchestrator, timers and executor in this process, once. Raises what ended them since."""
        if not self._may_start:
            raise NotReachableError(f"nothing runs in {self._core.home.folder}; start it with: relman up")
        with self._starting:
            if self._loop is not None:
                self._raise_what_ended()
                return
            self._server = NatsServer(self._core.home.folder)
            self._server.start()
            self._loop = LoopThread("road")
            road, queries = Road(self._core), QueryRole(self._reading)
            self._serving = [
                self._loop.start(road.serve(self._server.url)),
                self._loop.start(queries.serve(self._server.url)),
            ]
            deadline = time.monotonic() + START_SECONDS
            while not (road.ready.is_set() and queries.ready.is_set()):
                self._raise_what_ended()
                if time.monotonic() > deadline:
                    raise NotReachableError(f"the road did not start within {START_SECONDS:g} s")
                time.sleep(0.005)

    def _raise_what_ended(self) -> None:
        for future in self._serving:
            if future.done():
                future.result()

    def dead_letters(self, limit: int) -> list[DeadLetter]:
        """Ask the bus, which then must run."""
        self.start_road()
        assert self._server is not None
        client = Client(self._server.url)
        try:
            return client.dead_letters(limit)
        finally:
            client.close()

    def records(self, after: int, *, follow: bool) -> Iterator[Recorded]:
        """Read the log."""
        return read_log(self._core.log, after, follow=follow)

    def rebuild(self, projection: str | None) -> None:
        """Build again beside the old, and swap."""
        self._reading.projector.rebuild(projection)

    def close(self) -> None:
        """End the road, the bus, the deployed processes; then the projections, the gateway, the lock."""
        if self._loop is not None:
            self._loop.close()
        if self._server is not None:
            self._server.stop()
        self._reading.close()
        self._core.close()
        self._lock.release()


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
        """Not over the bus."""
        raise NotReachableError(
            "projections are rebuilt where they are kept; stop relman up there, then run: relman projections rebuild"
        )

    def close(self) -> None:
        """Leave."""
        self._loop.run(self._bus.close())
        self._loop.close()


def read_log(log: Any, after: int, *, follow: bool) -> Iterator[Recorded]:
    """The log's records above a position, page by page."""
    while True:
        page = log.read(after)
        yield from page
        if page:
            after = page[-1].position
        elif not follow:
            return
        else:
            log.wait(after, 1.0)


def connect(data: str, *, may_start: bool) -> Backend:
    """The backend for a folder or a `nats://` address: its owner where nobody else is, else its client."""
    log_errors()
    if data.startswith(("nats://", "tls://")):
        return Client(data)
    folder = Path(data).resolve()
    try:
        return Owner(folder, may_start=may_start)
    except FolderBusyError as busy:
        url = Home(folder).url()
        if url is None:
            raise NotReachableError(f"{busy}; it serves nobody else") from None
        return Client(url, folder)
