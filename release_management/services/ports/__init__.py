"""What the services need of the world, as Protocols. Adapters provide them; tests run one contract suite on each."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from release_management.domain.orders import Order, Report
from release_management.kernel.errors import ErrorCode, RelmanError
from release_management.kernel.record import Recorded


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
    """A record to be stored as the given version of its stream, with its data where they stand beside it."""

    stream: str
    version: int
    name: str
    record: bytes
    content: bytes | None = None

    @property
    def size(self) -> int:
        """Its bytes, those beside it included."""
        return len(self.record) + len(self.content or b"")


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
    """What the commands table holds of one command."""

    fingerprint: bytes
    outcome: bytes
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A stream's folded state at a version, kept so that a long stream need not be folded from its beginning.

    `shape` names the code that folded it; another shape's snapshot is of no use. `record` is the SHA-256 of the record
    at `version`, in hexadecimal: where the stream has another one there, the log was restored from a copy.
    """

    version: int
    shape: str
    record: str
    state: bytes


class LogUnavailableError(RelmanError):
    """The log cannot be read or written now. Trying again may help."""

    code = ErrorCode.UNAVAILABLE


class LogDamagedError(RelmanError):
    """The log is damaged, whatever is asked of it. Trying again does not help; a person must restore it."""

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
        """Which one."""
        ...

    @property
    def number(self) -> int:
        """Rises with every holder of the role; an append under an older one is refused."""
        ...

    def is_held(self) -> bool:
        """Whether it still is; asked at least once a second by its holder, which keeps it alive.

        Raises `LogUnavailableError`.
        """
        ...

    def release(self) -> None:
        """Let another process have the role. Safe to repeat."""
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
        """Store a batch in one durable transaction; one status per command, in order.

        One command's conflict, repetition or refusal does not touch its neighbours, except those decided on it.
        Raises `DeposedError` where another process has taken the role since `lease` was given. Any other error means
        that a command holds what cannot be stored, and that nothing of the batch was.
        """
        ...

    def read(self, after: int, limit: int = 500) -> list[Recorded]:
        """Records with positions `after + 1, after + 2, …`. Raises `GapError` where one is missing."""
        ...

    def read_stream(self, stream: str, after: int = 0) -> list[Recorded]:
        """All records of one stream with a version above `after`, in order."""
        ...

    def content(self, dataref: str) -> bytes:
        """The data that stand beside the records with this `dataref`, as they were stored.

        Raises `LogDamagedError` where they are not there, or are not what the `dataref` says.
        """
        ...

    def last_position(self) -> int:
        """The position of the newest record; 0 when there is none."""
        ...

    def outcomes(self, commands: Collection[CommandKey]) -> dict[CommandKey, StoredOutcome]:
        """What was stored of commands, as many of them as there are."""
        ...

    def snapshot(self, stream: str, shape: str) -> Snapshot | None:
        """The newest snapshot of a stream in this shape, or None."""
        ...

    def keep_snapshot(self, stream: str, snapshot: Snapshot) -> None:
        """Keep a snapshot in place of the stream's earlier one. It may be lost: it can be made again."""
        ...

    def take(self, role: str) -> Lease | None:
        """Take a role that nobody holds; None where somebody does.

        A holder that dies is followed within 5 seconds. Raises where it has stored what this program cannot read.
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
        """Do what the order says, or say why not. Never raises; safe to call again with the same order."""
        ...


class Keyring(Protocol):
    """Names and keys, kept outside the log so that they can be erased while the log stays whole."""

    def actor_id(self, name: str, kind: str = "person") -> str:
        """The opaque id of an actor (`usr_…`, or `svc_…` for kind "service"), made and stored at first sight."""
        ...

    def find_actor(self, name: str, kind: str) -> str | None:
        """The id of an actor; None where he has none yet."""
        ...

    def new_actor(self, kind: str) -> str:
        """An id that nobody has."""
        ...

    def actor_name(self, actor: str) -> str | None:
        """The name behind an id; None where it was erased or never known."""
        ...

    def keep(self, actors: Mapping[tuple[str, str], str], keys: Mapping[str, bytes]) -> bool:
        """Store the ids of actors (by name and kind) and the keys of subjects, in one commit.

        False where one of them has another already: then nothing is stored.
        """
        ...

    def seal(self, subject: str, text: str, fresh: dict[str, bytes] | None = None) -> str:
        """Encrypt under the subject's key. One that has none gets it now: stored, or put into `fresh` for `keep`."""
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

    def close(self) -> None:
        """Release the store."""
        ...


class Clock(Protocol):
    """The one source of time."""

    def now(self) -> datetime:
        """The time, timezone-aware, UTC. A clock to record by may raise `ClockJumpedError`."""
        ...
