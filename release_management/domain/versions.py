"""The numbering schemes of applications: semantic versions unless an application states another.

A leading `v` is kept as it was written, and makes no other version: `v1.0.0` and `1.0.0` are one.
"""

import re
from datetime import date
from typing import Literal

from semver import Version as Semantic

Scheme = Literal["semver", "calendar", "any"]
"""*semver*: SemVer 2. *calendar*: a year first, see `calendar_key`. *any*: any text, ordered by creation."""
DEFAULT: Scheme = "semver"
_CALENDAR = re.compile(r"(\d{4}|\d{2})((?:[.-]\d{1,8}){1,4})(?:-([A-Za-z][0-9A-Za-z.]{0,40}))?")
_DAY = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:-.*)?")
_NO_MODIFIER = "~"
"""Sorts after every modifier: `2026.11-rc1` comes before `2026.11`."""


def check(scheme: Scheme, version: str) -> None:
    """Raise `ValueError`, with an example, if this is no version of the scheme."""
    number = without_v(version)
    if scheme == "semver" and not Semantic.is_valid(number):
        raise ValueError(
            f"{version[:80]!r} is no semantic version; write MAJOR.MINOR.PATCH, such as 1.4.0 or 2.0.0-rc.1, or have "
            "the application take other versions: relman release versions APP calendar (or any)"
        )
    if scheme == "calendar" and calendar_key(number) is None:
        raise ValueError(
            f"{version[:80]!r} is no calendar version; write a year and numbers behind it, such as 2026.11, 24.04.1, "
            "2026-11-30 or 2026.11.2-rc1"
        )


def without_v(version: str) -> str:
    """Return the version without a `v` before its first digit."""
    return version[1:] if re.match(r"v\d", version) else version


def twin(version: str) -> str | None:
    """Return the other spelling of the same version: with a `v`, or without; None if there is none."""
    if not re.match(r"v?\d", version):
        return None
    return version[1:] if version.startswith("v") else f"v{version}"


def calendar_key(version: str) -> tuple[tuple[int, ...], str] | None:
    """Return the sort key of a calendar version; None if it is none.

    A year of four digits, or of two (of this century), then one to four numbers after points or dashes, and perhaps a
    dash and a modifier that begins with a letter. The numbers count from left to right, and a version with more of them
    comes later; a modifier comes before the version without it. A version in the form of a day must be a valid one.
    """
    found = _CALENDAR.fullmatch(version)
    if found is None or not _is_day_if_written_so(version):
        return None
    year, rest, modifier = found.groups()
    numbers = [int(part) for part in re.split("[.-]", rest[1:])]
    return (int(year) if len(year) == 4 else 2000 + int(year), *numbers), modifier or _NO_MODIFIER


def _is_day_if_written_so(version: str) -> bool:
    found = _DAY.fullmatch(version)
    if found is None:
        return True
    try:
        date(*(int(part) for part in found.groups()))
    except ValueError:
        return False
    return True
