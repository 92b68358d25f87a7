"""What the services need of the world, as Protocols. Adapters provide them; tests run one contract suite on each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from release_management.domain.orders import Order, Report
from release_management.domain.record import Recorded


@dataclass(frozen=True, slots=True)
class Expectation:
    """The version of a stream that a decision rests on.

    `base` is the stored version when the batch was begun; `seen` is the version that the decision saw, which is
    higher than `base` where earlier commands of the same batch had written. For a command that is alone they are equal.
    A stream that does not exist has version 0.
    """

    base: int
    seen: int


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A record to be stored as the given version of its stream."""

    stream: str
    version: int
    name: str
    record: bytes


@dataclass(frozen=True, slots=True)
class Append:
    """One command's decision. `expects` names every stream that it read or writes; `records` may be empty.

    `fingerprint` is a keyed digest of the command's content; `outcome` is what a repetition will be answered.
    """

    sender: str
    id: str
    fingerprint: bytes
    expects: Mapping[str, Expectation]
    records: tuple[NewRecord, ...]
    outcome: bytes


@dataclass(frozen=True, slots=True)
class Appended:
    """Stored. `first` and `last` are positions, both 0 where there was nothing to record."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Repeated:
    """The same command had been stored before; nothing was written now."""

    outcome: bytes
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class OtherContent:
    """The same sender used the same id for another content before; nothing was written."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """These streams have moved since they were read; nothing was written: load and decide again."""

    streams: tuple[str, ...]


Status = Appended | Repeated | OtherContent | Conflict


@dataclass(frozen=True, slots=True)
class StoredOutcome:
    """What the commands table holds of one command."""

    fingerprint: bytes
    outcome: bytes
    first: int
    last: int


class EventLog(Protocol):
    """The append-only log: gap-free positions from 1 in commit order, one writer at a time, bytes never rewritten."""

    @property
    def store_id(self) -> str:
        """The UUID made when the store was created."""
        ...

    def append(self, batch: Sequence[Append]) -> list[Status]:
        """Store a batch in one durable transaction; one status per command, in order.

        One command's conflict, repetition or refusal does not touch its neighbours, except those decided on it.
        """
        ...

    def read(self, after: int, limit: int = 500) -> list[Recorded]:
        """Records with positions `after + 1, after + 2, …`. Raises `GapError` where one is missing."""
        ...

    def read_stream(self, stream: str, after: int = 0) -> list[Recorded]:
        """All records of one stream with a version above `after`, in order."""
        ...

    def last_position(self) -> int:
        """The position of the newest record; 0 when there is none."""
        ...

    def outcome(self, sender: str, id: str) -> StoredOutcome | None:
        """What was stored of a command, or None."""
        ...

    def wait(self, after: int, timeout: float) -> bool:
        """Block until the log has a record beyond `after` (True), or `timeout` seconds have passed (False).

        Sees appends of other processes too.
        """
        ...

    def close(self) -> None:
        """Release the file. Reads of other threads must have ended."""
        ...


class Executor(Protocol):
    """Carries out step orders, each exactly once in effect."""

    async def carry_out(self, order: Order) -> Report:
        """Do what the order says, or say why not. Never raises; safe to call again with the same order."""
        ...


class Keyring(Protocol):
    """Names and keys, kept outside the log so that they can be erased while the log stays whole."""

    def actor_id(self, name: str, kind: str = "person") -> str:
        """The opaque id of an actor (`usr_…`, or `svc_…` for kind "service"), made at first sight."""
        ...

    def actor_name(self, actor: str) -> str | None:
        """The name behind an id; None where it was erased or never known."""
        ...

    def seal(self, subject: str, text: str) -> str:
        """Encrypt under the subject's key, made at first use."""
        ...

    def open(self, subject: str, sealed: str) -> str | None:
        """Decrypt; None where the key was destroyed."""
        ...

    def fingerprint(self, content: bytes) -> bytes:
        """A keyed HMAC-SHA-256 of a command's content."""
        ...

    def erase(self, subject: str) -> None:
        """Destroy the subject's key and forget its name."""
        ...


class Clock(Protocol):
    """The one source of time."""

    def now(self) -> datetime:
        """The time, timezone-aware, UTC."""
        ...
