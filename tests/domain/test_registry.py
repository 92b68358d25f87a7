"""Records are read for ever.

`golden/records.jsonl` holds one record of every event name and version. Its lines are never changed. For a new name or
version add a sample to `samples.py` and append its line: `python -m tests.domain.test_registry` writes what is missing.
"""

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest

from release_management.domain.aggregates import AGGREGATES, fold
from release_management.domain.registry import FACTS, Registry
from release_management.kernel.aggregate import aggregate_of
from release_management.kernel.record import (
    Envelope,
    Recorded,
    UnreadableRecordError,
    dataref,
    encode,
    write,
)
from release_management.kernel.types import Fact
from tests.domain.build import DEPLOYMENT
from tests.domain.samples import SAMPLES

GOLDEN = Path(__file__).parent / "golden" / "records.jsonl"


def envelope(name: str, subject: str = "flag:new-search", version: int = 1, number: int = 1) -> Envelope:
    return Envelope(
        id=f"0193a5c2-7d7e-7000-8000-{number:012d}",
        source="urn:uuid:7b0d4e2e-53f4-4c6c-9a52-0d0a5f3a4e11",
        type=name,
        subject=subject,
        time=f"2026-11-23T09:30:00.{number:06d}Z",
        streamversion=number,
        schemaversion=version,
        actor="usr_ann00001",
        actorkind="person",
        actorauth="os",
        correlationid="0193a5c2-7d7e-7000-8000-00000000c0de",
        commandid=f"command-{number}",
    )


def recorded(record: bytes, position: int = 1) -> Recorded:
    document = json.loads(record)
    return Recorded(position, document["subject"], document["streamversion"], document["type"], record)


def golden() -> list[bytes]:
    return GOLDEN.read_bytes().splitlines() if GOLDEN.exists() else []


# Round trips


@pytest.mark.parametrize(("stream", "fact"), SAMPLES, ids=[fact.NAME for _, fact in SAMPLES])
def test_a_fact_is_read_as_it_was_written(stream: str, fact: Fact) -> None:
    written = encode(envelope(fact.NAME, stream, fact.VERSION), fact)

    (event,) = Registry().read(recorded(written, position=7))

    assert event.fact == fact
    assert event.position == 7
    assert event.stream == stream
    assert encode(event.envelope, event.fact) == written


def test_every_fact_has_a_sample() -> None:
    assert {fact.NAME for _, fact in SAMPLES} == set(FACTS)


@pytest.mark.parametrize(("stream", "fact"), SAMPLES, ids=[fact.NAME for _, fact in SAMPLES])
def test_a_fact_changes_the_state_of_its_stream(stream: str, fact: Fact) -> None:
    if aggregate_of(stream) in AGGREGATES:
        fold(stream, [fact])
    else:
        assert aggregate_of(stream) == "refusals"


# Golden lines


@pytest.mark.parametrize("line", golden(), ids=lambda line: str(json.loads(line)["type"]))
def test_a_golden_line_is_read_and_is_written_with_the_same_bytes(line: bytes) -> None:
    events = Registry().read(recorded(line))

    assert events
    if json.loads(line)["schemaversion"] == FACTS[events[0].fact.NAME].VERSION:
        assert encode(events[0].envelope, events[0].fact) == line


def test_every_name_and_version_has_a_golden_line() -> None:
    lines = {(one["type"], one["schemaversion"]) for one in map(json.loads, golden())}
    wanted = {(name, version) for name, fact in FACTS.items() for version in range(1, fact.VERSION + 1)}

    assert wanted - lines == set()


def test_a_registry_knows_every_golden_line() -> None:
    registry = Registry()

    for line in golden():
        document = json.loads(line)
        assert registry.knows(document["type"], document["schemaversion"])
    assert not registry.knows("deployment.started", 3)
    assert not registry.knows("deployment.teleported", 1)


def test_a_golden_deployment_folds() -> None:
    registry = Registry()
    events = [event for line in golden() for event in registry.read(recorded(line))]
    facts = [event.fact for event in events if event.stream == f"deployment:{DEPLOYMENT}"]

    assert fold(f"deployment:{DEPLOYMENT}", facts).id == DEPLOYMENT


# Older versions, on facts that are made up


class Lamp(Fact):
    NAME: ClassVar[str] = "lamp.lit"
    VERSION: ClassVar[int] = 3
    colour: str
    brightness: int


class Switch(Fact):
    NAME: ClassVar[str] = "switch.pressed"
    by: str


