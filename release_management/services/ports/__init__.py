"""The ports to the outside, as Protocols. Adapters implement them; tests run one contract suite on each."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from release_management.domain.orders import Order, Report
from release_management.kernel.errors import ErrorCode, RelmanError
from release_management.kernel.record import Recorded


@dataclass(frozen=True, slots=True)
class Expectation:
    """The version of a stream on which a decision depends.

    `base` is the stored version when the batch was begun; `seen` is the version that the decision saw, which is higher
    than `base` if earlier commands of the same batch had written. For a lone command they are equal. A stream that does
    not exist has version 0.
    """

    base: int
    seen: int


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A record to be stored as the given version of its stream, with its content if that stands beside it."""

    stream: str
    version: int
    name: str
    record: bytes
    content: bytes | None = None

    @property
    def size(self) -> int:
        """The bytes of the record and of its content."""
        return len(self.record) + len(self.content or b"")


@dataclass(frozen=True, slots=True)
class Append:
    """One command's decision. `expects` names every stream that it read or writes; `records` may be empty.

    `fingerprint` is a keyed digest of the command's content; `outcome` is the answer to a repetition.
    """

    sender: str
    id: str
    fingerprint: bytes
    expects: Mapping[str, Expectation]
    records: tuple[NewRecord, ...]
    outcome: bytes


@dataclass(frozen=True, slots=True)
class Appended:
    """Stored. `first` and `last` are positions, both 0 if there was nothing to record."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Repeated:
    """The same command had been stored before; nothing was written now."""

    outcome: bytes
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class IdReused:
    """The same sender used the same id for another content before; nothing was written."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """These streams have moved since they were read; nothing was written: load and decide again."""

    streams: tuple[str, ...]


Status = Appended | Repeated | IdReused | Conflict


CommandKey = tuple[str, str]
"""A command's sender and id."""


@dataclass(frozen=True, slots=True)
class StoredOutcome:
    """The row of one command in the commands table."""

    fingerprint: bytes
    outcome: bytes
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A stream's folded state at a version, stored so that a long stream need not be folded from its beginning.

    `shape` names the code that folded it; another shape's snapshot is of no use. `record` is the SHA-256 of the record
    at `version`, in hexadecimal: if the stream has another one there, the log was restored from a copy.
    """

    version: int
    shape: str
    record: str
    state: bytes


class LogUnavailableError(RelmanError):
    """The log cannot be read or written now. Trying again may help."""

    code = ErrorCode.UNAVAILABLE


class LogDamagedError(RelmanError):
    """The log is damaged. Trying again does not help; a person must restore it."""

    code = ErrorCode.UNUSABLE


class ClockJumpedError(RelmanError):
    """The clock has jumped so far ahead that nothing may be recorded by it. A person must look."""

    code = ErrorCode.UNUSABLE


class DeposedError(RelmanError):
    """Another process holds the role now. Nothing was written."""

    code = ErrorCode.BUSY


class Lease(Protocol):
    """A role that one process at a time holds, until it releases it or dies."""

    @property
    def role(self) -> str:
        """The leased role."""
        ...

    @property
    def number(self) -> int:
        """The number of this lease, which rises with every holder; an append under an older one is refused."""
        ...

    def is_held(self) -> bool:
        """Return True while the role is held. The holder calls this at least once a second, which keeps the lease
        alive.

        Raises `LogUnavailableError`.
        """
        ...

    def release(self) -> None:
        """Let another process take the role. Safe to repeat."""
        ...


class EventLog(Protocol):
    """The append-only log: gap-free positions from 1 in commit order, one writer at a time, bytes never rewritten.

    Every method may raise `LogUnavailableError` and `LogDamagedError`.
    """

    @property
    def store_id(self) -> str:
        """The UUID made when the store was created."""
        ...

    def append(self, batch: Sequence[Append], lease: Lease | None = None) -> list[Status]:
        """Store a batch in one durable transaction; return one status per command, in order.

        A command's conflict, repetition or refusal affects only those commands of the batch that were decided on it.
        Raises `DeposedError` if another process has taken the role since `lease` was given. Any other error means that
        a command holds what cannot be stored, and that nothing of the batch was.
        """
        ...

    def read(self, after: int, limit: int = 500) -> list[Recorded]:
        """Return the records with positions `after + 1, after + 2, …`. Raises `GapError` if one is missing."""
        ...

    def read_stream(self, stream: str, after: int = 0) -> list[Recorded]:
        """Return all records of one stream with a version above `after`, in order."""
        ...

    def content(self, dataref: str) -> bytes:
        """Return the data that stand beside the records with this `dataref`, as they were stored.

        Raises `LogDamagedError` if they are missing, or do not match the `dataref`.
        """
        ...

    def last_position(self) -> int:
        """Return the position of the newest record, or 0."""
        ...

    def outcomes(self, commands: Collection[CommandKey]) -> dict[CommandKey, StoredOutcome]:
        """Return the stored outcomes of those commands that have one."""
        ...

    def snapshot(self, stream: str, shape: str) -> Snapshot | None:
        """Return the newest snapshot of a stream in this shape, or None."""
        ...

    def keep_snapshot(self, stream: str, snapshot: Snapshot) -> None:
        """Store a snapshot in place of the stream's earlier one. It may be lost, since it can be made again."""
        ...

    def take(self, role: str) -> Lease | None:
        """Take a role that nobody holds; None if somebody does.

        A holder that dies can be replaced within 5 seconds. Raises if it has stored records that this program cannot
        read.
        """
        ...

    def wait(self, after: int, timeout: float) -> bool:
        """Block until the log has a record beyond `after` (True), or `timeout` seconds have passed (False).

        Sees appends of other processes too.
        """
        ...

    def close(self) -> None:
        """Release the store. Reads of other threads must have ended."""
        ...


