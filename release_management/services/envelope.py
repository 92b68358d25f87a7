"""The command envelope goes in, an outcome comes out: the one shape for every way into the gateway."""

import json
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue, StringConstraints, ValidationError, field_validator

from release_management.kernel.errors import (
    ErrorCode,
    RelmanError,
)
from release_management.kernel.record import ActorAuth, ActorKind
from release_management.kernel.types import (
    Giver,
    KnownCode,
    Value,
    Verdict,
    explain,
    quoted,
)
from release_management.services.strict_json import (
    KeyTwiceError,
    check_texts,
    read_json,
)

MAX_MESSAGE_BYTES = 256 * 1024
CLIENT = "client"
SYSTEM = "system"
SYSTEM_SENDERS = ("system:orchestrator", "system:timers")
NAMED = "client:"
"""The beginning of a named client's sender; the name follows."""
ROLES = ("system:", "executor:")
"""The beginnings of the senders of our own roles."""
RESERVED = (*ROLES, NAMED)
"""The reserved beginnings of a client's name."""
Token = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,200}$")]


_plain = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


class InvalidCommand(RelmanError):
    """A message is no command: it says what is wrong, where, and what would be right. It becomes a dead letter."""

    code = ErrorCode.INVALID


class CommandEnvelope(Value):
    """A command with its actor and how the actor is known. `(sender, id)` identifies it for ever.

    `actor` is the actor's name; `sender` is the program that sent it and must not begin with `system:` unless a role of
    ours sends it (the adapters check that).
    """

    sender: Token
    id: Token
    command: Annotated[str, StringConstraints(pattern=r"^[a-z]+\.[a-z_]+$", max_length=80)]
    data: dict[str, JsonValue]
    actor: Token
    actorkind: ActorKind
    actorauth: ActorAuth
    onbehalfof: Token | None = None
    correlationid: Token | None = None
    causationid: Token | None = None

    @field_validator("onbehalfof")
    @classmethod
    def _person(cls, name: str | None) -> str | None:
        if name is not None and name.startswith(RESERVED):
            raise ValueError(f"{name[:80]!r} begins with what is reserved for our own; name a person")
        return name

    @field_validator("data", mode="before")
    @classmethod
    def _storable(cls, data: object) -> object:
        check_texts(data)
        return data

    @field_validator("data")
    @classmethod
    def _recordable(cls, data: dict[str, JsonValue]) -> dict[str, JsonValue]:
        try:
            _plain(data).encode()
        except UnicodeEncodeError:
            raise ValueError("a text holds half of a character (a lone surrogate); send whole characters") from None
        except ValueError:
            raise ValueError("a number is NaN or infinite, which JSON has not") from None
        return data


OutcomeStatus = Literal["accepted", "repeated", "refused", "busy"]


class Outcome(Value):
    """The outcome of a command.

    *accepted*: recorded at positions `first` to `last` (both 0 if it was already so). *repeated*: the same command had
    been decided before, this is its first outcome; `refused` says whether that was a refusal. *refused*: a rule forbids
    it, `reason` says which and what would be right. *busy*: not decided, try again later. `code` is the kind of a
    refusal, or why it was not decided; outcomes from before there were codes have none.
    """

    status: OutcomeStatus = Field(description="what became of it")
    sender: str = Field(description="who sent it")
    id: str = Field(description="its id")
    command: str = Field(description="its name")
    refused: bool = Field(False, description="whether it was refused, also where it is a repetition")
    code: KnownCode = Field(
        None,
        description="the kind of a refusal, or of what kept it from being decided; outcomes of before there were "
        "codes have none",
    )
    reason: str | None = Field(None, description="why not, in a sentence")
    verdicts: tuple[Verdict, ...] = Field((), description="what every rule said, where the rules were asked")
    result: dict[str, JsonValue] = Field({}, description="what the command gives: ids, phases, plans")
    first: int = Field(0, description="the position of its first record; 0 where nothing was recorded")
    last: int = Field(0, description="the position of its last record; 0 where nothing was recorded")


