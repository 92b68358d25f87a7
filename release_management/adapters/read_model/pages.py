"""What a projector reads of the log at a time."""

from release_management.kernel.record import Recorded
from release_management.services.ports import EventLog

PAGE = 4_000
"""Records that are folded and committed together: a row that many of them touch is read and written once."""
PAGE_BYTES = 4_000_000
AT_ONCE = 500
"""Records that the log is asked for in one question."""


def page_after(log: EventLog, position: int, limit: int = PAGE) -> tuple[Recorded | None, list[Recorded]]:
    """The record at a position, None where there is none, and those that follow.

    They are at most `limit`, and fewer where they are long: once they have `PAGE_BYTES`, no more are read.
    """
    read = log.read(max(position - 1, 0), min(limit, AT_ONCE) + (position > 0))
    last, page = (read[0] if read else None, read[1:]) if position else (None, read)
    found, size = page, 0
    while len(found) == AT_ONCE and len(page) < limit:
        size += sum(len(it.record) for it in found)
        if size >= PAGE_BYTES:
            break
        found = log.read(position + len(page), min(limit - len(page), AT_ONCE))
        page = [*page, *found]
    return last, page
