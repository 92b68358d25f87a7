"""A process's variables. A value that is a reference, `env:NAME` or `file:PATH`, is resolved when the process starts.

The secret is stored nowhere; this process remembers it, to redact it in the output of the component's processes.
"""

import os
import stat
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from release_management.adapters.executors.base.masking import SecretMask
from release_management.domain.variables import LONGEST_VALUE

SECRETS = "RELMAN_SECRETS"
"""A variable that lists the names of a process's secret variables, separated by commas."""
REMEMBERED = 200
_SCHEMES = ("env:", "file:")
_OURS = "RELMAN_"
_remembered: dict[Path, list[str]] = {}
_remembering = threading.Lock()


class SecretMissing(Exception):
    """A secret that a variable refers to cannot be read."""


class ComponentFolder(Protocol):
    """The component that the variables belong to: its folder, and the executor's, in which it lies."""

    path: Path

    @property
    def data(self) -> Path:
        """The executor's folder."""
        ...


def check_environment(env: Mapping[str, str]) -> None:
    """Raise `ValueError` if a name or a value cannot be in a process's environment."""
    for name, value in env.items():
        if not name or "=" in name or "\0" in name:
            raise ValueError(f"{name!r} is no environment variable; write a name without '='")
        if "\0" in value:
            raise ValueError(f"the value of {name} holds a NUL, which an environment cannot carry")
        if len(value.encode(errors="surrogatepass")) > LONGEST_VALUE:
            raise ValueError(f"the value of {name} is longer than {LONGEST_VALUE:,} bytes; write it into a file")


def check_arguments(words: Iterable[str]) -> None:
    """Raise `ValueError` if a word cannot be an argument of a program."""
    for word in words:
        if "\0" in word:
            raise ValueError("a word holds a NUL, which no program can be given; leave it away")
        if len(word.encode(errors="surrogatepass")) > LONGEST_VALUE:
            raise ValueError(f"a word is longer than {LONGEST_VALUE:,} bytes; write it into a file")


def resolve(variables: Mapping[str, str], component: ComponentFolder) -> dict[str, str]:
    """Return the variables with secrets in place of references, and a list of their names. Raises `SecretMissing`."""
    secrets = {name: _read(name, value, component.data) for name, value in _references(variables)}
    _remember(component, secrets.values())
    return {**variables, **secrets, **({SECRETS: ",".join(sorted(secrets))} if secrets else {})}


def secret_mask(variables: Mapping[str, str], component: ComponentFolder) -> SecretMask:
    """Return a redactor of these variables' present secrets, and of all that the component's processes had before."""
    for name, value in _references(variables):
        try:
            _remember(component, [_read(name, value, component.data)])
        except SecretMissing:
            continue
    with _remembering:
        return SecretMask(list(_remembered.get(component.path, ())))


def learn(component: ComponentFolder, environment: Mapping[str, str]) -> None:
    """Remember the secrets of a process that was started before us, by its environment."""
    names = environment.get(SECRETS, "").split(",")
    _remember(component, [environment[name] for name in names if name in environment])


def _references(variables: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in variables.items() if value.startswith(_SCHEMES)]


def _remember(component: ComponentFolder, values: Iterable[str]) -> None:
    with _remembering:
        known = _remembered.setdefault(component.path, [])
        for value in values:
            if value in known:
                known.remove(value)
            known.append(value)
        del known[:-REMEMBERED]


def _read(name: str, reference: str, data: Path) -> str:
    scheme, _, place = reference.partition(":")
    subject = f"the variable {name} refers to {reference}, which"
    if scheme == "env":
        if place.startswith(_OURS):
            raise SecretMissing(f"{subject} is ours: no process that is deployed gets a {_OURS}… of the executor")
        if place not in os.environ:
            raise SecretMissing(
                f"{subject} the executor's environment lacks; set it and let it through: relman up --pass-env {place}"
            )
        value = os.environ[place]
    else:
        value = _content(place, subject, data)
    if "\0" in value or len(value.encode(errors="surrogateescape")) > LONGEST_VALUE:
        raise SecretMissing(
            f"{subject} holds a NUL, or more than {LONGEST_VALUE:,} bytes; no variable can carry that: name the file's "
            "path in a variable of its own"
        )
    return value


def _content(place: str, subject: str, data: Path) -> str:
    """Read a secret's file. Its properties are checked on the open file, so that it cannot be replaced meanwhile."""
    try:
        file = os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SecretMissing(f"{subject} cannot be read: {reason}") from None
    with open(file, "rb") as opened:
        found = os.fstat(file)
        real = _real_path(file, place)
        if not stat.S_ISREG(found.st_mode) or real.parts[1:2] == ("proc",):
            raise SecretMissing(f"{subject} is no regular file")
        if real.is_relative_to(data.resolve()) or (found.st_nlink > 1 and _lies_in(data, found)):
            raise SecretMissing(f"{subject} lies in the folder of relman itself, {data}; keep secrets elsewhere")
        try:
            return opened.read(LONGEST_VALUE + 2).decode().rstrip("\r\n")
        except (OSError, ValueError) as error:
            raise SecretMissing(f"{subject} cannot be read: {error}") from None


def _real_path(file: int, place: str) -> Path:
    """Return the real path of an open file, whatever links led to it."""
    known = Path(f"/proc/self/fd/{file}")
    return Path(os.path.realpath(known if known.parent.is_dir() else place))


def _lies_in(data: Path, found: os.stat_result) -> bool:
    """Return True if a file has another name in the folder."""
    for folder, _, names in os.walk(data):
        for name in names:
            try:
                seen = os.lstat(os.path.join(folder, name))
            except OSError:
                continue
            if (seen.st_dev, seen.st_ino) == (found.st_dev, found.st_ino):
                return True
    return False
