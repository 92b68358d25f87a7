"""A strategy's options, as people write them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_management.domain.plan.strategies import STRATEGIES, StrategyName, parse_options
from release_management.domain.plan.strategies.blue_green import BlueGreen
from release_management.domain.plan.strategies.canary import Canary
from release_management.domain.plan.strategies.recreate import Recreate
from release_management.domain.plan.strategies.rolling import Rolling, surge_and_unavailable
from release_management.kernel.types import Refused


def complaint(strategy: StrategyName, options: dict[str, Any]) -> str:
    with pytest.raises(Refused) as refusal:
        parse_options(strategy, options)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_durations_are_seconds_or_text() -> None:
    options = parse_options("canary", {"interval": "5m", "min_ready": 10, "healthy_deadline": "1h30m"})

    assert isinstance(options, Canary)
    assert (options.interval, options.min_ready, options.healthy_deadline) == (300, 10, 5400)


def test_the_defaults_are_those_of_argo_and_kubernetes() -> None:
    assert parse_options("recreate", {}) == Recreate(scale_down_delay=0.0)
    assert parse_options("rolling", {}) == Rolling(max_surge="25%", max_unavailable="25%")
    assert parse_options("blue-green", {}) == BlueGreen(auto_promotion=True, scale_down_delay=30.0)
    assert parse_options("canary", {}) == Canary(initial_traffic=5, increment=10, interval=60.0)


@pytest.mark.parametrize(
    ("strategy", "options", "sentence"),
    [
        (
            "recreate",
            {"speed": "high"},
            "strategy recreate has no option 'speed'; it has abort_scale_down_delay, healthy_deadline, min_ready, "
            "plan_deadline, replicas, scale_down_delay",
        ),
        (
            "canary",
            {"steps": [{"set_weight": 101}]},
            "strategy canary: steps.0.set_weight: Input should be less than or equal to 100 (got 101)",
        ),
        (
            "canary",
            {"initial_traffic": 101},
            "strategy canary: initial_traffic: Input should be less than or equal to 100 (got 101)",
        ),
        (
            "canary",
            {"initial_traffic": 0},
            "strategy canary: initial_traffic: Input should be greater than or equal to 1 (got 0)",
        ),
        (
            "canary",
            {"steps": []},
            "strategy canary: steps: Tuple should have at least 1 item after validation, not 0 (got [])",
        ),
        (
            "canary",
            {"steps": [{}]},
            "strategy canary: steps.0: a canary step is one of set_weight, pause or set_scale (got {})",
        ),
        (
            "canary",
            {"steps": [{"set_weight": 5, "pause": {}}]},
            "strategy canary: steps.0: a canary step is one of set_weight, pause or set_scale "
            "(got {'set_weight': 5, 'pause': {}})",
        ),
        (
            "canary",
            {"steps": [{"set_weight": 5}, {"set_scale": {"replicas": 1, "weight": 5}}]},
            "strategy canary: steps.1.set_scale: set_scale takes one of replicas, weight or match_traffic_weight "
            "(got {'replicas': 1, 'weight': 5})",
        ),
        (
            "canary",
            {"steps": [{"set_weight": 5, "speed": 1}]},
            "strategy canary: steps.0.speed: Extra inputs are not permitted (got 1)",
        ),
        (
            "rolling",
            {"max_surge": 0, "max_unavailable": "0%"},
            "strategy rolling: max_surge and max_unavailable are both 0, so nothing could ever be replaced",
        ),
        (
            "rolling",
            {"max_surge": "150%"},
            "strategy rolling: max_surge: write a number of replicas from 0 to 100, or a percentage up to 100 such as "
            "\"25%\" (got '150%')",
        ),
        (
            "rolling",
            {"max_unavailable": True},
            "strategy rolling: max_unavailable: write a number of replicas from 0 to 100, or a percentage up to 100 "
            'such as "25%" (got True)',
        ),
        ("blue-green", {"replicas": True}, "strategy blue-green: replicas: Input should be a valid integer (got True)"),
        (
            "blue-green",
            {"auto_promotion": 1},
            "strategy blue-green: auto_promotion: Input should be a valid boolean (got 1)",
        ),
        ("rolling", {"interval": True}, "strategy rolling: interval: Input should be a valid number (got True)"),
        (
            "rolling",
            {"interval": float("nan")},
            "strategy rolling: interval: Input should be greater than or equal to 0 (got nan)",
        ),
        (
            "rolling",
            {"interval": "5 minutes"},
            "strategy rolling: interval: '5 minutes' is no duration; write seconds, or text such as "
            '"90s", "5m", "1h30m"',
        ),
    ],
)
def test_a_wrong_option_gives_one_sentence_that_says_which(
    strategy: StrategyName, options: dict[str, Any], sentence: str
) -> None:
    assert complaint(strategy, options) == sentence


def test_a_canary_has_a_traffic_step_at_least() -> None:
    assert "steps has no set_weight; a canary needs at least one" in complaint("canary", {"steps": [{"pause": {}}]})


@pytest.mark.parametrize("share", ["initial_traffic", "increment"])
def test_explicit_steps_and_shares_exclude_each_other(share: str) -> None:
    options = {share: 5, "steps": [{"set_weight": 5}]}

    assert f"{share} and steps exclude each other; give one of them" in complaint("canary", options)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
known = ["replicas", "min_ready", "max_surge", "interval", "steps", "auto_promotion", "preview_replicas", "increment"]


@given(
    st.sampled_from(list(STRATEGIES)),
    st.dictionaries(st.sampled_from(known) | st.text(max_size=5), json_values, max_size=3),
)
def test_any_options_are_read_or_refused_in_one_sentence(strategy: StrategyName, options: dict[str, Any]) -> None:
    try:
        parse_options(strategy, options)
    except Refused as refusal:
        assert str(refusal).startswith(f"strategy {strategy}")  # noqa: PT017 - any refusal of many


# Kubernetes' rounding


@pytest.mark.parametrize(
    ("surge", "unavailable", "replicas", "expected"),
    [
        ("25%", "25%", 4, (1, 1)),
        ("25%", "25%", 1, (1, 0)),
        ("25%", "25%", 10, (3, 2)),
        ("0%", "25%", 3, (0, 1)),
        (0, "1%", 3, (0, 1)),
        ("100%", 0, 3, (3, 0)),
        (0, 100, 3, (0, 3)),
        (7, "100%", 3, (7, 3)),
    ],
)
def test_surge_is_rounded_up_and_unavailable_down_and_never_are_both_0(
    surge: str | int, unavailable: str | int, replicas: int, expected: tuple[int, int]
) -> None:
    options = Rolling(max_surge=surge, max_unavailable=unavailable)

    assert surge_and_unavailable(options, replicas) == expected
