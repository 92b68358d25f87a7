"""The differences between two configurations, in words that may be shown to anybody."""

import json
import re
from collections.abc import Iterator, Mapping

from pydantic import Field, JsonValue

from release_management.kernel.types import Line, Value

LONGEST = 80
_HIDDEN = "(not shown)"
_SECRET = re.compile(
    r"(?i)passw|passphrase|pwd|secret|token|credential|api_?key|(^|[^a-z])(key|keys|pass|auth|authorization|private|salt)([^a-z]|$)"
)
_USERINFO = re.compile(r"(?<=://)[^/\s@]+(?=@)")
_ARGUMENT = re.compile(r"(?i)(-[\w-]*(?:passw|passphrase|pwd|secret|token|credential|key)[\w-]*[= ])\S+")
_REFERENCES = ("env:", "file:")


class Difference(Value):
    """One setting or variable, before and after; None: it is absent.

    A value that may be a secret is not contained; a reference (`env:NAME`, `file:PATH`) is.
    """

    name: Line = Field(description="the setting's or variable's name, with dots for what stands inside an object")
    before: Line | None = Field(
        None,
        description="its value as it was, shortened; absent: it was not there; a value that may be a secret is not "
        "shown",
    )
    after: Line | None = Field(
        None,
        description="its value as it becomes, shortened; absent: it is no more; a value that may be a secret is not "
        "shown",
    )

    def __str__(self) -> str:
        """Return the difference for people."""
        if self.before == self.after:
            return f"{self.name}: another value {_HIDDEN if self.before == _HIDDEN else '(too long to be shown)'}"
        return f"{self.name}: {self.before or 'not set'} → {self.after or 'not set'}"


def differences(before: Mapping[str, JsonValue], after: Mapping[str, JsonValue]) -> tuple[Difference, ...]:
    """Return the differences by name; a value inside an object has a name with dots, such as `env.GREETING`."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    return tuple(
        Difference(name=_line(name), before=_shown(name, old.get(name)), after=_shown(name, new.get(name)))
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    )


def _leaves(value: Mapping[str, JsonValue], path: str = "") -> Iterator[tuple[str, JsonValue]]:
    for name, item in value.items():
        if isinstance(item, dict) and item:
            yield from _leaves(item, f"{path}{name}.")
        else:
            yield f"{path}{name}", item


def discreet(name: str, value: object, text: str) -> str:
    """Return the text of a value with possible secrets hidden; a reference to one is shown."""
    if isinstance(value, str) and value.startswith(_REFERENCES):
        return text
    return _HIDDEN if _SECRET.search(name) else _ARGUMENT.sub(r"\1***", _USERINFO.sub("***", text))


def _shown(name: str, value: JsonValue) -> str | None:
    """Return a value for a screen: short, on one line, with possible secrets hidden."""
    if value is None:
        return None
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        text = " ".join(str(word) for word in value)
    else:
        text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    return _line(discreet(name, value, text))


def _line(text: str) -> str:
    printable = " ".join("".join(each if each.isprintable() else " " for each in text).split()) or '""'
    return printable if len(printable) <= LONGEST else printable[: LONGEST - 1] + "…"
