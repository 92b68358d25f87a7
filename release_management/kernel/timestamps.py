"""Points in time, and time zones, as people state them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, StringConstraints

from release_management.kernel.record import timestamp

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)")


def utc(value: str) -> str:
    """Return the same time as in records: UTC, microseconds, `Z`. Raises `ValueError` for a malformed time."""
    try:
        if not _RFC3339.fullmatch(value):
            raise ValueError
        moment = datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{value!r} is no time with a zone; write RFC 3339, such as 2026-11-23T09:30:00.5Z") from None
    if moment.year < 1970:
        raise ValueError(f"{value!r} lies before 1970")
    return timestamp(moment)


def later(now: str, seconds: float) -> str:
    """The time so many seconds after `now`, which is a time as records have it."""
    return timestamp(datetime.fromisoformat(now) + timedelta(seconds=seconds))


def time_zone(name: str) -> str:
    """Return the name. Raises `ValueError` if this system knows no such zone."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise ValueError(f"{name!r} is no time zone; write an IANA name, such as Europe/Berlin or UTC") from None
    return name


Moment = Annotated[str, StringConstraints(max_length=40), AfterValidator(utc)]
Zone = Annotated[str, StringConstraints(max_length=64), AfterValidator(time_zone)]
