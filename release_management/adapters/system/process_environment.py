"""The environments of child processes: lists of the variables that each may inherit, so that no secret is passed on.

- `inherited`: deployed processes, the programs of the executor `command`, HAProxy, git, and the bus's server;
- `of_role`: our own roles, which connect to PostgreSQL; their store's URL stands in the folder;
- `of_executor`: an executor, which also gets the variables that the operator names, for references to them
  (`env:NAME`).
"""

import os
import re
from collections.abc import Iterable

_INHERITED = [
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_*", "TZ", "TMPDIR"),
    *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV"),
]
_OF_EXECUTORS = [*_INHERITED, "PYTHON*"]
_OF_ROLES = [*_OF_EXECUTORS, "PG*"]
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\*?")
_OURS = "RELMAN_"


def inherited() -> dict[str, str]:
    """Return the part of our own environment that every child process gets: none of our secrets."""
    return _listed(_INHERITED)


def of_role() -> dict[str, str]:
    """Return the environment of a role that is no executor."""
    return _listed(_OF_ROLES)


def of_executor(passed: Iterable[str] = ()) -> dict[str, str]:
    """Return the environment of an executor.

    `passed` are further names that the operator lets through, or prefixes that end in `*`.
    """
    return _listed([*_OF_EXECUTORS, *passed])


def check_passed(name: str) -> None:
    """Raise `ValueError` if executors cannot be given a variable of this name."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a variable; write one, such as AWS_PROFILE or AWS_*")
    if name.startswith(_OURS) or (name.endswith("*") and _OURS.startswith(name[:-1])):
        raise ValueError(f"{name!r} would let {_OURS}… through, which is ours: no executor gets the store or the bus")


def is_there(name: str) -> bool:
    """Return True if our own environment has a variable of this name, or one with this prefix (`NAME*`)."""
    return bool(_listed([name]))


def _listed(names: Iterable[str]) -> dict[str, str]:
    """Return the variables on a list; a name that ends in `*` stands for all variables with this prefix."""
    exact = set(names)
    beginnings = tuple(name[:-1] for name in exact if name.endswith("*"))
    return {name: value for name, value in os.environ.items() if name in exact or name.startswith(beginnings)}
