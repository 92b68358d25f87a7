"""A wish comes in, an outcome goes out: the one shape for every road into the gateway."""

import json
from typing import Annotated, Any, Literal

from pydantic import JsonValue, StringConstraints, ValidationError, field_validator

from release_management.domain.record import ActorAuth, ActorKind
from release_management.domain.words import Value, Verdict, explain

MAX_MESSAGE_BYTES = 256 * 1024
Token = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,200}$")]


class NotUnderstood(Exception):
    """A message that is no wish: what is wrong, where, and what would be right. It belongs to the dead letters."""


class Wish(Value):
    """A command with who wants it and how that is known. `(sender, id)` names it for ever.

    `actor` is the name that the actor goes by; `sender` is the program that sent it and must not begin with
    `system:` unless the road itself sends it (the adapters see to that).
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

    @field_validator("data")
    @classmethod
    def _recordable(cls, data: dict[str, JsonValue]) -> dict[str, JsonValue]:
        try:
            json.dumps(data, ensure_ascii=False, allow_nan=False).encode()
        except UnicodeEncodeError:
            raise ValueError("a text holds half of a character (a lone surrogate); send whole characters") from None
        except ValueError:
            raise ValueError("a number is NaN or infinite, which JSON has not") from None
        return data


Standing = Literal["accepted", "repeated", "refused", "busy"]


class Outcome(Value):
    """What became of a wish.

    *accepted*: recorded at positions `first` to `last` (both 0 where it was already so). *repeated*: the same wish had
    been decided before, this is its first outcome; `refused` says whether that was a refusal. *refused*: a rule
    forbids it, `reason` says which and what would be right. *busy*: not decided, try again later.
    """

    status: Standing
    sender: str
    id: str
    command: str
    refused: bool = False
    reason: str | None = None
    verdicts: tuple[Verdict, ...] = ()
    result: dict[str, JsonValue] = {}
    first: int = 0
    last: int = 0


def read_cloudevent(payload: bytes, *, actor: str | None, expected_type: str | None = None) -> Wish:
    """Read a command that came as a CloudEvents 1.0 JSON document.

    `source` is the sender, `id` the command id, `type` the command, `data` its content; the extension attributes
    `correlationid` and `causationid` are kept. `actor` is the bus header; without it the sender acts as a service.
    Raises `NotUnderstood`.
    """
    if len(payload) > MAX_MESSAGE_BYTES:
        raise NotUnderstood(f"the message has {len(payload):,} bytes; at most {MAX_MESSAGE_BYTES:,} are taken")
    try:
        document: Any = json.loads(payload, parse_constant=_no_such_number)
    except (ValueError, RecursionError) as error:
        raise NotUnderstood(f"the message is not JSON ({error}); send a CloudEvents 1.0 JSON document") from None
    if not isinstance(document, dict):
        raise NotUnderstood("the message is not a JSON object; send a CloudEvents 1.0 JSON document")
    missing = [name for name in ("specversion", "id", "source", "type", "data") if name not in document]
    if missing:
        raise NotUnderstood(
            f"the CloudEvents attribute {missing[0]!r} is missing; a command has specversion, id, source, type and data"
        )
    if document["specversion"] != "1.0":
        raise NotUnderstood(f"specversion is {document['specversion']!r}; it must be '1.0'")
    if expected_type is not None and document["type"] != expected_type:
        raise NotUnderstood(f"the type {document['type']!r} is not the subject's {expected_type!r}; they must agree")
    for name, value in (("source", document["source"]), ("actor", actor)):
        if str(value).startswith("system:"):
            raise NotUnderstood(f"the {name} may not begin with 'system:', which is reserved")
    try:
        return Wish(
            sender=document["source"],
            id=document["id"],
            command=document["type"],
            data=document["data"],
            actor=actor or document["source"],
            actorkind="person" if actor else "service",
            actorauth="asserted",
            onbehalfof=document.get("onbehalfof"),
            correlationid=document.get("correlationid"),
            causationid=document.get("causationid"),
        )
    except ValidationError as error:
        raise NotUnderstood(f"the message is no command: {explain(error)}") from None


def _no_such_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")
