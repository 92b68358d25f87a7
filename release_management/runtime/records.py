"""Read the log's records one after the other."""

from collections.abc import Iterator

from release_management.kernel.record import Recorded
from release_management.services.ports import EventLog


def read_log(log: EventLog, after: int, *, follow: bool) -> Iterator[Recorded]:
    """Yield the log's records above a position, page by page; with `follow`, also those to come."""
    while True:
        page = log.read(after)
        yield from page
        if page:
            after = page[-1].position
        elif not follow:
            return
        else:
            log.wait(after, 1.0)
