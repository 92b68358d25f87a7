"""Decide which releases contain which: a commit counts for the first deployment whose release contains it.

A component of a release contains the same component of a release that was created no later and has no higher version of
it. Versions that are not semantic are ordered by creation alone. An environment contains a release once it was brought
each of its components, be it by several deployments; a complete release gives up the components that it does not name,
and those count as contained from then on.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Point = tuple[int, str | None]
"""The position of a release in the log, and the sort key of a component's version (None: by creation alone)."""
Reach = Mapping[str, tuple[Point, ...]]
"""For each component the releases that were brought, without those that another one contains."""
ANY = "*"
"""In a reach: every component that is not named."""
Packed = list[list[Any]]
"""A reach as JSON: the components that share their points, and the points."""


@dataclass(frozen=True, slots=True)
class Contents:
    """A release: its position, the sort key of each component's version, and whether it gives up all others."""

    release: str
    position: int
    parts: Mapping[str, str | None]
    complete: bool = False

    def point(self, component: str) -> Point:
        """Return the point of one of its components."""
        return self.position, self.parts[component]


def covers(points: Iterable[Point], needed: Point) -> bool:
    """Return True if one of the points contains the needed one."""
    position, key = needed
    return any(
        other_position >= position and (key is None or other_key is None or other_key >= key)
        for other_position, other_key in points
    )


def points(reach: Reach, component: str) -> tuple[Point, ...]:
    """Return the points of a component in a reach."""
    return reach.get(component, reach.get(ANY, ()))


def contains(reach: Reach, release: Contents) -> bool:
    """Return True if the reach contains every component of the release."""
    return all(covers(points(reach, component), release.point(component)) for component in release.parts)


def extended(reach: Reach, release: Contents) -> Reach:
    """Return the reach after this release was brought."""
    more = {component: _with(points(reach, component), release.point(component)) for component in release.parts}
    if release.complete:
        given_up = (component for component in (*reach, ANY) if component not in release.parts)
        more |= {component: _with(points(reach, component), (release.position, None)) for component in given_up}
    return {**reach, **more}


def _with(points: tuple[Point, ...], new: Point) -> tuple[Point, ...]:
    if any(_outdoes(point, new) for point in points):
        return points
    return (*(point for point in points if not _outdoes(new, point)), new)


def _outdoes(one: Point, other: Point) -> bool:
    """Return True if one point contains everything that the other contains."""
    return one[0] >= other[0] and (one[1] is None or (other[1] is not None and one[1] >= other[1]))


def packed(reach: Reach) -> Packed:
    """Return a reach as JSON."""
    groups: dict[tuple[Point, ...], list[str]] = {}
    for component, points in reach.items():
        groups.setdefault(points, []).append(component)
    return [[components, [list(point) for point in points]] for points, components in groups.items()]


def unpacked(groups: Packed) -> Reach:
    """Return the reach from its JSON."""
    return {
        str(component): tuple((int(position), key) for position, key in points)
        for components, points in groups
        for component in components
    }


def stored(release: Contents) -> list[Any]:
    """Return a release as JSON; components that share a version are grouped."""
    groups: dict[str | None, list[str]] = {}
    for component, key in release.parts.items():
        groups.setdefault(key, []).append(component)
    parts = [[key, components] for key, components in groups.items()]
    return [release.release, release.position, parts, release.complete]


def contents(stored: Sequence[Any]) -> Contents:
    """Return the release from its JSON."""
    release, position, groups, complete = stored
    parts = {str(component): key for key, components in groups for component in components}
    return Contents(str(release), int(position), parts, bool(complete))
