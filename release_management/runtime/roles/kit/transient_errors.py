"""Retry transient errors; let permanent ones end the role."""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import NoReturn

from sqlalchemy.exc import DBAPIError, OperationalError

from release_management.runtime.roles.kit.health import Health
from release_management.services.ports import DeposedError, LogUnavailableError
from release_management.services.ports.bus import BusError

PASSING = (LogUnavailableError, BusError, DeposedError, OperationalError)
"""The transient errors."""
DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
"""SQLite's error codes for a file that is no database, or is damaged."""
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 2.0


async def keep_serving(serve: Callable[[], Awaitable[None]], health: Health) -> NoReturn:
    """Call `serve` again whenever a transient error ended it, which the health shows meanwhile; until cancelled.

    Raises all other errors.
    """
    pause = FIRST_PAUSE_SECONDS
    while True:
        began = time.monotonic()
        try:
            await serve()
        except Exception as error:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                # An error that comes while a group is cancelled takes the place of the cancellation.
                raise asyncio.CancelledError from error
            found = list(causes(error))
            if not all(isinstance(each, PASSING) for each in found) or any(is_damage(each) for each in found):
                raise
            health.set_status("starting")
            health.trouble("serving", "; ".join(dict.fromkeys(line(str(each)) for each in found)))
        pause = FIRST_PAUSE_SECONDS if time.monotonic() - began > LONGEST_PAUSE_SECONDS else 2 * pause
        await asyncio.sleep(min(pause, LONGEST_PAUSE_SECONDS))


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors in a group, or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from causes(each)
    else:
        yield error


def damaged(made: object) -> str:
    """Return the sentence on a damaged file, or database, that can be rebuilt from the log."""
    return f"{made} is damaged: remove it; it is built again"


def is_damage(error: BaseException) -> bool:
    """Return True if the error means that a file of SQLite is damaged."""
    file = error.orig if isinstance(error, DBAPIError) else error
    return isinstance(file, sqlite3.DatabaseError) and getattr(file, "sqlite_errorcode", None) in DAMAGED


def line(text: str) -> str:
    """Return the text as one line."""
    return " ".join(text.split())
