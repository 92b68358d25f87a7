"""The reading side: projections kept up with the log, and questions answered from them."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from release_management.adapters.read_model import (
    NotAnsweringError,
    NotCaughtUpError,
    Projector,
    ReadModelError,
    ReadStore,
)
from release_management.adapters.system.clock import SystemClock
from release_management.domain.registry import Registry
from release_management.projections.kit.paging import CursorError, Group
from release_management.projections.kit.status import ProjectionStatus
from release_management.runtime.data_directory import DataDirectory
from release_management.services.observations import shown
from release_management.services.observations.looks import NewestLooks
from release_management.services.paging.cutting import cut
from release_management.services.paging.pages import Page
from release_management.services.ports import EventLog, Keyring
from release_management.services.ports.bus import NotAnsweredNow, QueryNotUnderstood
from release_management.services.sealing import reveal

WAIT_SECONDS = 10.0
LOOK_SECONDS = 0.05
Row = dict[str, Any]


_SEEN = {"running": shown.slots, "conditions": shown.components}
"""The queries whose answers say how things are now."""


class NotThereYet(NotAnsweredNow):
    """The projections have not taken in the position within the time that was given."""


class ReadSide:
    """The projections on one folder, folded on a thread of their own."""

    def __init__(self, home: DataDirectory, log: EventLog, keyring: Keyring) -> None:
        self.projector = Projector(log, Registry(), home.read_models)
        self._store = ReadStore(home.read_models)
        self._log = log
        self._keyring = keyring
        self.looks = NewestLooks(SystemClock())
        """Empty where nobody takes them in: what runs is unknown then."""
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
        """A page of a query's rows once the log was folded up to `after`, for people: names for ids, texts opened.

        Raises `QueryNotUnderstood` where there is no such answer, with the reason; `NotThereYet` after `timeout`
        seconds.
        """
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

    def _seen(self, show: Callable[[Iterable[Row], NewestLooks], list[Row]], groups: list[Group]) -> list[Group]:
        """The rows with the newest looks. Just after a start the first look is waited for."""
        shown_now = [Group(group.key, show(group.rows, self.looks)) for group in groups]
        while self.looks.is_new and any(row["condition"] == "unknown" for group in shown_now for row in group.rows):
            time.sleep(LOOK_SECONDS)
            shown_now = [Group(group.key, show(group.rows, self.looks)) for group in groups]
        return shown_now

    def standing(self) -> list[ProjectionStatus]:
        """How far each projection has come."""
        return self._store.standing()

    def close(self) -> None:
        """Stop folding and release the file."""
        self._stop.set()
        self._thread.join()
        self._store.close()
        self.projector.close()