class Executor(Protocol):
    """Carries out step orders, each exactly once in effect."""

    async def carry_out(self, order: Order) -> Report:
        """Carry out an order and return its report, which says why if it was not done. Never raises; safe to repeat."""
        ...


class Keyring(Protocol):
    """Names and keys, kept outside the log so that they can be erased while the log stays whole."""

    def actor_id(self, name: str, kind: str = "person") -> str:
        """Return the opaque id of an actor (`usr_…`, or `svc_…` for kind "service"), made and stored at first sight."""
        ...

    def find_actor(self, name: str, kind: str) -> str | None:
        """Return the id of an actor, or None if it has none yet."""
        ...

    def new_actor(self, kind: str) -> str:
        """Return a new random id."""
        ...

    def actor_name(self, actor: str) -> str | None:
        """Return the name behind an id; None if it was erased or never known."""
        ...

    def keep(self, actors: Mapping[tuple[str, str], str], keys: Mapping[str, bytes]) -> bool:
        """Store the ids of actors (by name and kind) and the keys of subjects, in one commit.

        If one of them has another already, nothing is stored, and it returns False.
        """
        ...

    def seal(self, subject: str, text: str, fresh: dict[str, bytes] | None = None) -> str:
        """Encrypt under the subject's key. A subject without one gets one: stored, or put into `fresh` for `keep`."""
        ...

    def open(self, subject: str, sealed: str) -> str | None:
        """Decrypt; None if the key was destroyed."""
        ...

    def fingerprint(self, content: bytes) -> bytes:
        """Return a keyed HMAC-SHA-256 of a command's content."""
        ...

    def erase(self, subject: str) -> None:
        """Destroy the subject's key and forget its name."""
        ...

    def close(self) -> None:
        """Release the store."""
        ...


class Clock(Protocol):
    """The one source of time."""

    def now(self) -> datetime:
        """Return the time, timezone-aware, UTC. A clock for recording may raise `ClockJumpedError`."""
        ...
