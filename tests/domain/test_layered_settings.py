"""Settings in layers: an application's defaults, an environment's, a target's."""

from typing import Any

import pytest
from pydantic import JsonValue

from release_management.domain.environment import ApplicationComponents, Target
from release_management.domain.layered_settings import (
    ApplicationLayer,
    Settings,
    flattened,
    over,
)


def layer(**applications: dict[str, Settings | None]) -> dict[str, ApplicationLayer]:
    return {name: ApplicationLayer(components=components) for name, components in applications.items()}


@pytest.mark.parametrize(
    ("wider", "nearer", "merged"),
    [
        ({"port": 1, "health": "/"}, {"port": 2}, {"port": 2, "health": "/"}),
        ({"env": {"A": "1", "B": "2"}}, {"env": {"B": "3", "C": "4"}}, {"env": {"A": "1", "B": "3", "C": "4"}}),
        (
            {"env": {"a": {"b": {"c": 1, "d": 2}}}},
            {"env": {"a": {"b": {"c": 3}}}},
            {"env": {"a": {"b": {"c": 3, "d": 2}}}},
        ),
        ({"command": ["a", "b"]}, {"command": ["c"]}, {"command": ["c"]}),
        ({"health": "/h", "port": 1}, {"health": None}, {"port": 1}),
        ({"env": {"A": "1"}}, {"env": {"A": None}}, {"env": {}}),
        ({"env": {"A": "1"}}, {"env": "text"}, {"env": "text"}),
        ({"env": "text"}, {"env": {"A": "1"}}, {"env": {"A": "1"}}),
        ({}, {"env": {"A": None}}, {"env": {}}),
        ({"a": 1}, {}, {"a": 1}),
    ],
)
def test_mappings_are_merged_at_every_depth_all_else_replaces_and_null_takes_away(
    wider: dict[str, JsonValue], nearer: dict[str, JsonValue], merged: dict[str, JsonValue]
) -> None:
    before = repr(wider)
    assert over(wider, nearer) == merged
    assert repr(wider) == before, "a layer that others have too stays as it is"


def test_the_nearest_layer_wins_and_one_that_names_nothing_changes_nothing() -> None:
    defaults = layer(shop={"web": {"port": 1, "health": "/"}, "api": {"port": 2}})
    environment = layer(shop={"web": {"port": 10}})
    target = layer(shop={"web": {"port": 100}})

    assert flattened([defaults, environment, target])["shop"]["web"] == {"port": 100, "health": "/"}
    assert flattened([defaults, environment, {}])["shop"] == {"web": {"port": 10, "health": "/"}, "api": {"port": 2}}


def test_a_component_is_taken_away_by_null_and_can_be_brought_back_nearer() -> None:
    defaults = layer(shop={"web": {"port": 1}, "api": {"port": 2}})

    assert flattened([defaults, layer(shop={"api": None})]) == {"shop": {"web": {"port": 1}}}
    assert flattened([defaults, layer(shop={"api": None}), layer(shop={"api": {"port": 3}})])["shop"]["api"] == {
        "port": 3
    }
    assert flattened([layer(shop={"api": {}}), layer(shop={"api": None})]) == {}


def test_a_component_for_any_application_is_not_silently_outdone() -> None:
    with pytest.raises(ValueError, match="web stands under components, and application shop has settings of its own"):
        flattened([layer(shop={"web": {"port": 1}})], ["web"])


def test_settings_of_an_application_come_before_those_of_any() -> None:
    own: dict[str, Any] = {"shop": ApplicationComponents(components={"web": {"port": 2}})}
    target = Target(components={"web": {"port": 1}, "api": {"port": 3}}, applications=own)

    assert target.settings_of("shop", "web") == {"port": 2}
    assert target.settings_of("desk", "web") == {"port": 1}
    assert target.settings_of("shop", "api") == {"port": 3}
    assert target.settings_of("shop", "job") is None
