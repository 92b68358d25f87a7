"""A process's variables. One whose value is only a reference, `env:NAME` or `file:PATH`, is read when the process
starts, and kept nowhere."""

import os
from collections.abc import Mapping
from pathlib import Path

_SCHEMES = ("env:", "file:")


class SecretMissing(Exception):
    """A secret that a variable refers to cannot be read."""


def check_environment(env: Mapping[str, str]) -> None:
    """Raise `ValueError` where a name or a value cannot stand in a process's environment."""
    for name, value in env.items():
        if not name or "=" in name or "\0" in name:
            raise ValueError(f"{name!r} is no environment variable; write a name without '='")
        if "\0" in value:
            raise ValueError(f"the value of {name} holds a NUL, which an environment cannot carry")


def resolve(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables with secrets in place of their references. Raises `SecretMissing`."""
    return {name: _read(name, value) if value.startswith(_SCHEMES) else value for name, value in variables.items()}


def without_secrets(text: str, variables: Mapping[str, str]) -> str:
    """A text that a process wrote, with the values of its secrets blotted out."""
    for name, value in variables.items():
        if value.startswith(_SCHEMES):
            try:
                secret = _read(name, value)
            except SecretMissing:
                continue
            if secret:
                text = text.replace(secret, "***")
    return text


def _read(name: str, reference: str) -> str:
    scheme, _, place = reference.partition(":")
    if scheme == "env":
        if place not in os.environ:
            raise SecretMissing(f"the variable {name} refers to {reference}, which the executor's environment lacks")
        return os.environ[place]
    try:
        return Path(place).read_text().rstrip("\r\n")
    except (OSError, ValueError) as error:
        raise SecretMissing(f"the variable {name} refers to {reference}, which cannot be read: {error}") from None
