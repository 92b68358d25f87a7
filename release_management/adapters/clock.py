"""The machine's clock, and ids that sort by time."""

from datetime import UTC, datetime

import uuid_utils


class SystemClock:
    """The machine's clock, UTC."""

    def now(self) -> datetime:
        """The time."""
        return datetime.now(UTC)


def new_id() -> str:
    """A new UUID version 7 (RFC 9562): unique, and sorting by time."""
    return str(uuid_utils.uuid7())
