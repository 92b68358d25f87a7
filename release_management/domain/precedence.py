"""Versions as texts that sort in their order of precedence, by code point."""

from semver import Version

_END = " "
"""Sorts before everything that stands in a version."""
_NO_PRERELEASE = "~"
"""Sorts after everything that stands in a version: a release comes after its own pre-releases."""


def order_key(version: str) -> str | None:
    """A text that sorts as SemVer 2 §11 orders versions; None for what is no semantic version.

    Build metadata do not count.
    """
    if not Version.is_valid(version):
        return None
    parsed = Version.parse(version)
    numbers = "".join(_number(str(number)) for number in (parsed.major, parsed.minor, parsed.patch))
    if parsed.prerelease is None:
        return numbers + _NO_PRERELEASE
    return numbers + "".join(_identifier(text) for text in parsed.prerelease.split(".")) + _END


def _identifier(text: str) -> str:
    """Numbers come before words; a shorter word comes before what it begins."""
    return f"0{_number(text)}" if text.isdigit() else f"1{text}!"


def _number(digits: str) -> str:
    """Longer numbers are greater."""
    return f"{len(digits):03d}{digits}"
