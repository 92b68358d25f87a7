"""The reading side: projections kept up with the log, and queries answered from them."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from release_management.adapters.executors.catalog import settings_checks
from release_management.adapters.read_model import (
    NotAnsweringError,
    NotCaughtUpError,
    Projector,
    ReadModelError,
    ReadStore,
)
from release_management.adapters.system.clock import SystemClock
from release_management.domain.registry import Registry
from release_management.projections.kit.paging import CursorError, RowGroup
from release_management.projections.kit.status import ProjectionStatus
from release_management.runtime.data_directory import DataDirectory
from release_management.services.observations import shown
from release_management.services.observations.looks import NewestLooks
from release_management.services.paging.cutting import cut
from release_management.services.paging.pages import Page
from release_management.services.ports import EventLog, Keyring
from release_management.services.ports.bus import NotAnsweredNow, QueryNotUnderstood
from release_management.services.sealing import reveal
from release_management.services.use_cases import preview

WAIT_SECONDS = 10.0
LOOK_SECONDS = 0.05
Row = dict[str, Any]


_SEEN = {"running": shown.slots, "conditions": shown.components}
"""The queries whose answers include present observations."""


class NotThereYet(NotAnsweredNow):
    """The projections have not reached the position within the given time."""


class ReadSide:
    """The projections on one folder, folded on a thread of their own."""

    def __init__(self, home: DataDirectory, log: EventLog, keyring: Keyring) -> None:
        self.projector = Projector(log, Registry(), home.read_models)
        self._store = ReadStore(home.read_models)
        self._log = log
        self._preview = preview.Preview(log, SystemClock(), settings_checks)
        self._keyring = keyring
        self.looks = NewestLooks(SystemClock())
        """Empty if nobody feeds it: the present condition is unknown then."""
        self._stop = threading.Event()
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._fold, name="projector", daemon=True)
        self._thread.start()

    def _fold(self) -> None:
        try:
            self.projector.run(self._stop)
        except Exception as error:
            self.failure = error

    def ask(self, name: str, params: dict[str, Any], after: int, timeout: float = WAIT_SECONDS) -> Page:
        """Return a page of a query's rows once its projections have reached `after`, with names for ids, and texts
        unsealed.

        Raises `QueryNotUnderstood`, with the reason, if there is no such answer; `NotThereYet` after `timeout` seconds.
        """
        if name == preview.NAME:
            return Page([reveal(self._preview.ask(params, after), self._keyring)])
        try:
            found = self._store.page(name, params, after, timeout)
        except NotCaughtUpError as error:
            raise NotThereYet(str(error)) from None
        except NotAnsweringError as error:
            raise NotAnsweredNow(str(error)) from None
        except ReadModelError as error:
            raise QueryNotUnderstood(str(error), code=error.code) from None
        if name == "projections":
            end = self._log.last_position()
            for row in (row for group in found.groups for row in group.rows):
                row["lag"] = max(0, end - row["position"])
        elif name in _SEEN:
            found = replace(found, groups=self._seen(_SEEN[name], found.groups))
        try:
            return cut(found, lambda value: reveal(value, self._keyring))
        except CursorError as error:
            raise QueryNotUnderstood(f"query {name}: {error}", code=error.code) from None

    def _seen(self, show: Callable[[Iterable[Row], NewestLooks], list[Row]], groups: list[RowGroup]) -> list[RowGroup]:
        """Return the rows with the newest observations. Just after a start it waits for the first one."""
        shown_now = [RowGroup(group.key, show(group.rows, self.looks)) for group in groups]
        while self.looks.is_new and any(row["condition"] == "unknown" for group in shown_now for row in group.rows):
            time.sleep(LOOK_SECONDS)
            shown_now = [RowGroup(group.key, show(group.rows, self.looks)) for group in groups]
        return shown_now

    def statuses(self) -> list[ProjectionStatus]:
        """Return the status of each projection."""
        return self._store.statuses()

    def close(self) -> None:
        """Stop folding and close the database."""
        self._stop.set()
        self._thread.join()
        self._store.close()
        self.projector.close()
