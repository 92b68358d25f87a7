"""The reading side: projections kept up with the log, and queries answered over the bus."""

import asyncio
import contextlib
import threading
from pathlib import Path
from typing import Any, cast

from pydantic import JsonValue

from release_management.adapters.nats.connection import AWAY, connect, until_closed
from release_management.adapters.nats.queries import QueryService
from release_management.adapters.read_model import Projector, ReadModelError, ReadStore
from release_management.adapters.stack.home import Home
from release_management.domain.registry import Registry
from release_management.services.bus import QueryNotUnderstood
from release_management.services.ports import EventLog, Keyring
from release_management.services.sealing import reveal

LOOK_SECONDS = 0.5


class Reading:
    """The projections on one folder, folded on a thread of their own."""

    def __init__(self, home: Home, log: EventLog, keyring: Keyring) -> None:
        self.projector = Projector(log, Registry(), home.read_model)
        self._store = ReadStore(home.read_model)
        self._keyring = keyring
        self._stop = threading.Event()
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._fold, name="projector", daemon=True)
        self._thread.start()

    def _fold(self) -> None:
        try:
            self.projector.run(self._stop)
        except Exception as error:
            self.failure = error

    def ask(self, name: str, params: dict[str, Any], after: int) -> list[dict[str, Any]]:
        """A query's rows once the log was folded up to `after`, for people: names for ids, texts opened.

        Raises `QueryNotUnderstood` where there is no such answer, with the reason.
        """
        try:
            rows = self._store.ask(name, params, after)
        except ReadModelError as error:
            raise QueryNotUnderstood(str(error)) from None
        return cast(list[dict[str, Any]], reveal(rows, self._keyring))

    def close(self) -> None:
        """Stop folding and release the file."""
        self._stop.set()
        self._thread.join()
        self._store.close()
        self.projector.close()


class QueryRole:
    """Answers queries over the bus. `ready` is set once it does."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self.ready = asyncio.Event()

    async def serve(self, url: str) -> None:
        """Serve until cancelled."""
        connection = await connect(url, "relman projector")
        service = QueryService(connection, self._answer)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(service.run())
                tasks.create_task(until_closed(connection))
                tasks.create_task(self._until_folding_fails())
                await service.ready.wait()
                self.ready.set()
        finally:
            with contextlib.suppress(*AWAY):
                await connection.close()

    async def _until_folding_fails(self) -> None:
        """A role whose rows stand still must not go on answering."""
        while self._reading.failure is None:
            await asyncio.sleep(LOOK_SECONDS)
        raise self._reading.failure

    async def _answer(self, name: str, params: dict[str, Any], after: int) -> JsonValue:
        return cast(JsonValue, await asyncio.to_thread(self._reading.ask, name, params, after))


def open_reading(folder: Path) -> Reading:
    """The reading side of a folder whose log is written by another process."""
    home = Home(folder)
    return Reading(home, home.open_log(Registry()), home.open_keyring())
