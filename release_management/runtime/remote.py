"""The client of an installation that runs elsewhere, over the bus."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from release_management.adapters.nats.client import (
    BusClient,
    NotReachableError,
    UnavailableError,
)
from release_management.adapters.nats.dead_letters.model import OpenedLetter, Replay
from release_management.adapters.nats.wire.urls import read_url
from release_management.kernel.errors import ErrorCode
from release_management.kernel.record import Recorded
from release_management.runtime.loop_thread import LoopThread
from release_management.services.envelope import CommandEnvelope, Outcome
from release_management.services.paging.pages import Page
from release_management.services.ports import LogUnavailableError
from release_management.services.ports.bus import BusError

PROGRESS_SECONDS = 30.0
"""Seconds for which the bus may deliver none of the records that it should have."""
LOOK_SECONDS = 1.0

T = TypeVar("T")

if TYPE_CHECKING:
    from release_management.adapters.read_model import Progress, Unparked
    from release_management.services.ports import EventLog


class MissingRecordsError(BusError):
    """The bus does not have all records of the log any more."""

    code = ErrorCode.NOT_FOUND


class RemoteInstallation:
    """An installation that runs elsewhere, over the bus. It sends each request once: see `PatientInstallation`."""

    verifies_user = False

    def __init__(self, url: str, folder: Path | None = None) -> None:
        """`folder` is the installation's data folder, if it is on this machine."""
        self._loop = LoopThread("bus client")
        self._url = url
        self._bus = BusClient(url, timeout=None)
        self._folder = folder
        self._last = 0

    def ask(self, envelope: CommandEnvelope) -> Outcome:
        """Submit a command over the bus."""
        outcome = self._run(lambda bus: bus.ask(envelope))
        self._last = max(self._last, outcome.last)
        return outcome

    def page(self, name: str, params: dict[str, Any], after: int = 0) -> Page:
        """Query over the bus; the answer includes the effects of all commands of this client."""
        position = max(after, self._last)
        return self._run(lambda bus: bus.page(name, params, position))

    def start_workers(self) -> None:
        """Check that the installation can be reached; its workers run there."""
        self._run(BusClient.connect)

    def letters_page(self, params: dict[str, Any]) -> Page:
        """Request the page over the bus."""
        return self._run(lambda bus: bus.letters_page(params))

    def dead_letter(self, id: int) -> OpenedLetter | None:
        """Request the letter over the bus."""
        return self._run(lambda bus: bus.dead_letter(id))

    def replay_dead_letters(self, ids: Sequence[int]) -> list[Replay]:
        """Request the replay over the bus."""
        return self._run(lambda bus: bus.replay_dead_letters(ids))

    def records(self, after: int, *, follow: bool) -> Iterator[Recorded]:
        """Yield the published events with `follow`; else the local log, if there is one, or all that the bus has of it.

        Without `follow`, raises `MissingRecordsError` if the bus does not have all of it any more, and
        `NotReachableError` if it delivers no more. Raises `UnavailableError` if the bus or the log is away.
        """
        if follow:
            yield from self._followed(after)
        elif self._folder is not None:
            yield from _read_here(self._folder, after)
        else:
            yield from self._published(after, self._position())

    def _followed(self, after: int) -> Iterator[Recorded]:
        self._run(BusClient.connect)
        events = self._bus.events(after)
        pending = self._loop.start(_next(events))
        try:
            while True:
                try:
                    recorded = pending.result(LOOK_SECONDS)
                except TimeoutError:
                    if self._bus.is_away:
                        raise UnavailableError("the connection to the bus is lost; is `relman up` running?") from None
                else:
                    pending = self._loop.start(_next(events))
                    yield recorded
        finally:
            pending.cancel()
            with contextlib.suppress(RuntimeError):  # it has not noticed yet; it ends with us
                self._loop.run(events.aclose())

    def _run(self, question: Callable[[BusClient], Coroutine[Any, Any, T]]) -> T:
        """Send one request, to the bus's present address."""
        self._look_for_the_bus()
        return self._loop.run(question(self._bus))

    def _look_for_the_bus(self) -> None:
        """Reconnect if a restarted `relman up` found its port taken, and has another one."""
        if self._folder is None or not self._bus.is_away:
            return
        url = read_url(self._folder)
        if url is not None and url != self._url:
            self._loop.run(self._bus.close())
            self._url, self._bus = url, BusClient(url, timeout=None)

    def _published(self, after: int, last: int) -> Iterator[Recorded]:
        """Yield all published events above `after` up to `last`, without a gap."""
        events = self._bus.events(after)
        try:
            while after < last:
                try:
                    recorded = self._loop.run(asyncio.wait_for(anext(events), PROGRESS_SECONDS))
                except TimeoutError:
                    raise NotReachableError(
                        f"the bus brings nothing after position {after:,}, though there are records up to {last:,}: is "
                        "the relay running? Where the log is kept, with --data FOLDER, it is read without the bus"
                    ) from None
                if recorded.position != after + 1:
                    raise MissingRecordsError(
                        f"the bus does not have the records {after + 1:,} to {recorded.position - 1:,} any more; "
                        "the log has them: read it where it is kept, with --data FOLDER"
                    )
                after = recorded.position
                yield recorded
        finally:
            with contextlib.suppress(RuntimeError):  # it still waits for the next event, after ctrl-C: it ends with us
                self._loop.run(events.aclose())

    def _position(self) -> int:
        return max((int(row["position"]) for row in self.page("position", {}).rows), default=0)

    def content(self, dataref: str) -> bytes:
        """Read the content from the local log, if there is one, else over the bus."""
        if self._folder is None:
            return self._run(lambda bus: bus.content(dataref))
        try:
            with _log_here(self._folder) as log:
                return log.content(dataref)
        except LogUnavailableError as error:
            raise UnavailableError(str(error)) from error

    def rebuild(self, projection: str | None, progress: "Progress | None" = None) -> None:
        """Rebuild beside the running projector, which finishes it if this process dies; only where the folder is."""
        from release_management.runtime.rebuilding import rebuild

        rebuild(self._local_folder("rebuild"), projection, progress)

    def unpark(self, projection: str, stream: str | None) -> "Unparked":
        """Unpark beside the running projector; only where the folder is."""
        from release_management.runtime.rebuilding import unpark

        return unpark(self._local_folder("unpark"), projection, stream)

    def _local_folder(self, action: str) -> Path:
        if self._folder is None:
            raise NotReachableError(
                f"the read models are looked after where they are kept: run relman projections {action} there, with "
                "--data FOLDER"
            )
        return self._folder

    def close(self) -> None:
        """Disconnect."""
        self._loop.run(self._bus.close())
        self._loop.close()


async def _next(events: AsyncGenerator[Recorded, None]) -> Recorded:
    return await anext(events)


def _read_here(folder: Path, after: int) -> Iterator[Recorded]:
    from release_management.runtime.records import read_log

    try:
        with _log_here(folder) as log:
            yield from read_log(log, after, follow=False)
    except LogUnavailableError as error:
        raise UnavailableError(str(error)) from error


def _log_here(folder: Path) -> "contextlib.closing[EventLog]":
    # Imported here: a client that only uses the bus need not load the stores.
    from release_management.domain.registry import Registry
    from release_management.runtime.data_directory import DataDirectory

    return contextlib.closing(DataDirectory.at(folder).open_log(Registry()))
