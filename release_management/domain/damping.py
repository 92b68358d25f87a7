"""Damp what is seen of a component to conditions that last: a crash loop is one state, and no flood.

A worse condition holds at once, a better one only after it has lasted for some time. That time doubles with every
relapse of the last hour, so that the number of changes in an hour is bounded whatever the looks say; and it ends, so
that what has been stable for long enough is what is shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from release_management.domain.condition import SEVERITY, Condition

FIRST_HOLD = 5.0
"""Seconds that a better condition must last before it holds."""
LONGEST_HOLD = 300.0
MEMORY = 3600.0
"""Seconds that a relapse is remembered."""
MOST_PER_HOUR = 90
"""No more changes than this come out in any hour."""
_RANK: Mapping[Condition, int] = {**SEVERITY, "unknown": max(SEVERITY.values()) + 1}
"""Where nobody could look, no earlier condition may be shown; so it holds at once, as what is worst."""


@dataclass(frozen=True, slots=True)
class Damped:
    """The condition that holds, and since when. Times are seconds on any clock that does not go back.

    `better_since` is when the looks became better, `better` the worst that they have said since; `relapses` are the
    times of the last hour at which it became worse again. `proven`: it has been well before.
    """

    condition: Condition
    since: float
    better_since: float | None = None
    better: Condition | None = None
    relapses: tuple[float, ...] = ()
    proven: bool = False
    improved: bool = True

    @property
    def hold(self) -> float:
        """The seconds that a better condition must last now."""
        return min(LONGEST_HOLD, FIRST_HOLD * 2.0 ** min(max(0, len(self.relapses) - 1), 10))


def damp(before: Damped | None, seen: Condition, now: float) -> Damped:
    """Take in one look. What holds is never better than what the look says."""
    if before is None:
        return Damped(seen, now, proven=seen == "well")
    if seen == before.condition:
        return before if before.better_since is None else replace(before, better_since=None, better=None)
    relapses = tuple(time for time in before.relapses if now - time < MEMORY)
    before = replace(before, relapses=relapses)
    if _RANK[seen] > _RANK[before.condition]:
        again = (*relapses, now) if before.improved else relapses
        return replace(
            before, condition=seen, since=now, better_since=None, better=None, relapses=again, improved=False
        )
    return _improve(before, seen, now)


def _improve(before: Damped, seen: Condition, now: float) -> Damped:
    if seen == "well" and not before.proven:
        return replace(before, condition=seen, since=now, better_since=None, better=None, proven=True, improved=True)
    since = now if before.better_since is None else before.better_since
    better = max(seen, before.better or seen, key=_RANK.__getitem__)
    if now - since < before.hold:
        return replace(before, better_since=since, better=better)
    return replace(
        before,
        condition=better,
        since=now,
        better_since=None,
        better=None,
        proven=before.proven or better == "well",
        improved=True,
    )
