"""Arguments stand in the list of processes, which everybody on the machine may read: passwords leave it at once."""

import os
import sys
from collections.abc import Mapping, Sequence

from release_management.services.redaction import is_secret

VARIABLES: Mapping[str, str] = {"--store": "RELMAN_STORE", "--bus": "RELMAN_BUS", "--data": "RELMAN_DATA"}
"""Options that may hold a password, and the variables that say the same."""


def hide(original: Sequence[str]) -> None:
    """Become the same process again without the passwords among its arguments, which its environment holds then.

    `original` is the whole command line, the interpreter's part included. Returns where there is none to hide.
    """
    arguments, variables = without_secrets(original)
    if variables:
        sys.stdout.flush()
        os.execve(sys.executable, arguments, {**os.environ, **variables})


def without_secrets(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The arguments without every option that has a password, and the variables that stand for its last value."""
    found = list(_options(arguments))
    secret = {option for _, option, value, _ in found if is_secret(value)}
    gone = {at + part for at, option, _, length in found if option in secret for part in range(length)}
    variables = {VARIABLES[option]: value for _, option, value, _ in found if option in secret}
    return [argument for at, argument in enumerate(arguments) if at not in gone], variables


def _options(arguments: Sequence[str]) -> "Sequence[tuple[int, str, str, int]]":
    """Where an option stands, which one, its value, and over how many arguments it goes."""
    found = []
    for at, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        if option not in VARIABLES:
            continue
        if equals:
            found.append((at, option, value, 1))
        elif at + 1 < len(arguments):
            found.append((at, option, arguments[at + 1], 2))
    return found
