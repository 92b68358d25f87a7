"""Which releases contain which: a commit counts with the first deployment that contains it.

A component of a release contains the same component of a release that was created no later and has no higher version
of it. Versions that are not semantic are ordered by creation alone. What an environment has been brought so far
contains a release once it contains each of its components, be it by several deployments.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Point = tuple[int, str | None]
"""The position of a release in the log, and the key by which a component's version sorts (None: by creation alone)."""
Reach = Mapping[str, tuple[Point, ...]]
"""For each component the releases that were brought, without those that another one contains."""
Packed = list[list[Any]]
"""The same as JSON: the components that share their points, and the points."""


@dataclass(frozen=True, slots=True)
class Contents:
    """A release: when it was created, and the key of each component's version."""

    release: str
    position: int
    parts: Mapping[str, str | None]

    def point(self, component: str) -> Point:
        """Where one of its components stands."""
        return self.position, self.parts[component]


def covers(points: Iterable[Point], needed: Point) -> bool:
    """Whether one of the points contains what is needed."""
    position, key = needed
    return any(at >= position and (key is None or has is None or has >= key) for at, has in points)


def contains(reach: Reach, release: Contents) -> bool:
    """Whether what was brought contains every component of the release."""
    return all(covers(reach.get(component, ()), release.point(component)) for component in release.parts)


def extended(reach: Reach, release: Contents) -> Reach:
    """What was brought, and this release."""
    more = {component: _with(reach.get(component, ()), release.point(component)) for component in release.parts}
    return {**reach, **more}


def _with(points: tuple[Point, ...], new: Point) -> tuple[Point, ...]:
    if any(_outdoes(point, new) for point in points):
        return points
    return (*(point for point in points if not _outdoes(new, point)), new)


def _outdoes(one: Point, other: Point) -> bool:
    """Whether the one contains everything that the other contains."""
    return one[0] >= other[0] and (one[1] is None or (other[1] is not None and one[1] >= other[1]))


def packed(reach: Reach) -> Packed:
    """As JSON."""
    groups: dict[tuple[Point, ...], list[str]] = {}
    for component, points in reach.items():
        groups.setdefault(points, []).append(component)
    return [[components, [list(point) for point in points]] for points, components in groups.items()]


def unpacked(groups: Packed) -> Reach:
    """From JSON."""
    return {
        str(component): tuple((int(at), key) for at, key in points)
        for components, points in groups
        for component in components
    }


def packed_parts(parts: Mapping[str, str | None]) -> Packed:
    """A release's components as JSON: those that share a version together."""
    groups: dict[str | None, list[str]] = {}
    for component, key in parts.items():
        groups.setdefault(key, []).append(component)
    return [[key, components] for key, components in groups.items()]


def unpacked_parts(groups: Packed) -> dict[str, str | None]:
    """From JSON."""
    return {str(component): key for key, components in groups for component in components}
