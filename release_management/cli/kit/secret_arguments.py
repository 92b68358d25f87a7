"""Remove passwords from the process's arguments, which everybody on the machine may read."""

import os
import sys
from collections.abc import Mapping, Sequence

from release_management.services.redaction import is_secret

VARIABLES: Mapping[str, str] = {"--store": "RELMAN_STORE", "--bus": "RELMAN_BUS", "--data": "RELMAN_DATA"}
"""Options that may hold a password, and the equivalent environment variables."""


def hide(original: Sequence[str]) -> None:
    """Re-execute this process with the passwords in its environment instead of its arguments.

    `original` is the whole command line, including the interpreter's part. Returns if there is no password.
    """
    arguments, variables = without_secrets(original)
    if variables:
        sys.stdout.flush()
        os.execve(sys.executable, arguments, {**os.environ, **variables})


def without_secrets(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return the arguments without the options that have a password, and the variables with their last values."""
    found = list(_options(arguments))
    secret = {option for _, option, value, _ in found if is_secret(value)}
    hidden = {index + part for index, option, _, length in found if option in secret for part in range(length)}
    variables = {VARIABLES[option]: value for _, option, value, _ in found if option in secret}
    return [argument for index, argument in enumerate(arguments) if index not in hidden], variables


def _options(arguments: Sequence[str]) -> "Sequence[tuple[int, str, str, int]]":
    """Return each option's index, its name, its value, and its number of arguments."""
    found = []
    for index, argument in enumerate(arguments):
        option, equals, value = argument.partition("=")
        if option not in VARIABLES:
            continue
        if equals:
            found.append((index, option, value, 1))
        elif index + 1 < len(arguments):
            found.append((index, option, arguments[index + 1], 2))
    return found
