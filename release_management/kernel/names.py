"""Names that people write are labels; an id is derived from each.

Spellings of one name differ in case, accents, or the characters between words: `Security Scan`, `security_scan` and
`security-scan` have the id `security-scan`. If an id cannot express a label (another script, a symbol, more than 63
characters), it ends with eight digits of the label's SHA-256, so that no two such names share one.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Annotated, Self, TypeVar

from pydantic import AfterValidator, BaseModel, Field, model_validator

from release_management.kernel.types import Line, Value

MAX_ID = 63
MAX_LABEL = 500
DIGITS = 8
NAMELESS = "name"
"""The beginning of the id of a label without any letter or digit that an id can have."""
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_KEPT = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_SPELLED = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"}
)


@lru_cache(maxsize=4096)
def id_of(label: str) -> str:
    """Return a label's id; an id is its own. Raises `ValueError` if it has none."""
    if _ID.fullmatch(label):
        return label
    shown = repr(label[:80])
    if len(label) > MAX_LABEL:
        raise ValueError(f"{shown} goes on for {len(label):,} characters; a name has at most {MAX_LABEL}")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in label):
        raise ValueError(f"{shown} is no name; write it on one line, without control characters")
    folded = unicodedata.normalize("NFKC", label).casefold().translate(_SPELLED)
    spelling = "-".join("".join(map(_in_a_word, folded)).split())
    if not spelling:
        raise ValueError(f"{shown} is no name; write at least one letter or digit")
    plain = unicodedata.normalize("NFKD", spelling)
    kept = "".join(character for character in plain if character in _KEPT)
    stem = "-".join(word for word in kept.split("-") if word)
    if (
        stem
        and len(stem) <= MAX_ID
        and all(character in _KEPT or unicodedata.combining(character) for character in plain)
    ):
        return stem
    digits = hashlib.sha256(spelling.encode()).hexdigest()[:DIGITS]
    return f"{(stem or NAMELESS)[: MAX_ID - DIGITS - 1].rstrip('-')}-{digits}"


def _in_a_word(character: str) -> str:
    """Return the character, a space if it separates words, nothing if it is invisible."""
    kind = unicodedata.category(character)
    if kind == "Cf" or "\ufe00" <= character <= "\ufe0f":
        return ""
    return " " if kind[0] in "ZP" else character


def has_an_id(written: str) -> str:
    """Return the name. Raises `ValueError` if it has no id."""
    id_of(written)
    return written


GivenName = Annotated[str, AfterValidator(id_of)]
"""A name as people write it; it becomes its id."""
Written = Annotated[str, AfterValidator(has_an_id)]
"""A name as people write it, kept so until `Labelled` has made an id and a label of it."""


class Labelled(Value):
    """A thing that is named here: `name` becomes its id, the written name its label unless one is stated."""

    name: Written = Field(description="its name")
    label: Line | None = Field(
        None, description="the name for people; absent: as it was written, where that is not the id"
    )

    @model_validator(mode="after")
    def _identify(self) -> Self:
        return identified(self, "name")


M = TypeVar("M", bound=Value)
V = TypeVar("V")


def identified(model: M, field: str) -> M:
    """Return the model, under construction, with the id in the field of the written name, and that as its label."""
    written: str = model.__dict__[field]
    id = id_of(written)
    if id != written:
        # It is frozen, and its maker would not get a copy.
        model.__dict__.update({field: id, "label": model.__dict__["label"] or written.strip()})
    return model


def by_id(values: Mapping[str, V], identify: Callable[[str], str] = id_of) -> dict[str, V]:
    """Return the values by ids; a value that can have a label and has none gets the written name.

    Raises `ValueError` if two of the names have one id.
    """
    written: dict[str, str] = {}
    found: dict[str, V] = {}
    for name, value in values.items():
        id = identify(name)
        if id in written:
            raise ValueError(f"{written[id]!r} and {name!r} are one name, {id}; name each once")
        written[id] = name
        if id != name and isinstance(value, BaseModel) and getattr(value, "label", "none") is None:
            value = value.model_copy(update={"label": name.strip()})
        found[id] = value
    return found


def ref_of(written: str) -> str:
    """Return `application@version` with the application's id; any other text stays."""
    application, separator, version = written.partition("@")
    return f"{id_of(application)}@{version}" if separator else written


GivenRef = Annotated[Line, AfterValidator(ref_of)]
"""A release as people write it."""
ByName = Annotated[dict[Written, V], AfterValidator(by_id)]
"""Values by names as people write them."""
