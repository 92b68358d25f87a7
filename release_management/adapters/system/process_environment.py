"""The environments of the processes that we start: lists of what each may have of our own, so that no secret goes on.

- `inherited`: what is deployed, the programs of the executor `command`, HAProxy, git, and the bus's server;
- `of_role`: our own roles, which connect to PostgreSQL; their store stands in the folder;
- `of_executor`: an executor, which also gets what the operator names, for variables that refer to it (`env:NAME`).
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
    """The part of our own environment that every process gets: none of our secrets."""
    return _listed(_INHERITED)


def of_role() -> dict[str, str]:
    """What a role that is no executor gets."""
    return _listed(_OF_ROLES)


def of_executor(passed: Iterable[str] = ()) -> dict[str, str]:
    """What an executor gets. `passed` are names that the operator lets through, or their beginnings with a `*`."""
    return _listed([*_OF_EXECUTORS, *passed])


def check_passed(name: str) -> None:
    """Raise `ValueError` where a name cannot be let through to executors."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a variable; write one, such as AWS_PROFILE or AWS_*")
    if name.startswith(_OURS) or (name.endswith("*") and _OURS.startswith(name[:-1])):
        raise ValueError(f"{name!r} would let {_OURS}… through, which is ours: no executor gets the store or the bus")


def is_there(name: str) -> bool:
    """Whether our own environment has a variable of this name, or one that begins so."""
    return bool(_listed([name]))


def _listed(names: Iterable[str]) -> dict[str, str]:
    """The variables that are on a list; a name with a `*` at its end stands for all that begin so."""
    exact = set(names)
    beginnings = tuple(name[:-1] for name in exact if name.endswith("*"))
    return {name: value for name, value in os.environ.items() if name in exact or name.startswith(beginnings)}
