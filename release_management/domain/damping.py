"""Damp a component's observed conditions to lasting ones: a crash loop is one state, and no flood.

A worse condition holds at once, a better one only after it has lasted for some time. That time doubles with every
relapse of the last hour, so that the number of changes in an hour is bounded; and it is bounded too, so that a stable
condition is shown in the end.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from release_management.domain.condition import SEVERITY, Condition

FIRST_HOLD = 5.0
"""Seconds that a better condition must last before it holds."""
LONGEST_HOLD = 300.0
MEMORY = 3600.0
"""Seconds for which a relapse is remembered."""
MOST_PER_HOUR = 90
"""The upper bound of changes in any hour."""
_RANK: Mapping[Condition, int] = {**SEVERITY, "unknown": max(SEVERITY.values()) + 1}
"""Without an observation no earlier condition may be shown, so *unknown* holds at once, like the worst."""


@dataclass(frozen=True, slots=True)
class Damped:
    """The condition that holds, and since when. Times are seconds on a monotonic clock.

    `better_since` is when the observations became better, `better` the worst of them since; `relapses` are the times of
    the last hour at which they became worse again. `proven` is True if it has been well before.
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


def is_worse(seen: Condition, held: Condition) -> bool:
    """Return True if an observed condition is worse than the one that holds."""
    return _RANK[seen] > _RANK[held]


def damp(before: Damped | None, seen: Condition, now: float) -> Damped:
    """Take one observation. The condition that holds is never better than the observation."""
    if before is None:
        return Damped(seen, now, proven=seen == "well")
    if seen == before.condition:
        return before if before.better_since is None else replace(before, better_since=None, better=None)
    relapses = tuple(time for time in before.relapses if now - time < MEMORY)
    before = replace(before, relapses=relapses)
    if is_worse(seen, before.condition):
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
