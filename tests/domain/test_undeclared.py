"""The advice for components without a target."""

from dataclasses import replace

import pytest
import yaml

from release_management.adapters.executors.catalog import settings_checks
from release_management.domain.environment import Target
from release_management.domain.undeclared import what_to_declare, without_target
from tests.domain.build import environment, release

BARE = replace(environment(), targets={})


def test_those_without_a_target_are_found() -> None:
    assert without_target(release(components=("api", "web")), environment()) == ("web",)
    assert without_target(release(components=("api",)), environment()) == ()


def test_the_advice_names_all_missing_components_and_is_yaml_that_can_be_applied() -> None:
    sentence, _, lines = what_to_declare(BARE, ("api", "web", "mobile")).partition("\n")

    assert sentence == (
        "components api, web and mobile have no target in production; add this to relman.yaml, with your own "
        "settings, and apply it:"
    )
    main = yaml.safe_load(lines)["environments"]["production"]["targets"]["main"]
    assert list(main["components"]) == ["api", "web", "mobile"]
    assert len({settings["port"] for settings in main["components"].values()}) == 3
    for settings in main["components"].values():
        settings_checks()["local"]({**settings, "slots": ["blue", "green"]}, True)


def test_environments_are_offered_different_ports() -> None:
    ports = [
        yaml.safe_load(what_to_declare(replace(BARE, order=order), ("web",)).partition("\n")[2])["environments"][
            "production"
        ]["targets"]["main"]["components"]["web"]["port"]
        for order in range(3)
    ]

    assert len(set(ports)) == 3


@pytest.mark.parametrize(("count", "named"), [(1, "component c0 has"), (2, "components c0 and c1 have")])
def test_the_advice_is_a_sentence(count: int, named: str) -> None:
    assert what_to_declare(BARE, [f"c{index}" for index in range(count)]).startswith(f"{named} no target in production")


def test_of_very_many_the_first_are_spelled_out() -> None:
    text = what_to_declare(BARE, [f"c{index}" for index in range(500)])

    assert "c18, c19 and 480 more have no target" in text
    assert text.endswith("# and 480 more")
    assert len(text) < 4_000


def test_a_target_that_is_there_is_the_one_to_add_to() -> None:
    eu = environment(Target(name="eu", executor="command", components={"api": {}}))

    text = what_to_declare(eu, ("web",))

    assert "      eu:\n        executor: command\n        components:\n          web: {}" in text
