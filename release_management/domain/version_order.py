"""Sort keys of versions: texts that sort, by code point, in order of precedence."""

from semver import Version

from release_management.domain.versions import (
    DEFAULT,
    Scheme,
    calendar_key,
    without_v,
)

_END = " "
"""Sorts before any character of a version."""
_NO_PRERELEASE = "~"
"""Sorts after any character of a version: a release comes after its own pre-releases."""


def order_key(version: str, scheme: Scheme = DEFAULT) -> str | None:
    """Return a text that sorts as the scheme orders versions; None for versions ordered by creation alone.

    A leading `v` does not count. Semantic versions are ordered as SemVer 2 §11 says, without build metadata.
    """
    number = without_v(version)
    if scheme == "calendar" and (key := calendar_key(number)) is not None:
        parts, modifier = key
        return "".join(_number(str(part)) for part in parts) + _END + modifier
    if scheme != "semver" or not Version.is_valid(number):
        return None
    parsed = Version.parse(number)
    numbers = "".join(_number(str(number)) for number in (parsed.major, parsed.minor, parsed.patch))
    if parsed.prerelease is None:
        return numbers + _NO_PRERELEASE
    return numbers + "".join(_identifier(text) for text in parsed.prerelease.split(".")) + _END


def older(version: str, than: str, scheme: Scheme = DEFAULT) -> bool | None:
    """Return True if one version comes before the other; None if only their creation tells."""
    one, other = order_key(version, scheme), order_key(than, scheme)
    return None if one is None or other is None else one < other


def _identifier(text: str) -> str:
    """Return the sort key of an identifier: numbers come before words, a word before its extensions."""
    return f"0{_number(text)}" if text.isdigit() else f"1{text}!"


def _number(digits: str) -> str:
    """Return the sort key of a number: longer numbers are greater."""
    return f"{len(digits):03d}{digits}"
