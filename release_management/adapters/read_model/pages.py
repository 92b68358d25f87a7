"""Read the log in pages for a projector."""

from release_management.kernel.record import Recorded
from release_management.services.ports import EventLog

PAGE = 4_000
"""Records that are folded and committed together: a row that many of them touch is read and written once."""
PAGE_BYTES = 4_000_000
AT_ONCE = 500
"""Records that one read of the log returns."""


def page_after(log: EventLog, position: int, limit: int = PAGE) -> tuple[Recorded | None, list[Recorded]]:
    """Return the record at a position, or None, and the records that follow.

    They are at most `limit`, and fewer if they are long: reading stops after `PAGE_BYTES`.
    """
    read = log.read(max(position - 1, 0), min(limit, AT_ONCE) + (position > 0))
    last, page = (read[0] if read else None, read[1:]) if position else (None, read)
    found, size = page, 0
    while len(found) == AT_ONCE and len(page) < limit:
        size += sum(len(record.record) for record in found)
        if size >= PAGE_BYTES:
            break
        found = log.read(position + len(page), min(limit - len(page), AT_ONCE))
        page = [*page, *found]
    return last, page
