"""The suggestions for an unknown name are short and quick, however many names there are."""

from unittest.mock import patch

from release_management.kernel import suggestions
from release_management.kernel.suggestions import (
    COMPARED,
    SHOWN,
    does_not_exist,
    some,
)

MANY = [f"region-{number:04d}-production" for number in range(1_500)]


def test_few_names_are_all_shown_in_their_order() -> None:
    assert does_not_exist("environment", "moon", ()) == "environment 'moon' does not exist; known: none yet"
    assert does_not_exist("environment", "deb", ("prod", "dev")) == (
        "environment 'deb' does not exist; known: prod, dev"
    )
    assert some(list("abcdefghij")) == "a, b, c, d, e, f, g, h, i, j"


def test_of_many_names_those_that_begin_alike_are_shown_and_the_number_of_the_others() -> None:
    told = does_not_exist("environment", "region-0712-produktion", MANY)

    assert "'region-0712-produktion' does not exist; did you mean 'region-0712-production'? " in told
    assert "known: region-0712-production, region-0710-production, " in told
    assert told.endswith(" and 1,490 more")
    assert told.count("region-") == SHOWN + 2


def test_few_of_them_are_compared_letter_by_letter() -> None:
    with patch.object(suggestions, "get_close_matches", return_value=[]) as compared:
        does_not_exist("environment", "nowhere", MANY)

    [(_, names)] = [call.args for call in compared.call_args_list]
    assert len(names) == COMPARED
