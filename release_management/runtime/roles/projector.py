"""The projector as a role: it folds the log into the read models, and answers queries from them."""

import asyncio
import contextlib
from typing import Any

from release_management.adapters.nats.access.senders import ANYBODY
from release_management.adapters.nats.requests.look_service import LookService
from release_management.adapters.nats.requests.queries import QueryService
from release_management.adapters.read_model import TROUBLE, ReadModelError
from release_management.domain.registry import Registry
from release_management.runtime.data_directory import DataDirectory
from release_management.runtime.patient_reading import WaitingReadSide
from release_management.runtime.reading import ReadSide
from release_management.runtime.roles.kit.bus import on_bus, with_doors
from release_management.runtime.roles.kit.health import Health
from release_management.runtime.roles.kit.lanes import look_at_lanes
from release_management.runtime.roles.kit.store import on_store
from release_management.runtime.roles.kit.transient_errors import line
from release_management.services import telemetry
from release_management.services.paging.pages import Page
from release_management.services.ports import EventLog, LogUnavailableError
from release_management.services.ports.bus import NotAnsweredNow
from release_management.services.threads import in_thread

LOOK_SECONDS = 1.0
HANG_SECONDS = 0.5
"""Seconds between checks, while a query has no answer yet, that the store answers at all."""
FAR_BEHIND = 1_000
"""The number of records behind the log's end from which on a projection is a warning."""


class ProjectorRole:
    """Several may serve: they share the queries; of two that fold the same page only one commits."""

    def __init__(self, home: DataDirectory, health: Health) -> None:
        self._home = home
        self._health = health

    async def serve(self) -> None:
        """Serve until cancelled."""
        async with contextlib.AsyncExitStack() as stack:
            log = await asyncio.to_thread(self._home.open_log, Registry())
            stack.callback(log.close)
            await stack.enter_async_context(on_store(log, self._health))
            keyring = await asyncio.to_thread(self._home.open_keyring)
            stack.callback(keyring.close)
            reading = await asyncio.to_thread(ReadSide, self._home, log, keyring)
            stack.push_async_callback(asyncio.to_thread, reading.close)
            await QueryAnswering(self._home, log, reading, self._health).serve()


class QueryAnswering:
    """Answers the queries of the bus from an opened reading side."""

    def __init__(self, home: DataDirectory, log: EventLog, reading: ReadSide, health: Health) -> None:
        self._home = home
        self._log = log
        self._reading = reading
        self._patient = WaitingReadSide(reading, log)
        self._health = health

    async def serve(self) -> None:
        """Answer until cancelled. Raises the error that has ended the folding: stale rows must not be served on."""
        reading = self._reading
        async with (
            on_bus(self._home, "projector", self._health) as connection,
            with_doors(self._home, "projector", (ANYBODY,), self._health) as doors,
        ):
            service = QueryService(connection, self._answer, doors)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(service.run())
                looks = LookService(connection, reading.looks)
                tasks.create_task(looks.run())
                await service.ready.wait()
                await looks.ready.wait()
                self._health.set_status("active")
                while reading.failure is None:
                    await in_thread(_look, reading, self._log, self._health)
                    look_at_lanes(service.pressure, self._health)
                    await asyncio.sleep(LOOK_SECONDS)
                raise reading.failure

    async def _answer(self, name: str, params: dict[str, Any], after: int) -> Page:
        with telemetry.QUERY_SECONDS.time():
            asking = asyncio.ensure_future(self._patient.ask(name, params, after))
            try:
                while not (await asyncio.wait([asking], timeout=HANG_SECONDS))[0]:
                    for part, name in (("log", "store"), ("read models", "projector")):
                        if (silence := self._health.trouble_of(part)) is not None:
                            raise NotAnsweredNow(f"the {name} cannot be used now ({silence})")
                return asking.result()
            except (LogUnavailableError, *TROUBLE) as error:
                raise NotAnsweredNow(f"the store cannot be used now ({line(str(error))})") from error
            finally:
                asking.cancel()
                asking.add_done_callback(lambda ended: ended.cancelled() or ended.exception())


def _look(reading: ReadSide, log: EventLog, health: Health) -> None:
    health.show("writing", reading.projector.trouble)
    try:
        end = log.last_position()
    except LogUnavailableError:
        return  # `watch_store` reports it, and callers are told
    telemetry.LOG_POSITION.set(end)
    try:
        statuses = reading.statuses()
    except ReadModelError as error:
        health.trouble("read models", str(error))
        return
    health.clear("read models")
    for each in statuses:
        behind = end - each.position
        telemetry.PROJECTION_POSITION.labels(each.name).set(each.position)
        telemetry.PROJECTION_LAG.labels(each.name).set(behind)
        telemetry.PROJECTION_PARKED.labels(each.name).set(each.parked)
        health.details[each.name] = {"position": each.position, "behind": behind, "parked": each.parked}
        part = f"projection {each.name}"
        if each.parked:
            health.warn(part, f"{each.parked:,} events are set aside; see: relman projections list --parked")
        elif behind > FAR_BEHIND:
            health.warn(part, f"it is {behind:,} records behind the log")
        else:
            health.clear(part)
