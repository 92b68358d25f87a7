"""The numbering schemes of applications' releases."""

import pytest

from release_management.domain.version_order import older, order_key
from release_management.domain.versions import (
    Scheme,
    check,
    twin,
)
from release_management.kernel.types import plain_version


@pytest.mark.parametrize(
    ("scheme", "version"),
    [
        *(("semver", version) for version in ("1.4.0", "v1.4.0", "2.0.0-rc.1", "v2.0.0-rc.1+build.7")),
        *(("calendar", version) for version in ("2026.11", "v2026.11", "2026.11.30", "24.04.1", "2026-11-30")),
        *(("calendar", version) for version in ("2026.11.30-2", "2026.47", "2026.11.1234", "2026.11.2-rc1")),
        *(("any", version) for version in ("build-4711", "1.x", "v1", "2026_11", "R3+b", "0")),
    ],
)
def test_a_version_of_its_scheme_is_taken_as_it_is_written(scheme: Scheme, version: str) -> None:
    check(scheme, version)
    assert plain_version(version) == version


@pytest.mark.parametrize(
    ("scheme", "version", "reason"),
    [
        ("semver", "1.0", "write MAJOR.MINOR.PATCH, such as 1.4.0"),
        ("semver", "vv1.0.0", "is no semantic version"),
        ("semver", "24.04.1", "relman release versions APP calendar"),
        ("calendar", "1.4", "write a year and numbers behind it"),
        ("calendar", "2026", "such as 2026.11, 24.04.1"),
        ("calendar", "2026-13-01", "is no calendar version"),
        ("calendar", "2026-02-30", "is no calendar version"),
        ("calendar", "2026.11.", "is no calendar version"),
        ("calendar", "v", "is no calendar version"),
    ],
)
def test_a_version_outside_the_scheme_is_refused_with_an_example(scheme: Scheme, version: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check(scheme, version)


@pytest.mark.parametrize("version", ["", "-1", ".hidden", "../up", "a b", "1@2", "1/2", "é", "1\n", "a" * 129])
def test_a_version_that_could_be_misread_elsewhere_is_refused_under_every_scheme(version: str) -> None:
    with pytest.raises(ValueError, match="is no version; write at most 128"):
        plain_version(version)


def test_calendar_versions_are_ordered_by_their_numbers() -> None:
    rising = [
        "24.04.1", "24.10", "2025.1", "v2026.2", "2026.11-rc1", "2026.11", "2026.11.1", "2026-11-30", "2026.12",
    ]  # fmt: skip
    keys = [order_key(version, "calendar") for version in rising]

    assert None not in keys
    assert keys == sorted(keys, key=str)
    assert len(set(keys)) == len(keys)


def test_a_leading_v_makes_no_other_version() -> None:
    assert order_key("v1.10.0") == order_key("1.10.0")
    assert order_key("v1.9.0") < order_key("1.10.0")  # type: ignore[operator] # neither is None
    assert twin("v1.0.0") == "1.0.0"
    assert twin("1.0.0") == "v1.0.0"
    assert twin("vanilla") is None


def test_versions_ordered_by_creation_have_no_sort_key() -> None:
    assert order_key("2.0.0", "any") is None
    assert order_key("24.04.1") is None


@pytest.mark.parametrize(
    ("one", "other", "scheme", "known"),
    [
        ("1.9.0", "1.10.0", "semver", True),
        ("1.10.0", "1.9.0", "semver", False),
        ("v1.0.0", "1.0.0", "semver", False),
        ("2026.9", "2026.11", "calendar", True),
        ("1.9.0", "1.10.0", "any", None),
        ("zebra", "1.0.0", "semver", None),
        ("1.0.0", "zebra", "calendar", None),
    ],
)
def test_versions_say_which_is_older_or_leave_it_to_their_creation(
    one: str, other: str, scheme: Scheme, known: bool | None
) -> None:
    assert older(one, other, scheme) is known
