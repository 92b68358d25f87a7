"""The description of two configurations that differ."""

import pytest
from pydantic import JsonValue

from release_management.domain.configuration_difference import differences


def texts(before: dict[str, JsonValue], after: dict[str, JsonValue]) -> list[str]:
    return [str(each) for each in differences(before, after)]


def test_old_and_new_values_are_shown_by_name_and_what_is_the_same_is_not() -> None:
    before: dict[str, JsonValue] = {"port": 80, "env": {"A": "1", "B": "2"}, "cwd": "/srv", "same": [1]}
    after: dict[str, JsonValue] = {"port": 81, "env": {"A": "1", "B": "3"}, "command": ["a", "-b"], "same": [1]}

    assert texts(before, after) == [
        "command: not set → a -b",
        "cwd: /srv → not set",
        "env.B: 2 → 3",
        "port: 80 → 81",
    ]


def test_an_empty_value_is_no_missing_one() -> None:
    assert texts({}, {"A": ""}) == ['A: not set → ""']
    assert texts({"A": ""}, {"A": "x"}) == ['A: "" → x']


@pytest.mark.parametrize(
    "name",
    [
        "DB_PASSWORD",
        "dbPassword",
        "API_KEY",
        "apikey",
        "key",
        "GITHUB_TOKEN",
        "ClientSecret",
        "AUTH",
        "AWS_SECRET_ACCESS_KEY",
    ],
)
def test_a_value_whose_name_speaks_of_a_secret_is_not_shown(name: str) -> None:
    [difference] = differences({name: "hunter2"}, {name: "hunter3"})

    assert str(difference) == f"{name}: another value (not shown)"
    assert "hunter" not in difference.model_dump_json()


@pytest.mark.parametrize("name", ["MONKEY", "GREETING", "AUTHOR", "KEYBOARD", "COMPASS", "port"])
def test_other_names_are_no_secrets(name: str) -> None:
    assert texts({name: "a"}, {name: "b"}) == [f"{name}: a → b"]


def test_a_reference_to_a_secret_is_shown_as_the_reference() -> None:
    assert texts({"PASSWORD": "file:/run/old"}, {"PASSWORD": "env:NEW"}) == ["PASSWORD: file:/run/old → env:NEW"]
    assert texts({"PASSWORD": "hunter2"}, {"PASSWORD": "env:NEW"}) == ["PASSWORD: (not shown) → env:NEW"]


def test_a_password_within_a_value_is_masked() -> None:
    assert texts({"URL": "http://a"}, {"URL": "nats://ann:hunter2@host:4222"}) == [
        "URL: http://a → nats://***@host:4222"
    ]
    [command] = texts({"command": ["a"]}, {"command": ["a", "--db-password=hunter2", "--token", "t0ps3cret", "-v"]})
    assert command == "command: a → a --db-password=*** --token *** -v"


def test_a_long_value_is_cut_and_one_that_differs_only_in_what_is_cut_says_so() -> None:
    long = "x" * 200
    [difference] = differences({"A": "y"}, {"A": long})
    assert difference.after is not None
    assert len(difference.after) == 80
    assert texts({"A": long + "1"}, {"A": long + "2"}) == ["A: another value (too long to be shown)"]


def test_control_characters_do_not_reach_a_screen() -> None:
    assert texts({"A": "a"}, {"A": "b\x1b[31m\n\tc"}) == ["A: a → b [31m c"]
