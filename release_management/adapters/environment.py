"""The environments of the processes that we start: lists of what each may have of our own, so that no secret goes on.

- `inherited`: what is deployed, the programs of the executor `command`, HAProxy, git, and the bus's server;
- `of_role`: our own roles, which connect to PostgreSQL; their store stands in the folder;
- `of_executor`: an executor, whose orders may refer to any variable (`env:NAME`), but to none that is ours.
"""

import os

_INHERITED = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"}
_INHERITED |= {"PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV"}
_OF_ROLES = ("PG", "PYTHON", "SSL_CERT_")
_OURS = ("RELMAN_", "PG")


def inherited() -> dict[str, str]:
    """The part of our own environment that every process gets: none of our secrets."""
    return {name: os.environ[name] for name in sorted(_INHERITED) if name in os.environ}


def of_role() -> dict[str, str]:
    """What a role that is no executor gets."""
    return inherited() | {name: value for name, value in os.environ.items() if name.startswith(_OF_ROLES)}


def of_executor() -> dict[str, str]:
    """What an executor gets: neither the store nor the bus with their passwords."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
