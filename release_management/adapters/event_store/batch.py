"""Decide which commands of a batch may be stored. Pure: the store's content comes in as arguments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from release_management.adapters.event_store.index import read_index
from release_management.kernel.record import (
    MAX_CONTENT_BYTES,
    MAX_RECORD_BYTES,
    dataref,
)
from release_management.services.ports import (
    Append,
    Appended,
    CommandKey,
    Conflict,
    IdReused,
    NewRecord,
    Repeated,
    Status,
    StoredOutcome,
)

Kind = tuple[str, int]


@dataclass(frozen=True, slots=True)
class StoreContent:
    """The store's content: `versions` of every stream that the batch expects, `earlier` outcomes of its commands."""

    versions: Mapping[str, int]
    earlier: Mapping[CommandKey, StoredOutcome]

    @classmethod
    def as_expected(cls, batch: Sequence[Append]) -> "StoreContent":
        """Return the facts that hold if nobody else has written and no command is repeated."""
        versions: dict[str, int] = {}
        for command in batch:
            for stream, expectation in command.expects.items():
                versions.setdefault(stream, expectation.base)
        return cls(versions, {})


@dataclass(slots=True)
class Decision:
    """The records to write, and the status of each command. `records` take the next positions in their order."""

    statuses: list[Status] = field(default_factory=list)
    records: list[NewRecord] = field(default_factory=list)
    commands: dict[CommandKey, StoredOutcome] = field(default_factory=dict)

    def kinds(self, of_commands: Sequence[set[Kind]]) -> set[Kind]:
        """Return the kinds of the records to write."""
        return {
            kind
            for status, kinds in zip(self.statuses, of_commands, strict=True)
            if isinstance(status, Appended)
            for kind in kinds
        }

    @property
    def contents(self) -> dict[str, bytes]:
        """The contents to store beside the records, by `dataref`."""
        return {dataref(record.content): record.content for record in self.records if record.content is not None}

    def rests_on(self, batch: Sequence[Append]) -> dict[str, int]:
        """Return the stored stream versions on which the decision depends."""
        return {
            stream: expectation.base
            for status, command in zip(self.statuses, batch, strict=True)
            if isinstance(status, Appended)
            for stream, expectation in command.expects.items()
        }


def check(command: Append) -> set[Kind]:
    """Check a command's consistency and return the kinds of its records. Raises ValueError."""
    subject = f"command {command.id!r} of {command.sender!r}"
    versions: dict[str, int] = {}
    for stream, expectation in command.expects.items():
        if not 0 <= expectation.base <= expectation.seen:
            raise ValueError(
                f"{subject} expects {stream!r} at base {expectation.base}, seen {expectation.seen}; "
                "neither may be negative, and seen may not be below base"
            )
        versions[stream] = expectation.seen
    kinds = set()
    for record in command.records:
        try:
            if record.stream not in versions:
                raise ValueError("its stream is not among the expected ones; name every stream that is written")
            versions[record.stream] += 1
            if record.version != versions[record.stream]:
                raise ValueError(f"the next version after what was seen is {versions[record.stream]}")
            kinds.add((record.name, _schema_version(record)))
        except ValueError as error:
            raise ValueError(f"{subject}, record {record.version} of {record.stream!r}: {error}") from None
    return kinds


def decide(batch: Sequence[Append], after: int, facts: StoreContent) -> Decision:
    """Judge a batch against the store, whose newest position is `after`.

    A stream that a command was not allowed to write is lost for the rest of the batch: a later command that read it may
    have been decided on events that never happened.
    """
    decision = Decision()
    now = dict(facts.versions)
    lost: set[str] = set()
    for command in batch:
        key = (command.sender, command.id)
        before = decision.commands.get(key) or facts.earlier.get(key)
        if before is not None:
            status: Status = _again(command, before)
        elif moved := tuple(
            stream
            for stream, expectation in command.expects.items()
            if stream in lost or expectation.base != facts.versions[stream] or expectation.seen != now[stream]
        ):
            status = Conflict(moved)
        else:
            first = after + len(decision.records) + 1 if command.records else 0
            last = after + len(decision.records) + len(command.records) if command.records else 0
            status = Appended(first, last)
            decision.records += command.records
            decision.commands[key] = StoredOutcome(command.fingerprint, command.outcome, first, last)
            now.update((record.stream, record.version) for record in command.records)
        if not isinstance(status, Appended):
            lost.update(record.stream for record in command.records)
        decision.statuses.append(status)
    return decision


def _again(command: Append, before: StoredOutcome) -> Repeated | IdReused:
    if command.fingerprint != before.fingerprint:
        return IdReused()
    return Repeated(before.outcome, before.first, before.last)


def _schema_version(record: NewRecord) -> int:
    size = len(record.record)
    if size > MAX_RECORD_BYTES:
        raise ValueError(
            f"it has {size:,} bytes and at most {MAX_RECORD_BYTES:,} are taken; "
            "keep larger content beside it, by digest"
        )
    index = read_index(record.record)
    if difference := index.disagreement(record.stream, record.version, record.name):
        raise ValueError(difference)
    _check_content(index.dataref, record.content)
    return index.schemaversion


def _check_content(named: str | None, content: bytes | None) -> None:
    if content is not None and len(content) > MAX_CONTENT_BYTES:
        raise ValueError(f"{len(content):,} bytes stand beside it and at most {MAX_CONTENT_BYTES:,} are taken")
    actual = None if content is None else dataref(content)
    if named != actual:
        raise ValueError(f"it names {named or 'nothing'} as its data, and beside it stands {actual or 'nothing'}")
