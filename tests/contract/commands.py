"""Commands and records as the gateway would make them."""

import hashlib
from collections.abc import Mapping

from release_management.kernel.record import (
    Envelope,
    encode,
    write,
)
from release_management.kernel.types import Fact
from release_management.services.ports import (
    Append,
    Appended,
    EventLog,
    Expectation,
    NewRecord,
)


class ThingHappened(Fact):
    NAME = "thing.happened"

    note: str


def record(stream: str, version: int, note: str = "", schema_version: int = 1) -> NewRecord:
    envelope = _envelope(stream, version, note, schema_version)
    return NewRecord(stream, version, ThingHappened.NAME, encode(envelope, ThingHappened(note=note)))


def beside(stream: str, version: int, note: str = "x" * 70_000) -> NewRecord:
    """A record whose data are too large to stand in it."""
    record, content = write(_envelope(stream, version, "large", 1), ThingHappened(note=note))
    assert content is not None
    return NewRecord(stream, version, ThingHappened.NAME, record, content)


def _envelope(stream: str, version: int, note: str, schema_version: int) -> Envelope:
    return Envelope(
        id=f"{stream}#{version}",
        source="urn:uuid:00000000-0000-0000-0000-000000000000",
        type=ThingHappened.NAME,
        subject=stream,
        time="2026-11-23T09:30:00.123456Z",
        streamversion=version,
        schemaversion=schema_version,
        actor="system:tests",
        actorkind="system",
        actorauth="system",
        commandid=note or "none",
    )


def seen(base: int, written_in_the_batch: int = 0) -> Expectation:
    """A version as it stands in the store, with what earlier commands of the batch would add to it."""
    return Expectation(base, base + written_in_the_batch)


def command(
    id: str,
    expects: Mapping[str, Expectation],
    writes: Mapping[str, int],
    *,
    sender: str = "tests",
    content: str = "",
    schema_version: int = 1,
) -> Append:
    """A command that appends that many records to each stream of `writes`."""
    return Append(
        sender=sender,
        id=id,
        fingerprint=hashlib.sha256(f"{id} {content}".encode()).digest(),
        expects=expects,
        records=tuple(
            record(stream, expects[stream].seen + number + 1, note=id, schema_version=schema_version)
            for stream, count in writes.items()
            for number in range(count)
        ),
        outcome=f"outcome of {id}".encode(),
    )


def versions_of(log: EventLog, stream: str) -> list[int]:
    return [recorded.version for recorded in log.read_stream(stream)]


def given(log: EventLog, **versions: int) -> None:
    """`flag:<name>` has that many records, each stored by a command of its own."""
    for name, count in versions.items():
        for version in range(count):
            stream = f"flag:{name}"
            (status,) = log.append([command(f"given {stream} {version}", {stream: seen(version)}, {stream: 1})])
            assert isinstance(status, Appended)
