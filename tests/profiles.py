"""The profiles of the property tests: the same examples in every run, or many others at random."""

import os

from hypothesis import HealthCheck, settings

TIMES = "RELMAN_LAWS_TIMES"
"""The environment variable that says how many times the usual number of examples is tried; 0.2 is a fifth."""


def times(examples: int) -> int:
    """The number of examples of a property test: what is usual for it, or a multiple or a part of that."""
    return max(1, round(examples * float(os.environ.get(TIMES, "1"))))


def load() -> None:
    """Make the examples of every run the same; `--hypothesis-profile=explore` draws them at random.

    No example is kept from one run to the next in either case: the seed alone says what is tried.
    """
    common = settings(
        max_examples=times(100),
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        print_blob=True,
    )
    settings.register_profile("fixed", common, derandomize=True)
    settings.register_profile("explore", common, derandomize=False)
    settings.load_profile("fixed")
