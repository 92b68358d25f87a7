"""What an environment's name says of its tier."""

import re
from typing import Literal

Tier = Literal["development", "testing", "staging", "production"]
DEFAULT_TIER: Tier = "development"
"""Where a name says nothing."""
TIERS: dict[str, Tier] = {
    "dev": "development",
    "devel": "development",
    "development": "development",
    "local": "development",
    "sandbox": "development",
    "test": "testing",
    "testing": "testing",
    "tst": "testing",
    "qa": "testing",
    "ci": "testing",
    "integration": "testing",
    "stage": "staging",
    "staging": "staging",
    "stg": "staging",
    "stag": "staging",
    "uat": "staging",
    "acceptance": "staging",
    "prod": "production",
    "production": "production",
    "prd": "production",
    "live": "production",
}
"""The words that say a tier; a number before or behind one does not count."""
NOT = ("non", "no", "not")
"""Before a word, these say that it is not that."""


def said_tier(name: str) -> Tier | None:
    """The tier that a name says: `prod-eu` production, `pre-prod` staging; None where it says nothing.

    What names production and another tier is the other one: `prod-test` is a test. Of others the first counts.
    """
    words = [word.strip("0123456789") for word in re.split("[^a-z0-9]+", name.lower())]
    said: list[Tier] = []
    for at, word in enumerate(words):
        before = words[at - 1] if at else ""
        after = words[at + 1] if at + 1 < len(words) else ""
        tier = _tier(word, before)
        if tier is not None and after != "like":
            said.append(tier)
    return next((tier for tier in said if tier != "production"), said[0] if said else None)


def _tier(word: str, before: str) -> Tier | None:
    """The tier of a word after another one, be it `pre-prod` or `preprod`."""
    for prefix in ("pre", *NOT):
        if word.startswith(prefix) and word.removeprefix(prefix) in TIERS:
            before, word = prefix, word.removeprefix(prefix)
    tier = TIERS.get(word)
    if tier is None or before in NOT:
        return None
    return "staging" if before == "pre" and tier == "production" else tier


def tier_of(name: str) -> Tier:
    """The tier of an environment of which only the name is known."""
    return said_tier(name) or DEFAULT_TIER
