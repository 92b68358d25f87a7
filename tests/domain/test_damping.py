"""A component's shown condition lasts: a crash loop is one state, and the stable condition is shown."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from release_management.domain.condition import SEVERITY, Condition
from release_management.domain.damping import (
    FIRST_HOLD,
    LONGEST_HOLD,
    MEMORY,
    MOST_PER_HOUR,
    Damped,
    damp,
)

CONDITIONS: Sequence[Condition] = tuple(SEVERITY)
Looks = list[tuple[float, Condition]]
"""Each with the seconds since the look before."""


def shown(looks: Looks) -> list[tuple[float, Damped]]:
    state, now, states = None, 0.0, []
    for pause, seen in looks:
        now += pause
        state = damp(state, seen, now)
        states.append((now, state))
    return states


def changes(looks: Looks) -> list[tuple[float, Condition]]:
    states = shown(looks)
    first = [(now, state.condition) for now, state in states[:1]]
    return first + [(now, b.condition) for (_, a), (now, b) in pairwise(states) if a.condition != b.condition]


def loop(*parts: tuple[int, Condition], times: int = 1) -> Looks:
    """Looks once a second: each condition for so many of them, over and over."""
    return [(1.0, condition) for _ in range(times) for count, condition in parts for _ in range(count)]


any_looks = st.lists(st.tuples(st.sampled_from((0.5, 1.0, 7.0, 60.0)), st.sampled_from(CONDITIONS)), max_size=200)


@st.composite
def loops(draw: st.DrawFn) -> Looks:
    """Whole hours of cycles, which random lists of looks hardly ever are."""
    parts = draw(st.lists(st.tuples(st.integers(1, 400), st.sampled_from(CONDITIONS)), min_size=1, max_size=6))
    return loop(*parts, times=max(1, 5000 // sum(count for count, _ in parts)))


def most_in_an_hour(times: Iterable[float]) -> int:
    found = list(times)
    return max((sum(1 for time in found if start <= time < start + MEMORY) for start in found), default=0)


@settings(deadline=None, max_examples=50)
@given(st.one_of(any_looks, loops()))
@example(loop((3, "well"), (1, "down"), times=3000))
@example(loop((6, "well"), (1, "down"), times=1500))
def test_the_number_of_changes_in_an_hour_is_bounded_whatever_the_looks_say(looks: Looks) -> None:
    assert most_in_an_hour(time for time, _ in changes(looks)) <= MOST_PER_HOUR


@settings(deadline=None, max_examples=50)
@given(st.one_of(any_looks, loops()), st.sampled_from(CONDITIONS))
def test_a_condition_seen_for_long_enough_is_shown(looks: Looks, last: Condition) -> None:
    ending = [(1.0, last)] * (int(LONGEST_HOLD) + 2)

    assert shown([*looks, *ending])[-1][1].condition == last


@settings(deadline=None)
@given(any_looks)
def test_the_shown_condition_is_never_better_than_the_newest_observation(looks: Looks) -> None:
    for (_, seen), (_, state) in zip(looks, shown(looks), strict=True):
        if seen == "unknown":
            assert state.condition == "unknown"
        elif state.condition != "unknown":
            assert SEVERITY[state.condition] >= SEVERITY[seen]


def test_a_crash_loop_is_one_change() -> None:
    looks = loop((5, "well")) + loop((1, "down"), (3, "well"), times=900)

    assert [condition for _, condition in changes(looks)] == ["well", "down"]


def test_a_slow_crash_loop_settles_too() -> None:
    looks = loop((5, "well")) + loop((1, "down"), (29, "well"), times=240)

    assert len(changes(looks)) <= 16, "in two hours, of 240 crashes"


def test_one_crash_is_down_at_once_and_well_after_a_few_seconds() -> None:
    looks = loop((5, "well"), (2, "down"), (20, "well"))

    (_, first), (fell, down), (rose, well) = changes(looks)
    assert (first, down, well) == ("well", "down", "well")
    assert fell == 6
    assert FIRST_HOLD <= rose - 8 <= 2 * FIRST_HOLD


def test_a_starting_component_is_well_as_soon_as_it_is_seen_so() -> None:
    assert changes(loop((3, "down"), (1, "well"))) == [(1, "down"), (4, "well")]
