"""The tier that an environment's name suggests."""

import pytest

from release_management.domain.tiers import (
    TIERS,
    Tier,
    suggested_tier,
    tier_of,
)

PRODUCTION = """
    prod prd prod2 prod-2 production-eu eu-production prd-us live live01 prod-canary prod-dr
    production.eu Production_EU us-east-1-prod 2prod
"""
NOT_PRODUCTION = """
    pre-prod preprod pre_production preproduction pre-production preprod-eu preprd pre-live pre-prod2
    non-production nonprod non-prod non_prod no-prod noprod not-production prod-like production-like-eu
    reproduction livestream products delivery prodigy olive staging-prod prod-staging prod-test
    test-production dev-prod qa-live prod-uat prod-ci
"""


@pytest.mark.parametrize("name", PRODUCTION.split())
def test_these_are_production(name: str) -> None:
    assert suggested_tier(name) == "production"


@pytest.mark.parametrize("name", NOT_PRODUCTION.split())
def test_these_are_not(name: str) -> None:
    assert suggested_tier(name) != "production"


@pytest.mark.parametrize(
    ("name", "tier"),
    [
        ("pre-prod", "staging"),
        ("preprod", "staging"),
        ("pre_production", "staging"),
        ("preprod-eu", "staging"),
        ("pre-staging", "staging"),
        ("stg", "staging"),
        ("stg2-eu", "staging"),
        ("uat", "staging"),
        ("staging-prod", "staging"),
        ("prod-test", "testing"),
        ("qa1", "testing"),
        ("tst", "testing"),
        ("dev2", "development"),
        ("development-eu", "development"),
        ("sandbox", "development"),
        ("dev-test", "development"),
    ],
)
def test_a_tier_follows_from_the_words_of_a_name(name: str, tier: Tier) -> None:
    assert suggested_tier(name) == tier


@pytest.mark.parametrize("name", ["box", "eu", "canary", "dr", "demo", "x", "7", "non-production", "nonprod", "no-dev"])
def test_a_name_that_suggests_no_tier_says_so(name: str) -> None:
    assert suggested_tier(name) is None
    assert tier_of(name) == "development"


@pytest.mark.parametrize("word", sorted(TIERS))
def test_a_number_or_a_region_does_not_change_a_word(word: str) -> None:
    for name in (word, f"{word}2", f"{word}-2", f"{word}-eu", f"eu-{word}", f"{word}01-eu-west-1"):
        assert suggested_tier(name) == TIERS[word]


@pytest.mark.parametrize("word", sorted(TIERS))
def test_no_word_begins_another_word(word: str) -> None:
    assert suggested_tier(f"{word}xyz") is None
    assert suggested_tier(f"xyz{word}") is None
