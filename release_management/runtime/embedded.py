"""The installation of the process that owns its folder: every role runs in this process."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from sqlalchemy.exc import DatabaseError

from release_management.adapters.nats.client import NotReachableError, UnavailableError
from release_management.adapters.nats.dead_letters.model import OpenedLetter, Replay
from release_management.adapters.nats.embedded.server import NatsServer
from release_management.adapters.read_model import (
    TROUBLE,
    Progress,
    Unparked,
)
from release_management.adapters.system.folder_lock import FolderLock
from release_management.kernel.errors import ErrorCode
from release_management.kernel.record import Recorded
from release_management.runtime.data_directory import DataDirectory
from release_management.runtime.gateway_host import GatewayHost
from release_management.runtime.loop_thread import LoopThread
from release_management.runtime.reading import ReadSide
from release_management.runtime.records import read_log
from release_management.runtime.remote import RemoteInstallation
from release_management.runtime.roles.all_in_one import AllInOne
from release_management.runtime.roles.kit.health import Health
from release_management.runtime.roles.kit.transient_errors import (
    damaged,
    is_damage,
    keep_serving,
)
from release_management.runtime.roles.projector import QueryAnswering
from release_management.services.envelope import CommandEnvelope, Outcome
from release_management.services.paging.pages import Page
from release_management.services.ports import LogUnavailableError
from release_management.services.ports.bus import NotAnsweredNow
from release_management.services.use_cases import declaration

START_SECONDS = 30.0


class EmbeddedInstallation:
    """Holds the folder's lock; decides and folds in this process, and starts the other roles when they are needed.

    With `may_start` False it never starts them, and says so instead. It releases `lock` when it is closed. Its threads
    live in the process that opened it only; in a fork it refuses every call, and closes nothing.
    """

    verifies_user = True

    def __init__(self, home: DataDirectory, lock: FolderLock, *, may_start: bool) -> None:
        self._lock = lock
        self._process = os.getpid()
        with contextlib.ExitStack() as opened:
            opened.callback(lock.release)
            self._core = opened.enter_context(GatewayHost(home))
            try:
                self._reading = ReadSide(home, self._core.log, self._core.keyring)
            except Exception as error:
                if is_damage(error):
                    raise NotReachableError(damaged(home.read_models), code=ErrorCode.UNUSABLE) from error
                raise
            opened.pop_all()
        self._may_start = may_start
        self._starting = threading.Lock()
        self._server: NatsServer | None = None
        self._loop: LoopThread | None = None
        self._serving: list[Future[None]] = []

    def ask(self, envelope: CommandEnvelope) -> Outcome:
        """Decide the command here."""
        self._refuse_in_fork()
        if declaration(envelope.command).NEEDS_WORKERS:
            self.start_workers()
        return self._core.answer(envelope)

    def page(self, name: str, params: dict[str, Any], after: int = 0) -> Page:
        """Query the projections here, which first fold the whole log.

        Raises `UnavailableError` if the store cannot be used now, `NotReachableError` if the read models' file is
        damaged.
        """
        self._refuse_in_fork()
        try:
            return self._page(name, params, after)
        except DatabaseError as error:
            if is_damage(error):
                raise NotReachableError(damaged(self._core.home.read_models), code=ErrorCode.UNUSABLE) from error
            raise

    def _page(self, name: str, params: dict[str, Any], after: int) -> Page:
        try:
            self._reading.projector.catch_up()
            return self._reading.ask(name, params, after)
        except (LogUnavailableError, NotAnsweredNow) as error:
            raise UnavailableError(str(error)) from error
        except TROUBLE as error:
            raise UnavailableError(f"the read models cannot be used now ({error.orig}); try again later") from error

    def start_workers(self) -> None:
        """Start bus, relay, orchestrator, timers and executor in this process, or check that they still run.

        Raises the error that has ended them.
        """
        self._refuse_in_fork()
        if not self._may_start:
            raise NotReachableError(f"nothing runs in {self._core.home.folder}; start it with: relman up")
        with self._starting:
            if self._loop is not None:
                self._look_after()
                return
            try:
                self._start_all_in_one()
            except BaseException:
                self._end_all_in_one()
                raise

    def _start_all_in_one(self) -> None:
        self._server = NatsServer(self._core.home.folder)
        self._server.start()
        self._loop = LoopThread("road")
        moving, answering = Health("road"), Health("projector")
        queries = QueryAnswering(self._core.home, self._core.log, self._reading, answering)
        self._serving = [
            self._loop.start(AllInOne(self._core, moving).serve()),
            self._loop.start(keep_serving(queries.serve, answering)),
        ]
        deadline = time.monotonic() + START_SECONDS
        while not (moving.ready and answering.ready) and self._core.trouble is None:
            self._raise_what_ended()
            if time.monotonic() > deadline:
                troubles = [
                    trouble["says"] for health in (moving, answering) for trouble in health.document()["troubles"]
                ]
                raise NotReachableError(
                    "; ".join([f"the workers did not start within {START_SECONDS:g} s", *dict.fromkeys(troubles)])
                )
            time.sleep(0.005)

    def _end_all_in_one(self) -> None:
        if self._loop is not None:
            self._loop.close()
        if self._server is not None:
            self._server.stop()
        self._loop, self._server, self._serving = None, None, []

    def _refuse_in_fork(self) -> None:
        if self._process != os.getpid():
            raise NotReachableError(
                f"this ReleaseManager belongs to process {self._process}; make another one after a fork"
            )

    def _look_after(self) -> None:
        self._raise_what_ended()
        assert self._server is not None
        if not self._server.alive or self._server.is_stuck():
            address = self._server.url
            self._server.stop()
            self._server.start()
            if self._server.url != address:
                raise NotReachableError("the message bus died and its port was taken meanwhile; start again")

    def _raise_what_ended(self) -> None:
        for future in self._serving:
            if future.done():
                future.result()

    def letters_page(self, params: dict[str, Any]) -> Page:
        """Request the page over the bus, starting it if need be."""
        with self._own_client() as client:
            return client.letters_page(params)

    def dead_letter(self, id: int) -> OpenedLetter | None:
        """Request the letter over the bus, starting it if need be."""
        with self._own_client() as client:
            return client.dead_letter(id)

    def replay_dead_letters(self, ids: Sequence[int]) -> list[Replay]:
        """Request the replay over the bus, starting it if need be."""
        with self._own_client() as client:
            return client.replay_dead_letters(ids)

    def _own_client(self) -> contextlib.closing[RemoteInstallation]:
        self.start_workers()
        assert self._server is not None
        return contextlib.closing(RemoteInstallation(self._server.url))

    def records(self, after: int, *, follow: bool) -> Iterator[Recorded]:
        """Read the log."""
        try:
            yield from read_log(self._core.log, after, follow=follow)
        except LogUnavailableError as error:
            raise UnavailableError(str(error)) from error

    def content(self, dataref: str) -> bytes:
        """Read the content from the log."""
        return self._core.log.content(dataref)

    def rebuild(self, projection: str | None, progress: Progress | None = None) -> None:
        """Rebuild beside the old rows, and swap."""
        self._reading.projector.rebuild(projection, progress)

    def unpark(self, projection: str, stream: str | None) -> Unparked:
        """Fold the parked events here."""
        return self._reading.projector.unpark(projection, stream)

    def close(self) -> None:
        """End the workers, the bus and the deployed processes; then the projections, the gateway, the lock."""
        if self._process != os.getpid():
            return
        self._end_all_in_one()
        self._reading.close()
        self._core.close()
        self._lock.release()
