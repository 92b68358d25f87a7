"""What is read from a store's tables, checked before it is believed."""

from collections.abc import Sequence

from release_management.adapters.event_store.errors import CorruptRecordError, GapError
from release_management.adapters.event_store.index import agrees, read_index
from release_management.domain.record import Recorded

EventRow = tuple[int, str, int, str, bytes]
"""Position, stream, version, name, record."""

OPAQUE = 0
"""The schema version under which `kinds` lists records whose bytes nobody looked into."""


def page(rows: Sequence[EventRow], after: int) -> list[Recorded]:
    """Rows that follow a position. Raises `GapError` where one is missing, and `CorruptRecordError`."""
    for expected, row in enumerate(rows, after + 1):
        if row[0] != expected:
            raise GapError(f"position {expected}", expected, row[0])
    return [_recorded(row) for row in rows]


def stream_page(rows: Sequence[EventRow], stream: str, after: int) -> list[Recorded]:
    """Rows of a stream that follow a version. Raises as `page` does."""
    for expected, row in enumerate(rows, after + 1):
        if row[2] != expected:
            raise GapError(f"version {expected} of the stream {stream!r}", expected, row[2])
    return [_recorded(row) for row in rows]


def _recorded(row: EventRow) -> Recorded:
    position, stream, version, name, record = row
    if agrees(record, stream, version, name):
        return Recorded(position, stream, version, name, record)
    try:
        difference = read_index(record).disagreement(stream, version, name)
    except ValueError as error:
        difference = str(error)
    if difference is not None:
        raise CorruptRecordError(position, difference)
    return Recorded(position, stream, version, name, record)