def read_cloudevent(
    payload: bytes, *, actor: str | None, expected_type: str | None = None, origin: str = CLIENT
) -> CommandEnvelope:
    """Parse a command from a CloudEvents 1.0 JSON document.

    `source` is the sender, `id` the command id, `type` the command, `data` its content; the extension attributes
    `correlationid` and `causationid` are kept. `actor` is the bus header; without it the sender acts as a service.
    `origin` is who can have sent it, by the subject on which it came: `CLIENT`, `client:<name>`, `SYSTEM`, or
    `executor:<name>`; a `source` that the origin may not use, or a command that it may not give, is an error.
    `client:<name>` and a colon are put before the `source` of a named client. Raises `InvalidCommand`.
    """
    if len(payload) > MAX_MESSAGE_BYTES:
        raise InvalidCommand(f"the message has {len(payload):,} bytes; at most {MAX_MESSAGE_BYTES:,} are taken")
    try:
        document: Any = read_json(payload)
    except KeyTwiceError as error:
        raise InvalidCommand(f"the message says two things at once: {error}") from None
    except (ValueError, RecursionError) as error:
        raise InvalidCommand(f"the message is not JSON ({error}); send a CloudEvents 1.0 JSON document") from None
    if not isinstance(document, dict):
        raise InvalidCommand("the message is not a JSON object; send a CloudEvents 1.0 JSON document")
    missing = [name for name in ("specversion", "id", "source", "type", "data") if name not in document]
    if missing:
        raise InvalidCommand(
            f"the CloudEvents attribute {missing[0]!r} is missing; a command has specversion, id, source, type and data"
        )
    if document["specversion"] != "1.0":
        raise InvalidCommand(f"specversion is {quoted(document['specversion'])}; it must be '1.0'")
    if expected_type is not None and document["type"] != expected_type:
        kinds = quoted(document["type"]), quoted(expected_type)
        raise InvalidCommand(f"the type {kinds[0]} is not the subject's {kinds[1]}; they must agree")
    _check_origin(origin, str(document["source"]), str(document["type"]), actor)
    machinery = origin == SYSTEM
    source = document["source"]
    sender = sender_of(origin, source) if isinstance(source, str) else source
    try:
        return CommandEnvelope(
            sender=sender,
            id=document["id"],
            command=document["type"],
            data=document["data"],
            actor=actor or sender,
            actorkind="system" if machinery else "person" if actor else "service",
            actorauth="system" if machinery else "asserted",
            onbehalfof=document.get("onbehalfof"),
            correlationid=document.get("correlationid"),
            causationid=document.get("causationid"),
        )
    except ValidationError as error:
        raise InvalidCommand(f"the message is no command: {explain(error)}") from None


def sender_of(origin: str, source: str) -> str:
    """Return the sender for a `source`: that of a named client begins with its name, so that its ids are its own."""
    if not origin.startswith(NAMED) or source.startswith(f"{origin}:"):
        return source
    return f"{origin}:{source}"


def _check_origin(origin: str, source: str, command: str, actor: str | None) -> None:
    """Raise `InvalidCommand` if the origin may not use this source, or may not give this command."""
    # Imported here: a client, which only writes envelopes, need not load every command.
    from release_management.services.use_cases import declaration, given_by

    giver = declaration(command).GIVEN_BY
    if origin == CLIENT or origin.startswith(NAMED):
        if origin != CLIENT:
            source = source.removeprefix(f"{origin}:")
        for name, value in (("source", source), ("actor", actor or "")):
            for prefix in RESERVED:
                if value.startswith(prefix):
                    raise _denied(f"the {name} may not begin with {prefix!r}, which is reserved")
        if giver is Giver.EXECUTORS:
            raise _denied(f"{command} is what executors report; it is taken on relman.reports.<executor> only")
        if giver is not Giver.PEOPLE:
            raise _denied(f"{command} is given by the orchestrator and the timers only; nobody else can")
        return
    if actor is not None:
        raise _denied("a report and a command of the machinery have no actor; they are their sender's own")
    if origin == SYSTEM:
        if source not in SYSTEM_SENDERS:
            raise _denied(f"the source is {quoted(source)}; here it must be one of {', '.join(SYSTEM_SENDERS)}")
        return
    if source != origin:
        raise _denied(f"the source is {quoted(source)}; on this subject it must be {quoted(origin)}")
    if giver is not Giver.EXECUTORS:
        reports = ", ".join(sorted(given_by(Giver.EXECUTORS)))
        raise _denied(f"{command[:80]} is no report; executors send {reports}")


def _denied(reason: str) -> InvalidCommand:
    return InvalidCommand(reason, code=ErrorCode.DENIED)
