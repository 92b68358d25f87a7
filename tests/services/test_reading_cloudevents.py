"""A message whose document is ambiguous is not read as a command."""

import json

import pytest

from release_management.services.envelope import (
    MAX_MESSAGE_BYTES,
    InvalidCommand,
    read_cloudevent,
)
from release_management.services.strict_json import (
    MAX_DEPTH,
    KeyTwiceError,
    read_json,
)
from release_management.services.use_cases import COMMANDS

EVENT = '{"specversion":"1.0","id":"1","source":"ci","type":"release.create","data":{"version":"1.0.0"}}'


def test_a_document_without_repeated_keys_is_read() -> None:
    envelope = read_cloudevent(EVENT.encode(), actor=None)

    assert (envelope.id, envelope.sender, envelope.data) == ("1", "ci", {"version": "1.0.0"})


@pytest.mark.parametrize(
    ("once", "twice", "key"),
    [
        ('"id":"1"', '"id":"1","id":"2"', "id"),
        ('"id":"1"', '"id":"1","id":"1"', "id"),
        ('"id":"1"', r'"id":"1","\u0069d":"2"', "id"),
        ('"source":"ci"', '"source":"ci","source":"executor:local"', "source"),
        ('"version":"1.0.0"', '"version":"1.0.0","version":"2.0.0"', "version"),
        ('"version":"1.0.0"', '"version":"1.0.0","components":[{"name":"a","name":"b"}]', "name"),
    ],
)
def test_a_key_that_stands_twice_is_not_understood(once: str, twice: str, key: str) -> None:
    with pytest.raises(InvalidCommand, match=f"the key '{key}' stands twice in one object; name each key once"):
        read_cloudevent(EVENT.replace(once, twice).encode(), actor=None)


def test_a_key_of_any_length_is_named_in_short() -> None:
    long = "x" * (MAX_MESSAGE_BYTES // 3)

    with pytest.raises(InvalidCommand) as refusal:
        read_cloudevent(json.dumps({long: 1}).replace(": 1", f': 1, "{long}": 2').encode(), actor=None)
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize("wrong", ["", "{", "NaN", "[" * 100_000, b"\xff", '{"a":1e999'])
def test_malformed_json_is_refused_as_such(wrong: str | bytes) -> None:
    payload = wrong if isinstance(wrong, bytes) else wrong.encode()

    with pytest.raises(InvalidCommand, match="the message is not JSON"):
        read_cloudevent(payload, actor=None)


def test_the_same_key_in_other_objects_is_something_else() -> None:
    assert read_json('{"a":{"a":1},"b":[{"a":2},{"a":3}]}') == {"a": {"a": 1}, "b": [{"a": 2}, {"a": 3}]}
    with pytest.raises(KeyTwiceError):
        read_json('[{"a":1,"b":2,"a":3}]')


def event(data: object, **attributes: object) -> bytes:
    return json.dumps({**json.loads(EVENT), **attributes, "data": data}).encode()


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_text_with_a_nul_or_half_a_character_is_not_understood_wherever_it_stands(command: str) -> None:
    for name in COMMANDS[command][0].model_fields:
        for odd in ("\0", "\ud800"):
            for value in (f"a{odd}b", ["a", {f"b{odd}": 1}], {"x": {"y": odd}}):
                with pytest.raises(InvalidCommand, match="the message is no command: data: a text holds"):
                    read_cloudevent(event({name: value}, type="release.create"), actor=None)


@pytest.mark.parametrize("name", ["id", "source", "type", "onbehalfof", "correlationid", "causationid", "specversion"])
def test_neither_is_an_attribute_with_one(name: str) -> None:
    for odd in ("\0", "\ud800", "\udfff", "\x7f"):
        with pytest.raises(InvalidCommand) as refusal:
            read_cloudevent(event({}, **{name: f"a{odd}"}), actor=None)
        assert str(refusal.value).encode()


def test_content_may_be_as_deep_as_the_limit_and_no_deeper() -> None:
    for levels in (MAX_DEPTH, MAX_DEPTH + 1, 200, 255, 256, 900):
        deep: object = 1
        for _ in range(levels - 1):
            deep = {"x": deep}
        if levels == MAX_DEPTH:
            assert read_cloudevent(event({"x": deep}), actor=None).data == {"x": deep}
        else:
            with pytest.raises(InvalidCommand, match="nested deeper than 100 levels; write it flatter"):
                read_cloudevent(event({"x": deep}), actor=None)
