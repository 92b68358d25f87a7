"""A short form of `make chaos ARGS=--seen`: what `env show` says is what requests and the process table say."""

from pathlib import Path

import pytest

from chaos.seen import Truth, _agrees, law
from release_management.adapters.local import converge
from release_management.domain import damping

BLOWS = 8


@pytest.fixture
def kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the law shortens is as before afterwards."""
    monkeypatch.setattr(damping, "LONGEST_HOLD", damping.LONGEST_HOLD)
    monkeypatch.setattr(converge, "LONGEST_BACKOFF", converge.LONGEST_BACKOFF)


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("kept_apart")
def test_the_screen_says_what_is_through_kills_restarts_restores_and_deployments(tmp_path: Path) -> None:
    world = law(tmp_path, seed=5, blows=BLOWS)

    assert world.faults == []
    assert world.done.total() == BLOWS
    assert len(world.done) > 3


@pytest.mark.parametrize(
    ("condition", "running", "answers", "living", "right"),
    [
        ("well", 2, {"1.0.0"}, 2, True),
        ("well", 2, {"1.0.0"}, 1, False),
        ("well", 2, {""}, 2, False),
        ("well", 2, {"2.0.0"}, 2, False),
        ("down", 0, {""}, 0, True),
        ("down", 2, {"1.0.0"}, 2, False),
        ("degraded", 1, {"1.0.0"}, 1, True),
        ("unknown", None, {"1.0.0"}, 2, False),
    ],
)
def test_the_judge_tells_a_true_screen_from_a_false_one(
    condition: str, running: int | None, answers: set[str], living: int, right: bool
) -> None:
    shown = {"condition": condition, "running": running, "versions": frozenset({"1.0.0"})}

    assert _agrees(shown, Truth(frozenset(answers), living), "api") is right
