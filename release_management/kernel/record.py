"""The record of one event: a CloudEvents 1.0 JSON document in structured mode, as bytes.

The same bytes are stored, published, exported and hashed; they are never rewritten. Data that would make a record too
long stand beside it as a content of their own; the record then names them by their digest (CloudEvents' `dataref`).
"""

import hashlib
import json
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, StringConstraints, ValidationError

from release_management.kernel.types import (
    Fact,
    Value,
    explain,
)

MAX_RECORD_BYTES = 65_535
MAX_CONTENT_BYTES = 16 * 1024 * 1024
"""The most bytes of one record's data that stand beside it."""
ActorKind = Literal["person", "service", "system"]
ActorAuth = Literal["asserted", "os", "system"]


class Envelope(Value):
    """The CloudEvents context attributes of a record, ours included; `data` is the fact.

    `dataref` is there instead of `data` where the fact is long: `sha256:` and the digest of its JSON, in hexadecimal.
    """

    specversion: Literal["1.0"] = Field("1.0", description="the version of CloudEvents")
    id: str = Field(description="the record's own UUID")
    source: str = Field(description="`urn:uuid:` and the id of the store, made when the store was created")
    type: Annotated[str, StringConstraints(pattern=r"^[a-z]+\.[a-z_]+$")] = Field(description="the event's name")
    subject: str = Field(description="the stream that it belongs to, such as `release:shop@1.0.0`")
    time: str = Field(description="when it was recorded, UTC")
    datacontenttype: Literal["application/json"] = Field("application/json", description="what `data` is")
    streamversion: Annotated[int, Field(ge=1)] = Field(description="its number in its stream, from 1")
    schemaversion: Annotated[int, Field(ge=1)] = Field(description="the version of the event's shape")
    actor: str = Field(description="who caused it, by an opaque id")
    actorkind: ActorKind = Field(description="what the actor is")
    actorauth: ActorAuth = Field(
        description="how the actor was known: `os` by the operating system, `asserted` by the caller's word only, "
        "`system` for our own machinery"
    )
    onbehalfof: str | None = Field(None, description="for whom the actor acted")
    correlationid: str | None = Field(None, description="what belongs together has the same")
    causationid: str | None = Field(None, description="the record that caused the command, where the machinery sent it")
    commandid: str = Field(description="the id of the command that was decided")
    dataref: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")] | None = Field(
        None,
        description="`sha256:` and the digest of the data, where they are too long for the record and stand beside "
        "it; `data` is absent then",
    )


DATA = b',"data":'
"""The beginning of a record's data, which come last. Quotes within JSON texts are escaped, so its first match is it."""
_read_envelope: Callable[[bytes], Envelope] = Envelope.__pydantic_validator__.validate_json


class Recorded(NamedTuple):
    """A stored record: its position in the log, its stream and version there, its event name, its bytes."""

    position: int
    stream: str
    version: int
    name: str
    record: bytes


class UnreadableRecordError(Exception):
    """A record cannot be read: its name or version is unknown, or its content does not fit."""


class Event:
    """A record that was read: the fact with its envelope and position. An upcast may give several per record.

    Only the fact is parsed at first; the envelope is parsed when it is needed.
    """

    __slots__ = ("_envelope", "fact", "position", "stream")

    def __init__(self, position: int, stream: str, envelope: Envelope | bytes, fact: Fact) -> None:
        """`stream` is the stream id, such as `release:shop@1.0.0`. `envelope` may still be the bytes of its record."""
        self.position = position
        self.stream = stream
        self.fact = fact
        self._envelope = envelope

    @property
    def envelope(self) -> Envelope:
        """The envelope of the fact. Raises `UnreadableRecordError`."""
        envelope = self._envelope
        if isinstance(envelope, bytes):
            context, separator, _ = envelope.partition(DATA)
            try:
                envelope = _read_envelope(context + b"}" if separator else context)
            except ValidationError as error:
                raise UnreadableRecordError(
                    f"record {self.position} ({self.fact.NAME}) does not fit its model: {explain(error)}"
                ) from None
            self._envelope = envelope
        return envelope


def encode(envelope: Envelope, fact: Fact) -> bytes:
    """Return the record's bytes with its data in it, however long: compact UTF-8 JSON, absent attributes omitted."""
    return _joined(_context(envelope), _data(fact))


def write(envelope: Envelope, fact: Fact) -> tuple[bytes, bytes | None]:
    """Return the record's bytes, and its data's if they would make it too long and stand beside it."""
    context, data = _context(envelope), _data(fact)
    record = _joined(context, data)
    if len(record) <= MAX_RECORD_BYTES:
        return record, None
    return _context(envelope.model_copy(update={"dataref": dataref(data)})), data


def dataref(content: bytes) -> str:
    """Return the name in a record of a content that stands beside it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def dataref_of(record: bytes) -> str | None:
    """Return the `dataref` of the content beside a record; None if the record has its data in it."""
    if DATA in record:
        return None
    found = json.loads(record).get("dataref")
    return found if isinstance(found, str) else None


def _context(envelope: Envelope) -> bytes:
    return envelope.__pydantic_serializer__.to_json(envelope, exclude_none=True)


def _data(fact: Fact) -> bytes:
    return fact.__pydantic_serializer__.to_json(fact, exclude_none=True)


def _joined(context: bytes, data: bytes) -> bytes:
    return b'%b,"data":%b}' % (context[:-1], data)


def timestamp(moment: datetime) -> str:
    """Return the time as RFC 3339 in UTC with microseconds and a `Z`."""
    return f"{moment.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
