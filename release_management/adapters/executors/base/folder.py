"""The durable state of an executor for each component, beside the target.

The folder `<data>/targets/<environment>/<application>/<target>/<component>/` holds the executor's state (one file,
which the holder of `lock` replaces atomically, and flushes) and its logs. It contains references to secrets, never
their values.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from release_management.adapters.executors.base.lock import exclusive
from release_management.adapters.system.error_paths import naming
from release_management.domain.orders import Order, Report
from release_management.kernel.types import explain

KEPT_REPORTS = 50


class Kept(BaseModel):
    """A part of a state file; unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", strict=True)


class StoredReport(Kept):
    """A report that was returned, and the order that it answers."""

    deployment: str
    leg: str
    step: int
    attempt: int
    fence: int
    report: str

    def answers(self, order: Order) -> bool:
        """Return True if this is the report of that very order."""
        return (self.deployment, self.leg, self.step, self.attempt, self.fence) == (
            order.deployment,
            order.leg,
            order.step,
            order.attempt,
            order.fence,
        )


class TargetState(Kept):
    """The highest fence that the component has seen, and the newest reports.

    `begun` is the highest fence of an order that was begun: its checks had passed, and it may have had effects.
    """

    fence: int = 0
    begun: int = 0
    answers: list[StoredReport] = []

    def report_of(self, order: Order) -> Report | None:
        """Return the report of that very order, or None."""
        match = next((entry for entry in self.answers if entry.answers(order)), None)
        return Report.model_validate_json(match.report) if match is not None else None

    def keep(self, report: Report) -> None:
        """Store a report, and drop the oldest beyond `KEPT_REPORTS`."""
        answer = StoredReport(
            deployment=report.deployment,
            leg=report.leg,
            step=report.step,
            attempt=report.attempt,
            fence=report.fence,
            report=report.model_dump_json(),
        )
        self.answers = [*self.answers, answer][-KEPT_REPORTS:]


S = TypeVar("S", bound=TargetState)


class TargetFolder(ABC, Generic[S]):
    """A component's folder. Reading needs no lock: the state is replaced as a whole."""

    FILE: ClassVar[str]

    def __init__(self, path: Path) -> None:
        self.path = path
        self._state = path / self.FILE

    @classmethod
    def of(cls, data: Path, order: Order) -> Self:
        """Return the folder of an order's component, creating it if it is missing."""
        path = data / "targets" / order.environment / order.application / order.target / order.component
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cls(path)

    @classmethod
    def all(cls, data: Path) -> list[Self]:
        """Return the folder of every component under `data` that this executor has had an order for."""
        return [cls(state.parent) for state in sorted((data / "targets").glob(f"*/*/*/*/{cls.FILE}"))]

    @property
    def data(self) -> Path:
        """The executor's folder, which contains the folders of all components."""
        return self.path.parents[4]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock for one critical section. Raises `LockHeld`."""
        with exclusive(self.path / "lock"):
            yield

    def load(self) -> S:
        """Return the state as it was last saved, or a new one. Raises `OSError`, `ValueError`."""
        try:
            return self._parse(self._state.read_bytes())
        except FileNotFoundError:
            return self._new()
        except ValidationError as error:
            reason = f"perhaps because a newer version wrote it: {explain(error)}"
            raise ValueError(f"{self._state} cannot be read, {reason}") from None

    def save(self, state: S) -> None:
        """Replace the state, durably. The caller holds the lock. Raises `OSError`."""
        fresh = self._state.with_name(f"{self.FILE}.new")
        with naming(fresh), open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(state.model_dump_json().encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, self._state)
        directory = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def log(self, name: str) -> Path:
        """Return the path of a log file."""
        return self.path / f"{name}.log"

    @abstractmethod
    def _parse(self, raw: bytes) -> S: ...

    @abstractmethod
    def _new(self) -> S: ...
