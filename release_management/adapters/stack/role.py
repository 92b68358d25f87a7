"""One role of `relman up` as a process: `python -m release_management.adapters.stack.role road|projector FOLDER`.

It prints `ready` once it serves, stops cleanly on SIGTERM, and dies with its parent: its standard input is a pipe that
the parent holds open.
"""

import asyncio
import os
import signal
import sqlite3
import sys
import threading
import traceback
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy.exc import DBAPIError

from release_management.adapters.event_store import EventStoreError, StoreUnavailableError
from release_management.adapters.keyring import KeyringError
from release_management.adapters.nats.server import NatsServerError
from release_management.adapters.read_model import ReadModelError
from release_management.adapters.stack.core import Core
from release_management.adapters.stack.home import Home
from release_management.adapters.stack.logs import log_everything
from release_management.adapters.stack.reading import QueryRole, open_reading
from release_management.adapters.stack.road import Road
from release_management.adapters.stack.words import FINAL, SENTENCE
from release_management.services.bus import BusError
from release_management.services.relay import RelayMismatchError

EXPECTED = (EventStoreError, KeyringError, NatsServerError, RelayMismatchError, ReadModelError, BusError)
"""What is said in one sentence; anything else is a mistake of ours, and shown with its traceback."""
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
"""What SQLite says of a file that is no database, or no longer a whole one."""


def main(role: str, folder: str) -> None:
    """Serve a role until told to stop. Where it gives up, its last line on standard error says why."""
    log_everything()
    try:
        _serve(role, folder)
    except Exception as error:
        causes = list(_causes(error))
        known = [(sentence, final) for each in causes for sentence, final in _explained(each, role, folder)]
        if len(known) < len(causes):
            traceback.print_exception(error)
        if not known:
            raise SystemExit(1) from None
        sentence, _ = known[0]
        print(SENTENCE + " ".join(sentence.split()), file=sys.stderr, flush=True)
        raise SystemExit(FINAL if any(final for _, final in known) else 1) from None


def _causes(error: Exception) -> Iterator[Exception]:
    if isinstance(error, ExceptionGroup):
        for each in error.exceptions:
            yield from _causes(each)
    else:
        yield error


def _explained(error: Exception, role: str, folder: str) -> Iterator[tuple[str, bool]]:
    """An expected error's sentence, and whether a new start cannot help; nothing for any other error."""
    file = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(file, sqlite3.DatabaseError) and getattr(file, "sqlite_errorcode", None) in DAMAGED:
        # The log and the keyring have words of their own: this is what the role has made of them.
        home = Home(Path(folder))
        yield f"{home.agenda if role == 'road' else home.read_model} is damaged: remove it; it is built again", True
    elif isinstance(error, EXPECTED):
        yield str(error), isinstance(error, EventStoreError) and not isinstance(error, StoreUnavailableError)


def _serve(role: str, folder: str) -> None:
    threading.Thread(target=_die_with_parent, daemon=True).start()
    path = Path(folder)
    url = Home(path).url()
    if url is None:
        raise SystemExit(f"{folder} has no message bus; start it with relman up")
    if role == "road":
        with Core(path) as core:
            road = Road(core)
            asyncio.run(_until_told(road.serve(url), road.ready))
    else:
        reading = open_reading(path)
        queries = QueryRole(reading)
        asyncio.run(_until_told(queries.serve(url), queries.ready))
        reading.close()


async def _until_told(serving: Coroutine[Any, Any, None], ready: asyncio.Event) -> None:
    task = asyncio.ensure_future(serving)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    waiting = asyncio.ensure_future(ready.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    if waiting.done():
        print("ready", flush=True)
    waiting.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return


def _die_with_parent() -> None:
    """Read until the parent is gone; then be gone too, as suddenly: what was deployed goes on running."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
