"""The types that every aggregate shares: names, versions, percentages, durations, personal texts, facts.

Everything here validates strictly: a boolean is no number, a number is no string.
"""

import re
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

from release_management.kernel.errors import ErrorCode, RelmanError, known_code
from release_management.kernel.visible import visible

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_UNIT_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
MAX_SECONDS = 366 * 86400
MAX_DURATION_TEXT = 40
"""Characters; a longer text is not parsed."""
LOOKED_AT = 50
"""The number of a message's errors that are considered: it may have one in every byte."""
QUOTED = 80
"""Characters of an outside value that a sentence about it shows."""
DEEPEST = 12
LONGEST_SENTENCE = 1_000
KnownCode = Annotated[ErrorCode | None, BeforeValidator(known_code)]
"""A code in what another version may have written."""
_known = lru_cache(maxsize=4096)
"""Caches a check, since history repeats the same names and versions."""


def seconds(value: object) -> object:
    """Parse a duration: a number of seconds, or text such as `"90"`, `"5m"`, `"1h30m"`. Other values pass unchanged."""
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > MAX_SECONDS:
            raise ValueError(f"write at most {MAX_SECONDS} seconds, which are 366 days")
        return float(value)
    if not isinstance(value, str):
        return value
    if len(value) > MAX_DURATION_TEXT:
        raise ValueError(f"{value[:80]!r} is no duration; write at most {MAX_DURATION_TEXT} characters, such as 1h30m")
    text = value.strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return float(text)
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f'{value[:80]!r} is no duration; write seconds, or text such as "90s", "5m", "1h30m"')
    return float(sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts))


@_known
def plain_version(value: str) -> str:
    """Return the version. Raises `ValueError` if no application could have it."""
    if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,127}", value):
        raise ValueError(
            f"{value[:80]!r} is no version; write at most 128 letters, digits and . + _ -, such as 1.4.0 or 2026.11"
        )
    return value


@_known
def plain_name(value: str) -> str:
    """Return the name. Raises `ValueError` if it is malformed."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", value):
        raise ValueError(
            f"{value[:80]!r} is no name; write 1 to 63 of a-z, 0-9 and '-', beginning with a letter or digit"
        )
    return value


def _id(value: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value):
        raise ValueError(f"{value[:80]!r} is no id; an id has 36 characters, and the lists show it whole")
    return value


Id = Annotated[str, AfterValidator(_id)]
Name = Annotated[str, AfterValidator(plain_name)]
Version = Annotated[str, AfterValidator(plain_version)]
"""The application's numbering scheme decides on the rest, see `versions`."""
Percent = Annotated[int, Field(ge=0, le=100)]
Ratio = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, BeforeValidator(seconds), Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)]
Replicas = Annotated[int, Field(ge=1, le=100)]
Line = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")]
Note = Annotated[str, StringConstraints(max_length=4000)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
ActorId = Annotated[str, StringConstraints(pattern=r"^(usr|svc)_[0-9a-z]{8,40}$|^system:[a-z-]{1,40}$")]


class Value(BaseModel):
    """An immutable, strictly validated value. Unknown fields are refused.

    Its validator is built when it is first used: a process uses a few of the models that it imports.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", defer_build=True)


class Personal(Value):
    """A text that may name a person, sealed under `subject`'s key. So it stands in records; deciders never read it.

    Between the decision and the record it is `Unsealed`.
    """

    subject: ActorId = Field(description="whose key it is sealed under")
    sealed: Annotated[str, Field(min_length=1)] = Field(description="the encrypted text")


class Unsealed(Personal):
    """A text that may name a person, before the gateway has sealed it. It is never recorded."""

    sealed: Annotated[str, Field(max_length=0)] = ""
    text: Note


class Fact(Value):
    """An event that happened, in the past tense. `NAME` and `VERSION` are permanent once recorded."""

    NAME: ClassVar[str]
    VERSION: ClassVar[int] = 1

    def summary(self, described: str | None = None) -> str:
        """Return one line for people on what happened. Names of people never stand in it.

        `described` is the description of the fact's step, if it is about a step of the plan.
        """
        return self._summary()

    def _summary(self) -> str:
        return self.NAME.replace(".", " ").replace("_", " ")


class Giver(StrEnum):
    """The senders of a command: people and their programs, or one role of ours, and then nobody else."""

    PEOPLE = "people"
    ORCHESTRATOR = "orchestrator"
    TIMERS = "timers"
    EXECUTORS = "executors"


class Command(Value):
    """A request to change something, in the imperative. `NAME` is its type on the bus.

    `NEEDS_WORKERS`: it sets something going, so the orchestrator, the timers and the executors are started for it.
    `IS_DEADLINE`: the timers give it if something has not happened in time; it waits until the reports that were queued
    before have been decided.
    """

    NAME: ClassVar[str]
    GIVEN_BY: ClassVar[Giver] = Giver.PEOPLE
    NEEDS_WORKERS: ClassVar[bool] = False
    IS_DEADLINE: ClassVar[bool] = False


class Verdict(Value):
    """The answer of one rule to one command: `allow`, `deny`, or `wait` (perhaps until `retry_at`, RFC 3339)."""

    rule: str = Field(description="the rule that speaks")
    says: str = Field(pattern="^(allow|deny|wait)$", description="`allow`, `deny` or `wait`")
    reason: str = Field(description="why, in a sentence")
    retry_at: str | None = Field(None, description="when it is tried again; absent: it is not")


class Refused(RelmanError):
    """A command was refused. The text says what, where, and what would be right; `code` is the kind of the refusal."""

    def __init__(self, reason: str, verdicts: tuple[Verdict, ...] = (), *, code: ErrorCode) -> None:
        """`reason` is one sentence for a person; `verdicts` are the answers of all rules if several were asked."""
        super().__init__(reason, code=code)
        self.reason = reason
        self.verdicts = verdicts

    def __str__(self) -> str:
        """Return the reason with control characters made visible, since it quotes others' texts."""
        return visible(self.reason)


class NotYet(Exception):
    """A timer came before its due time, by a clock that is ahead of ours. Ask again later."""

    def __init__(self, retry_at: str) -> None:
        """`retry_at` is the due time, RFC 3339."""
        super().__init__(f"it is too early: this falls due at {retry_at}; ask again then")
        self.retry_at = retry_at


def quoted(value: object) -> str:
    """Return a value from outside as it stands in a sentence: at most 80 characters of it."""
    shown = repr(value[:QUOTED] if isinstance(value, str | bytes) else value)
    return shown if len(shown) <= QUOTED else f"{shown[: QUOTED - 1]}…"


def explain(error: Any) -> str:
    """Turn a pydantic `ValidationError` into one sentence: where, what is wrong, what came in."""
    parts = []
    found = error.errors(include_url=False, include_context=False)[:LOOKED_AT]
    places = [item["loc"] for item in found]
    causes = [i for i in found if not any(len(p) > len(i["loc"]) and p[: len(i["loc"])] == i["loc"] for p in places)]
    for item in causes[:3]:
        field = ".".join(str(piece)[:QUOTED] for piece in item["loc"][:DEEPEST]) or "the value"
        message = item["msg"].removeprefix("Value error, ")[:LONGEST_SENTENCE]
        shown = repr(item["input"])
        received = "" if shown in message or item["type"] == "missing" else f" (got {shown[:80]})"
        parts.append(f"{field}: {message}{received}")
    return "; ".join(parts)
