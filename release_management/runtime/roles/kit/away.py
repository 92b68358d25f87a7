"""Answer "busy" for a role that runs but cannot serve, since its store is away."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import NoReturn

import structlog

from release_management.adapters.nats.connection import connect
from release_management.adapters.nats.requests.away import AwayAnswers
from release_management.adapters.nats.wire.error_mapping import AWAY
from release_management.runtime.data_directory import DataDirectory
from release_management.runtime.roles.kit.health import Health
from release_management.services.ports.bus import BusError

LOOK_SECONDS = 0.1
AGAIN_SECONDS = 1.0

_log = structlog.get_logger(__name__)


@contextlib.asynccontextmanager
async def answering_while_away(home: DataDirectory, user: str | None, health: Health) -> AsyncIterator[None]:
    """Answer busy as this user of the bus whenever the role is not serving, for as long as the body takes.

    The answer says the reason. No user: nobody asks this role.
    """
    task = asyncio.create_task(_answer(home, user, health)) if user is not None else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def _answer(home: DataDirectory, user: str, health: Health) -> NoReturn:
    while True:
        if _reason(health) is not None and (url := home.bus_url(user)) is not None:
            try:
                await _answer_until_it_serves(url, user, health)
            except (BusError, *AWAY):
                await asyncio.sleep(AGAIN_SECONDS)  # the bus is away, too; callers notice that themselves
            except Exception:
                _log.exception("nobody is told that this role is away; it is tried again", role=health.role)
                await asyncio.sleep(AGAIN_SECONDS)
        await asyncio.sleep(LOOK_SECONDS)


async def _answer_until_it_serves(url: str, user: str, health: Health) -> None:
    connection = await connect(url, f"relman {health.role}, waiting")
    answers = AwayAnswers(connection, of_gateway=user == "gateway", reason=lambda: _reason(health))
    serving = asyncio.create_task(answers.run())
    try:
        while _reason(health) is not None and not serving.done():
            await asyncio.wait([serving], timeout=LOOK_SECONDS)
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        with contextlib.suppress(*AWAY):
            await connection.close()


def _reason(health: Health) -> str | None:
    """Return why the role does not serve; None if it does, or is starting."""
    sentence = health.trouble_of("serving")
    if health.ready or sentence is None:
        return None
    return f"nothing can be answered now; try again later ({sentence})"
