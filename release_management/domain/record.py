"""One event is one string of bytes: a CloudEvents 1.0 JSON document in structured mode.

The same bytes are stored, published, exported and hashed; they are never rewritten.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, StringConstraints, ValidationError

from release_management.domain.words import Fact, Value, explain

MAX_RECORD_BYTES = 65_535
ActorKind = Literal["person", "service", "system"]
ActorAuth = Literal["asserted", "os", "system"]


class Envelope(Value):
    """The CloudEvents context attributes of a record, ours included; `data` is the fact."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: Annotated[str, StringConstraints(pattern=r"^[a-z]+\.[a-z_]+$")]
    subject: str
    time: str
    datacontenttype: Literal["application/json"] = "application/json"
    streamversion: Annotated[int, Field(ge=1)]
    schemaversion: Annotated[int, Field(ge=1)]
    actor: str
    actorkind: ActorKind
    actorauth: ActorAuth
    onbehalfof: str | None = None
    correlationid: str | None = None
    causationid: str | None = None
    commandid: str


DATA = b',"data":'
"""What begins a record's data, which come last. A quote within a JSON text is escaped: the first of these is it."""
_read_envelope: Callable[[bytes], Envelope] = Envelope.__pydantic_validator__.validate_json


class Recorded(NamedTuple):
    """A stored record: its position in the log, its stream and version there, its event name, its bytes."""

    position: int
    stream: str
    version: int
    name: str
    record: bytes


class UnreadableRecordError(Exception):
    """A record that cannot be read: its name or version is unknown, or its content does not fit."""


class Event:
    """A record that was read: the fact with its envelope and position. An upcast may give several per record.

    What was read of the record's bytes is only its fact; the envelope follows when it is first asked for.
    """

    __slots__ = ("_envelope", "fact", "position", "stream")

    def __init__(self, position: int, stream: str, envelope: Envelope | bytes, fact: Fact) -> None:
        """`stream` is the stream id, such as `release:shop@1.0.0`. `envelope` may still be the record it stands in."""
        self.position = position
        self.stream = stream
        self.fact = fact
        self._envelope = envelope

    @property
    def envelope(self) -> Envelope:
        """The context of the fact. Raises `UnreadableRecordError`."""
        envelope = self._envelope
        if isinstance(envelope, bytes):
            try:
                envelope = _read_envelope(envelope.partition(DATA)[0] + b"}")
            except ValidationError as error:
                raise UnreadableRecordError(
                    f"record {self.position} ({self.fact.NAME}) does not fit its model: {explain(error)}"
                ) from None
            self._envelope = envelope
        return envelope


def encode(envelope: Envelope, fact: Fact) -> bytes:
    """The record's bytes: compact UTF-8 JSON, absent attributes omitted."""
    context = envelope.__pydantic_serializer__.to_json(envelope, exclude_none=True)
    data = fact.__pydantic_serializer__.to_json(fact, exclude_none=True)
    return b'%b,"data":%b}' % (context[:-1], data)


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds and a `Z`."""
    return f"{moment.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
