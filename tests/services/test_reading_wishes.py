"""Messages that say two things at once are no wishes."""

import json

import pytest

from release_management.services.strict_json import KeyTwiceError, read_json
from release_management.services.wishes import MAX_MESSAGE_BYTES, NotUnderstood, read_cloudevent

EVENT = '{"specversion":"1.0","id":"1","source":"ci","type":"release.create","data":{"version":"1.0.0"}}'


def test_what_says_everything_once_is_read() -> None:
    wish = read_cloudevent(EVENT.encode(), actor=None)

    assert (wish.id, wish.sender, wish.data) == ("1", "ci", {"version": "1.0.0"})


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
    with pytest.raises(NotUnderstood, match=f"the key '{key}' stands twice in one object; name each key once"):
        read_cloudevent(EVENT.replace(once, twice).encode(), actor=None)


def test_a_key_of_any_length_is_named_in_short() -> None:
    long = "x" * (MAX_MESSAGE_BYTES // 3)

    with pytest.raises(NotUnderstood) as refusal:
        read_cloudevent(json.dumps({long: 1}).replace(": 1", f': 1, "{long}": 2').encode(), actor=None)
    assert len(str(refusal.value)) < 200


@pytest.mark.parametrize("wrong", ["", "{", "NaN", "[" * 100_000, b"\xff", '{"a":1e999'])
def test_what_is_no_json_is_said_to_be_none(wrong: str | bytes) -> None:
    payload = wrong if isinstance(wrong, bytes) else wrong.encode()

    with pytest.raises(NotUnderstood, match="the message is not JSON"):
        read_cloudevent(payload, actor=None)


def test_the_same_key_in_other_objects_is_something_else() -> None:
    assert read_json('{"a":{"a":1},"b":[{"a":2},{"a":3}]}') == {"a": {"a": 1}, "b": [{"a": 2}, {"a": 3}]}
    with pytest.raises(KeyTwiceError):
        read_json('[{"a":1,"b":2,"a":3}]')