def _brightness(data: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [("lamp.lit", {**data, "brightness": 100})]


def _colour(data: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [("lamp.lit", {"colour": data["color"]})]


def _two(data: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [("switch.pressed", {"by": data["by"]}), ("lamp.lit", {"colour": "white", "brightness": 50})]


MADE_UP = Registry(
    {"lamp.lit": Lamp, "switch.pressed": Switch},
    {
        ("lamp.lit", 1): _colour,
        ("lamp.lit", 2): _brightness,
        ("lamp.toggled", 1): _two,
        ("lamp.dusted", 1): lambda data: [],
    },
)


def raw(name: str, version: int, data: dict[str, Any]) -> Recorded:
    document = envelope(name, version=version).model_dump(exclude_none=True) | {"data": data}
    return recorded(json.dumps(document).encode(), position=42)


def facts_of(name: str, version: int, data: dict[str, Any]) -> list[Fact]:
    return [event.fact for event in MADE_UP.read(raw(name, version, data))]


def test_a_record_of_the_first_version_is_read_as_the_third() -> None:
    assert facts_of("lamp.lit", 1, {"color": "red"}) == [Lamp(colour="red", brightness=100)]
    assert facts_of("lamp.lit", 2, {"colour": "red"}) == [Lamp(colour="red", brightness=100)]
    assert facts_of("lamp.lit", 3, {"colour": "red", "brightness": 7}) == [Lamp(colour="red", brightness=7)]


def test_a_record_of_a_name_that_is_gone_becomes_several_facts() -> None:
    facts = facts_of("lamp.toggled", 1, {"by": "ann"})

    assert facts == [Switch(by="ann"), Lamp(colour="white", brightness=50)]


def test_a_record_can_mean_nothing_any_more() -> None:
    assert facts_of("lamp.dusted", 1, {}) == []


def test_a_record_of_a_newer_version_is_refused_with_what_would_be_right() -> None:
    with pytest.raises(UnreadableRecordError) as refusal:
        MADE_UP.read(raw("lamp.lit", 4, {"colour": "red"}))

    sentence = str(refusal.value)
    assert "record 42 is lamp.lit version 4" in sentence
    assert "written by a newer one: use that" in sentence


def test_a_record_of_an_unknown_name_is_refused() -> None:
    with pytest.raises(UnreadableRecordError, match=r"record 42 is lamp\.sold version 1, which this program"):
        MADE_UP.read(raw("lamp.sold", 1, {}))


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({"colour": "red"}, "brightness"),
        ({"colour": "red", "brightness": "much"}, "brightness"),
        ({"colour": "red", "brightness": True}, "brightness"),
        ({"colour": "red", "brightness": 1, "price": 3}, "price"),
    ],
)
def test_a_record_whose_data_do_not_fit_is_refused_by_the_field(data: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UnreadableRecordError) as refusal:
        MADE_UP.read(raw("lamp.lit", 3, data))

    assert "record 42 (lamp.lit) does not fit its model" in str(refusal.value)
    assert complaint in str(refusal.value)


@pytest.mark.parametrize("record", [b"", b"{", b"[]", b"null", b'{"type":"lamp.lit"}', b"\xff"])
def test_bytes_that_are_no_record_are_refused(record: bytes) -> None:
    with pytest.raises(UnreadableRecordError, match=r"record 42 \(lamp\.lit\)"):
        MADE_UP.read(Recorded(42, "lamp:1", 1, "lamp.lit", record))


def test_an_envelope_that_does_not_fit_is_refused_when_it_is_asked_for() -> None:
    record = encode(envelope("switch.pressed"), Switch(by="ann")).replace(b'"actor":"usr_ann00001"', b'"actor":7')
    (event,) = MADE_UP.read(recorded(record, position=42))

    with pytest.raises(UnreadableRecordError, match=r"record 42 \(switch\.pressed\) does not fit its model: actor: "):
        _ = event.envelope


def test_a_record_is_read_however_its_json_is_written() -> None:
    document = json.loads(encode(envelope("switch.pressed"), Switch(by='ann","data":{"by":"ben"}')))
    for written in (document, dict(reversed(document.items())), {"data": document["data"], **document}):
        for separators in ((",", ":"), (", ", ": ")):
            (event,) = MADE_UP.read(recorded(json.dumps(written, separators=separators).encode()))
            assert event.fact == Switch(by='ann","data":{"by":"ben"}')
            assert event.envelope == envelope("switch.pressed")


def test_data_that_stand_beside_a_record_are_read_from_there_and_checked() -> None:
    fact = Switch(by="x" * 70_000)
    written, content = write(envelope("switch.pressed"), fact)
    assert content is not None
    assert len(written) < 1_000

    (event,) = MADE_UP.read(recorded(written), {dataref(content): content}.__getitem__)

    assert event.fact == fact
    assert event.envelope == envelope("switch.pressed").model_copy(update={"dataref": dataref(content)})
    assert event.envelope.model_dump(exclude={"dataref"}) == envelope("switch.pressed").model_dump(exclude={"dataref"})


def test_data_of_an_older_version_beside_a_record_are_upcast() -> None:
    content = json.dumps({"color": "red"}).encode()
    document = envelope("lamp.lit").model_copy(update={"dataref": dataref(content)}).model_dump(exclude_none=True)

    (event,) = MADE_UP.read(recorded(json.dumps(document).encode()), {dataref(content): content}.__getitem__)

    assert event.fact == Lamp(colour="red", brightness=100)


def test_a_record_whose_data_nobody_has_at_hand_is_refused() -> None:
    written, _ = write(envelope("switch.pressed"), Switch(by="x" * 70_000))

    with pytest.raises(UnreadableRecordError, match="stand beside it, and are not at hand"):
        MADE_UP.read(recorded(written))


def test_a_registry_without_an_upcaster_for_an_old_version_cannot_be_made() -> None:
    with pytest.raises(ValueError, match=r"lamp\.lit is at version 3 and version 2 has no upcaster"):
        Registry({"lamp.lit": Lamp}, {("lamp.lit", 1): _colour})


def test_a_fact_is_registered_under_its_own_name() -> None:
    with pytest.raises(ValueError, match=r"Lamp is named lamp\.lit and registered as lamp\.burnt"):
        Registry({"lamp.burnt": Lamp}, {})


def write_missing() -> None:
    """Append a golden line for every sample's (name, version) that has none."""
    lines = golden()
    known = {(one["type"], one["schemaversion"]) for one in map(json.loads, lines)}
    for stream, fact in SAMPLES:
        if (fact.NAME, fact.VERSION) not in known:
            lines.append(encode(envelope(fact.NAME, stream, fact.VERSION, len(lines) + 1), fact))
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_bytes(b"".join(line + b"\n" for line in lines))


if __name__ == "__main__":
    write_missing()
    print(f"{len(golden())} lines in {GOLDEN}")
