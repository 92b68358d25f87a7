"""Settings are refused with a sentence that helps; weights are exact."""

import pytest
from pydantic import JsonValue

from release_management.adapters.executors.local import check_settings
from release_management.adapters.executors.local.settings import fill_in
from release_management.adapters.executors.local.weights import server_weights, stated_shares


def test_settings_have_defaults() -> None:
    settings = check_settings({"command": ["run", "{port}"], "port": 8080, "stop_grace": "1m"})
    assert (settings.slots, settings.replicas, settings.health) == (["blue", "green"], 1, "/")
    assert settings.stop_grace == 60.0
    assert fill_in(settings.command, {"port": "1"}) == ["run", "1"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"command": ["run", "{prot}"]}, "unknown placeholder {prot}"),
        ({"command": []}, "command"),
        ({"port": True}, "port"),
        ({"port": 70000}, "port"),
        ({"health": "/x\n  server evil"}, "health"),
        ({"replicas": 5}, "must not exceed max_replicas"),
        ({"slots": ["a", "a1"], "max_replicas": 12}, "too alike"),
        ({"env": {"A=B": "1"}}, "no environment variable"),
        ({"colour": "red"}, "colour"),
        ({"balancer": {"answer_timeout": 0}}, "balancer.answer_timeout: Input should be greater than or equal to 0.01"),
        (
            {"balancer": {"stream_timeout": "2d"}},
            "balancer.stream_timeout: Input should be less than or equal to 86400",
        ),
        (
            {"balancer": {"keep_alive": "long"}},
            "balancer.keep_alive: 'long' is no duration; write seconds",
        ),
        ({"balancer": {"connect_timeout": True}}, "balancer.connect_timeout"),
        ({"balancer": {"timeout": 5}}, "balancer.timeout"),
        ({"balancer": 30}, "balancer"),
        ({"health_check": {"timeout": "11s"}}, "health_check.timeout: Input should be less than or equal to 10"),
        ({"health_check": {"interval": "2m"}}, "health_check.interval: Input should be less than or equal to 60"),
        ({"health_check": {"rise": 0}}, "health_check.rise: Input should be greater than or equal to 1"),
        ({"health_check": {"fall": 11}}, "health_check.fall: Input should be less than or equal to 10"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, JsonValue], words: str) -> None:
    with pytest.raises(ValueError, match=r"\S") as refused:
        check_settings({"command": ["run"], "port": 8080, **changes})
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_durations_are_seconds_or_text() -> None:
    waits: dict[str, JsonValue] = {
        "balancer": {"answer_timeout": "10m"},
        "health_check": {"timeout": "500ms", "fall": 3},
    }
    settings = check_settings({"command": ["run"], "port": 8080, **waits})
    assert (settings.balancer.answer_timeout, settings.balancer.stream_timeout) == (600.0, 3600.0)
    assert (settings.health_check.timeout, settings.health_check.interval, settings.health_check.fall) == (0.5, 0.2, 3)


@pytest.mark.parametrize(("blue", "green"), [(1, 1), (3, 1), (4, 3), (1, 4), (32, 31)])
def test_weights_give_the_share_exactly(blue: int, green: int) -> None:
    for share in range(101):
        weights = server_weights({"blue": 100 - share, "green": share}, {"blue": blue, "green": green, "red": 0})
        assert (len(weights["blue"]), len(weights["green"])) == (blue, green)
        assert max(weights["blue"] + weights["green"]) <= 256
        totals = {slot: sum(each) for slot, each in weights.items()}
        assert totals["green"] * 100 == share * sum(totals.values())
        assert stated_shares(totals) == {"blue": 100 - share, "green": share}


def test_equal_servers_have_equal_weights() -> None:
    assert server_weights({"blue": 75, "green": 25}, {"blue": 3, "green": 1}) == {"blue": [1, 1, 1], "green": [1]}
    assert server_weights({}, {"blue": 2}) == {"blue": [0, 0]}
