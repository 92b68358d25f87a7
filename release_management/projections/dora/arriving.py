"""Find the changes that each deployment of a window brought to its environment first."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import and_, select

from release_management.domain.deployment.state import DeploymentPhase
from release_management.projections.dora.containing import (
    ANY,
    Contents,
    Reach,
    contains,
    contents,
    extended,
    points,
    unpacked,
)
from release_management.projections.dora.delivery_tables import (
    changes,
    commits,
    deliveries,
    highest,
    made,
    releases,
)
from release_management.projections.dora.formulas import DeliveredChange
from release_management.projections.kit.projection import Ask, Row

AT_ONCE = 500
"""The values of one list in a select."""


class TooManyChangesError(Exception):
    """More changes arrived than are counted at once."""


@dataclass(frozen=True, slots=True)
class _Bringing:
    """A successful deployment, its release, the skipped releases that arrived with it, and what was there before."""

    deployment: str
    own: Contents
    skipped: tuple[Contents, ...]
    before: Reach


def arrivals(rows: Sequence[Row], ask: Ask, limit: int) -> list[DeliveredChange]:
    """Return the changes of each successful deployment among `rows`, which are in order. Raises `TooManyChangesError`.

    A first deployment brings only what its own release states; earlier commits are of any age. Others also bring what
    skipped releases state. A rollback brings nothing.
    """
    places: dict[tuple[str, str], list[Row]] = {}
    for row in sorted(rows, key=lambda row: str(row["place_time"])):
        if row["outcome"] == DeploymentPhase.SUCCEEDED.value and row["first"] is not None:
            places.setdefault((row["environment"], row["application"]), []).append(row)
    known = _releases({str(row["release"]) for found in places.values() for row in found}, ask)
    brought = [
        each
        for (_, application), found in places.items()
        for each in _at_place(application, [row for row in found if row["release"] in known], known, ask)
    ]
    stated = _stated({one.release for each in brought for one in (each.own, *each.skipped)}, ask, limit)
    stating = {str(other) for found in stated.values() for row in found for other in row["stated"]}
    known |= _releases(stating - known.keys(), ask)
    counted = []
    for each in brought:
        counted += _changes(each, stated, known)
        if len(counted) > limit:
            raise TooManyChangesError
    order = {str(row["id"]): number for number, row in enumerate(rows)}
    return sorted(counted, key=lambda change: (order[change.deployment], change.committed or "", change.commit))


def _at_place(application: str, rows: Sequence[Row], known: Mapping[str, Contents], ask: Ask) -> Iterator[_Bringing]:
    """Walk through the deployments of one application in one environment."""
    if not rows:
        return
    [stored] = ask(select(deliveries.c.before).where(deliveries.c.id == rows[0]["id"]))
    reach = unpacked(stored["before"] or [])
    pending = _pending(application, reach, [known[row["release"]] for row in rows], ask)
    for row in rows:
        own = known[row["release"]]
        after = extended(reach, own)
        arrived = [each for each in pending if each.position <= own.position and contains(after, each)]
        if arrived:
            names = {each.release for each in arrived}
            pending = [each for each in pending if each.release not in names]
        if row["reverts"] is None:
            skipped = () if row["first"] else tuple(each for each in arrived if each.release != own.release)
            yield _Bringing(str(row["id"]), own, skipped, reach)
        reach = after


def _pending(application: str, reach: Reach, brought: Sequence[Contents], ask: Ask) -> list[Contents]:
    """Return the releases that may arrive, oldest first: created no later than those brought, and not there before.

    A component that had never been brought there needs all of them.
    """
    columns = releases.c
    last = made(application, max(each.position for each in brought))
    named = {component for release in brought for component in release.parts}
    if any(release.complete for release in brought):
        named |= {ANY, *reach}
    successes = [points(reach, component) for component in named]
    newest = [max(each, key=lambda point: point[0]) for each in successes if each]
    earliest = min(position for position, _ in newest) if len(newest) == len(successes) else 0
    younger = and_(columns.made > made(application, earliest), columns.made <= last)
    found = {each.release: each for each in _contents(younger, ask)}
    if keys := [key for _, key in newest if key is not None]:
        lowest, end = highest(application, min(keys)), highest(application, "~")
        found |= {each.release: each for each in _contents(and_(columns.highest > lowest, columns.highest < end), ask)}
    upto = max(each.position for each in brought)
    missing = (each for each in found.values() if each.position <= upto and not contains(reach, each))
    return sorted(missing, key=lambda each: each.position)


def _changes(
    bringing: _Bringing, stated: Mapping[str, Sequence[Row]], known: Mapping[str, Contents]
) -> list[DeliveredChange]:
    """Return the changes that a release and the skipped ones state, each once; its own even if they came before."""
    found: dict[str, DeliveredChange] = {}

    @cache
    def was_there(release: str) -> bool:
        return release in known and contains(bringing.before, known[release])

    for release in (bringing.own, *bringing.skipped):
        own = release is bringing.own
        included = own and was_there(release.release)
        for row in stated.get(release.release, ()):
            if row["commit"] in found:
                continue
            before = included or any(was_there(other) for other in row["stated"] if other != release.release)
            if own or not before:
                change = DeliveredChange(bringing.deployment, row["commit"], row["committed"], before, release.release)
                found[change.commit] = change
    return list(found.values())


def _stated(names: set[str], ask: Ask, limit: int) -> dict[str, list[Row]]:
    """Return the changes that each release states. Raises `TooManyChangesError`."""
    found: dict[str, list[Row]] = {}
    count = 0
    together = and_(commits.c.application == changes.c.application, commits.c.commit == changes.c.commit)
    for some in _parts(sorted(names)):
        query = (
            select(changes.c.release, changes.c.commit, changes.c.committed, commits.c.stated)
            .select_from(changes.join(commits, together))
            .where(changes.c.release.in_(some))
            .order_by(changes.c.release, changes.c.committed, changes.c.commit)
            .limit(limit + 1)
        )
        for row in ask(query):
            found.setdefault(str(row["release"]), []).append(row)
            count += 1
        if count > limit:
            raise TooManyChangesError
    return found


def _releases(names: set[str], ask: Ask) -> dict[str, Contents]:
    return {
        each.release: each for some in _parts(sorted(names)) for each in _contents(releases.c.release.in_(some), ask)
    }


def _contents(condition: Any, ask: Ask) -> list[Contents]:
    return [contents(row["contents"]) for row in ask(select(releases.c.contents).where(condition))]


def _parts(values: Sequence[str]) -> Iterator[Sequence[str]]:
    return (values[offset : offset + AT_ONCE] for offset in range(0, len(values), AT_ONCE))
