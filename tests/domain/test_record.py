"""One event is one string of bytes: a CloudEvents document."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from release_management.domain.deployment.events import DeploymentStepErrored
from release_management.kernel.record import (
    Envelope,
    encode,
    timestamp,
)
from tests.domain.build import ANN
from tests.profiles import times

REQUIRED = {"specversion", "id", "source", "type"}


def envelope(**given: object) -> Envelope:
    usual = {
        "id": "0193a5c2-7d7e-7000-8000-000000000001",
        "source": "urn:uuid:7b0d4e2e-53f4-4c6c-9a52-0d0a5f3a4e11",
        "type": "deployment.step_errored",
        "subject": "deployment:1",
        "time": "2026-11-23T09:30:00.123456Z",
        "streamversion": 7,
        "schemaversion": 1,
        "actor": ANN,
        "actorkind": "person",
        "actorauth": "os",
        "commandid": "c-1",
    }
    return Envelope.model_validate(usual | given)


FACT = DeploymentStepErrored(leg="forward", step=0, attempt=1, reason="kein Wort – nichts")


def test_a_record_carries_what_cloudevents_requires() -> None:
    document = json.loads(encode(envelope(), FACT))

    assert document.keys() >= REQUIRED
    assert document["specversion"] == "1.0"
    assert document["datacontenttype"] == "application/json"
    assert document["data"] == {"leg": "forward", "step": 0, "attempt": 1, "reason": "kein Wort – nichts"}


def test_every_attribute_is_named_as_cloudevents_allows() -> None:
    document = json.loads(encode(envelope(onbehalfof=ANN, correlationid="a", causationid="b"), FACT))

    assert [name for name in document if not (name.isalnum() and name.islower())] == []


def test_absent_attributes_are_omitted_and_never_null() -> None:
    document = json.loads(encode(envelope(), FACT))

    assert document.keys().isdisjoint({"onbehalfof", "correlationid", "causationid"})
    assert "retry_at" not in document["data"]
    assert b"null" not in encode(envelope(), FACT)


def test_a_record_is_compact_utf_8() -> None:
    record = encode(envelope(), FACT)

    assert "kein Wort – nichts".encode() in record
    assert b", " not in record.replace(" – ".encode(), b"")
    assert b"\n" not in record


@settings(max_examples=times(200))
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=50))
def test_any_text_is_written_as_json_writes_it(text: str) -> None:
    record = encode(envelope(commandid=text), FACT)

    document = json.loads(record)
    assert document["commandid"] == text
    assert json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() == record


@pytest.mark.parametrize(
    "wrong",
    [
        {"specversion": "0.3"},
        {"type": "Deployment.Started"},
        {"type": "deployment"},
        {"streamversion": 0},
        {"schemaversion": True},
        {"actorauth": "trust me"},
        {"actorkind": "robot"},
        {"mood": "good"},
    ],
)
def test_an_envelope_that_is_none_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        envelope(**wrong)


def test_a_time_is_written_in_utc_with_microseconds() -> None:
    moment = datetime(2026, 11, 23, 9, 30, 0, 123456, tzinfo=UTC)

    assert timestamp(moment) == "2026-11-23T09:30:00.123456Z"
    assert timestamp(moment.replace(microsecond=0)) == "2026-11-23T09:30:00.000000Z"
