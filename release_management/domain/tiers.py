"""Derive an environment's tier from its name."""

import re
from typing import Literal

Tier = Literal["development", "testing", "staging", "production"]
DEFAULT_TIER: Tier = "development"
"""The tier if a name suggests none."""
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
"""The words that suggest a tier; a number before or after one does not count."""
NOT = ("non", "no", "not")
"""Words that negate the next one."""


def suggested_tier(name: str) -> Tier | None:
    """Return the tier that a name suggests: `prod-eu` production, `pre-prod` staging; None if it suggests none.

    If a name suggests production and another tier, it is the other one: `prod-test` is a test. Of others the first
    counts.
    """
    words = [word.strip("0123456789") for word in re.split("[^a-z0-9]+", name.lower())]
    found: list[Tier] = []
    for index, word in enumerate(words):
        before = words[index - 1] if index else ""
        after = words[index + 1] if index + 1 < len(words) else ""
        tier = _tier(word, before)
        if tier is not None and after != "like":
            found.append(tier)
    return next((tier for tier in found if tier != "production"), found[0] if found else None)


def _tier(word: str, before: str) -> Tier | None:
    """Return the tier of a word after another one, be it `pre-prod` or `preprod`."""
    for prefix in ("pre", *NOT):
        if word.startswith(prefix) and word.removeprefix(prefix) in TIERS:
            before, word = prefix, word.removeprefix(prefix)
    tier = TIERS.get(word)
    if tier is None or before in NOT:
        return None
    return "staging" if before == "pre" and tier == "production" else tier


def tier_of(name: str) -> Tier:
    """Return the tier of an environment of which only the name is known."""
    return suggested_tier(name) or DEFAULT_TIER
