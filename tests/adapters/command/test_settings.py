"""Settings are refused with a sentence that shows what would be right."""

from typing import Any, Literal

import pytest

from release_management.adapters.executors.command import check_settings
from release_management.adapters.executors.command.settings import check_program
from release_management.domain.plan.step import StepAction

COMMANDS: dict[str, Any] = {verb: ["./deploy.sh", verb] for verb in ("provision", "await_healthy", "route", "retire")}


def without(verb: str) -> dict[str, Any]:
    return {name: argv for name, argv in COMMANDS.items() if name != verb}


def test_settings_have_defaults() -> None:
    settings = check_settings({"commands": COMMANDS, "timeout": "1m"})
    assert (settings.timeout, settings.stop_grace, settings.replicas) == (60.0, 5.0, 1)
    assert settings.commands["route"] == ["./deploy.sh", "route"]


def test_route_is_needed_where_traffic_is_shifted() -> None:
    assert "route" not in check_settings({"commands": without("route")}, False).commands
    with pytest.raises(ValueError, match="routes: none"):
        check_settings({"commands": without("route")}, True)


@pytest.mark.parametrize("verb", ["provision", "await_healthy", "retire"])
def test_the_other_verbs_are_always_needed(verb: str) -> None:
    with pytest.raises(ValueError, match=f'commands lacks "{verb}"'):
        check_settings({"commands": without(verb)}, False)


def test_another_verb_is_needed_where_it_is_ordered() -> None:
    class Rest(StepAction):
        verb: Literal["rest"] = "rest"

    with pytest.raises(ValueError, match='commands lacks "rest", which this deployment needs; add a program for it'):
        check_program(check_settings({"commands": COMMANDS}), Rest)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"commands": {**COMMANDS, "route": "./deploy.sh --to 'my site'"}},
            'commands.route: write the program and its arguments as a list, such as ["./deploy.sh", "--to", "my site"]',
        ),
        ({"commands": {**COMMANDS, "route": "it's"}}, 'such as ["it\'s"]'),
        ({"commands": {**COMMANDS, "route": []}}, "commands.route"),
        ({"commands": {**COMMANDS, "route": [""]}}, "the first word is empty"),
        ({"commands": {**COMMANDS, "migrate": ["x"]}}, "commands.migrate"),
        ({"commands": None}, "commands"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": "2h"}, "timeout"),
        ({"replicas": 0}, "replicas"),
        ({"env": {"A=B": "1"}}, "no environment variable"),
        ({"colour": "red"}, "colour"),
        ({"claims": {"ports": [0]}}, "claims.ports"),
        ({"claims": {"paths": ["srv/shop"]}}, "begins nowhere; write it from the root, such as /srv/shop"),
        ({"claims": {"names": [""]}}, "claims.names"),
        ({"claims": {"hosts": ["a"]}}, "claims.hosts"),
    ],
)
def test_bad_settings_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=r"\S") as refused:
        check_settings({"commands": COMMANDS, **changes})
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
