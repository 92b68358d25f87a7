"""Limits of a process's environment variables."""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
LONGEST_VALUE = 100_000
"""Bytes. Linux accepts 131,072 for one variable with its name."""
LONGEST_IN_ALL = 1_000_000
"""Bytes. Linux accepts a quarter of the stack's limit, mostly 2 MiB, for all of them and the program's arguments."""


def fault_of_variables(variables: Mapping[str, str]) -> str | None:
    """Return why no process can have these variables, and what would be right; None if one can."""
    for name, value in variables.items():
        if not _NAME.fullmatch(name):
            return f"{name[:80]!r} is no variable; write letters, digits and _, beginning with none of the digits"
        if "\0" in value:
            return f"the value of {name} holds a NUL, which no environment can carry"
        if len(value.encode(errors="replace")) > LONGEST_VALUE:
            return f"the value of {name} is longer than {LONGEST_VALUE:,} bytes; write it into a file"
    total = sum(len(name) + len(value.encode(errors="replace")) + 2 for name, value in variables.items())
    if total > LONGEST_IN_ALL:
        return f"together they have {total:,} bytes and a process takes {LONGEST_IN_ALL:,}; write some into files"
    return None


def _usable(variables: dict[str, str]) -> dict[str, str]:
    if (fault := fault_of_variables(variables)) is not None:
        raise ValueError(fault)
    return variables


Variables = Annotated[dict[str, str], AfterValidator(_usable)]
