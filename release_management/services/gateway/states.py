"""The streams' folded states: cached, else read from the log, from the newest snapshot on if there is one.

A cached state may be stale. A decision names the version that it saw, and the log refuses it if that has moved.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import structlog

from release_management.domain.aggregates import fold
from release_management.domain.registry import Registry
from release_management.kernel.record import Recorded
from release_management.services.gateway import snapshots
from release_management.services.ports import (
    EventLog,
    NewRecord,
    Snapshot,
)

CACHED_STREAMS = 10_000
SNAPSHOT_EVERY = 100
"""Versions of a stream from one snapshot to the next, at least: loading it cold folds about as many."""
SNAPSHOT_BYTES = 500
"""A larger snapshot is due less often: one version later for so many of its bytes."""
log = structlog.get_logger()

Folded = tuple[int, Any]
"""A stream's version and its state there."""


class States:
    """The known states of streams. One thread at a time."""

    def __init__(self, event_log: EventLog, registry: Registry) -> None:
        self._log = event_log
        self._registry = registry
        self._cache: OrderedDict[str, Folded] = OrderedDict()
        self._first: dict[str, int] = {}
        self._due: dict[str, int] = {}
        """The version at which a stream's next snapshot is due."""

    def load(self, stream: str) -> Folded:
        """Return the stream's version and state. Raises `LogUnavailableError`."""
        if stream in self._cache:
            self._cache.move_to_end(stream)
            return self._cache[stream]
        return self._read(stream)

    def first_position(self, stream: str) -> int | None:
        """Return the position of the stream's first record, or None. Raises `LogUnavailableError`."""
        if stream not in self._first:
            recorded = self._log.read_stream(stream)
            if not recorded:
                return None
            if len(self._first) >= CACHED_STREAMS:
                self._first.clear()
            self._first[stream] = recorded[0].position
        return self._first[stream]

    def remember(self, states: Mapping[str, Folded]) -> None:
        """Cache states that were stored."""
        for stream, folded in states.items():
            self._cache[stream] = folded
            self._cache.move_to_end(stream)
        while len(self._cache) > CACHED_STREAMS:
            stream, _ = self._cache.popitem(last=False)
            self._due.pop(stream, None)

    def forget(self, streams: Collection[str]) -> None:
        """Drop these streams from the cache."""
        for stream in streams:
            self._cache.pop(stream, None)

    def clear(self) -> None:
        """Drop everything from the cache."""
        self._cache.clear()
        self._first.clear()
        self._due.clear()

    def keep_snapshots(self, stored: Iterable[NewRecord]) -> None:
        """Store a snapshot of each cached stream that these records made long enough. Never raises."""
        for stream, record in {record.stream: record for record in stored}.items():
            version, state = self._cache.get(stream, (0, None))
            if version != record.version or version < self._due.get(stream, SNAPSHOT_EVERY):
                continue
            self._due[stream] = version + SNAPSHOT_EVERY
            try:
                taken = snapshots.take(stream, version, state, record.record)
                self._due[stream] = _next_due(taken)
                self._log.keep_snapshot(stream, taken)
            except Exception as error:
                log.warning(
                    f"a snapshot could not be kept; the next is due {SNAPSHOT_EVERY} versions later",
                    stream=stream,
                    version=version,
                    error=str(error),
                )

    def _read(self, stream: str) -> Folded:
        snapshot = self._log.snapshot(stream, snapshots.shape())
        if snapshot is not None:
            recorded = self._log.read_stream(stream, after=snapshot.version - 1)
            try:
                if recorded and hashlib.sha256(recorded[0].record).hexdigest() == snapshot.record:
                    state = snapshots.restore(stream, snapshot)
                    self._due[stream] = _next_due(snapshot)
                    return recorded[-1].version, self._fold(stream, recorded[1:], state)
            except ValueError as error:
                log.warning("a snapshot cannot be read", stream=stream, error=str(error))
        recorded = self._log.read_stream(stream)
        return (recorded[-1].version if recorded else 0), self._fold(stream, recorded)

    def _fold(self, stream: str, recorded: list[Recorded], state: Any = None) -> Any:
        facts = (event.fact for one in recorded for event in self._registry.read(one, self._log.content))
        return fold(stream, facts, state)


def _next_due(snapshot: Snapshot) -> int:
    """Return the next snapshot's version, such that large snapshots cost no more than the steps between them."""
    return snapshot.version + max(SNAPSHOT_EVERY, len(snapshot.state) // SNAPSHOT_BYTES)
