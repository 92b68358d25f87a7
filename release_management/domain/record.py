"""One event is one string of bytes: a CloudEvents 1.0 JSON document in structured mode.

The same bytes are stored, published, exported and hashed; they are never rewritten.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from release_management.domain.words import Fact, Value

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


@dataclass(frozen=True, slots=True)
class Recorded:
    """A stored record: its position in the log, its stream and version there, its event name, its bytes."""

    position: int
    stream: str
    version: int
    name: str
    record: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """A record that was read: the fact with its envelope and position. An upcast may give several per record."""

    position: int
    envelope: Envelope
    fact: Fact

    @property
    def stream(self) -> str:
        """The stream id, such as `release:shop@1.0.0`."""
        return self.envelope.subject

    @property
    def time(self) -> datetime:
        """When it was recorded, UTC."""
        return datetime.fromisoformat(self.envelope.time)


def encode(envelope: Envelope, fact: Fact) -> bytes:
    """The record's bytes: compact UTF-8 JSON, absent attributes omitted."""
    document = envelope.model_dump(exclude_none=True)
    document["data"] = fact.model_dump(mode="json", exclude_none=True)
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds and a `Z`."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
