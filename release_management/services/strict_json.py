"""Strict JSON from outside: no key stands twice in an object, and every number is finite."""

import json
from typing import Any

MAX_DEPTH = 100
"""Levels of objects and lists, one in another. Much deeper ones would exhaust a recursion somewhere."""


def check_texts(value: Any) -> None:
    """Raise ValueError if data is nested too deeply, or a text in it holds a NUL, which PostgreSQL cannot store."""
    left = [(value, 1)]
    while left:
        item, depth = left.pop()
        if isinstance(item, str):
            if "\0" in item:
                raise ValueError("a text holds a NUL character; leave it away")
        elif isinstance(item, dict | list):
            if depth > MAX_DEPTH:
                raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels; write it flatter")
            if isinstance(item, dict):
                left += [(key, depth) for key in item]
            left += [(each, depth + 1) for each in (item.values() if isinstance(item, dict) else item)]


class KeyTwiceError(ValueError):
    """A key stands twice in one object. Readers differ in which value they take, so the document is refused."""

    def __init__(self, key: str) -> None:
        """`key` may be anything."""
        super().__init__(f"the key {key[:80]!r} stands twice in one object; name each key once")


def read_json(text: str | bytes) -> Any:
    """Return the content of a document. Raises `KeyTwiceError`, ValueError and RecursionError."""
    if isinstance(text, bytes):
        text = text.decode(json.detect_encoding(text), "surrogatepass")  # as `json.loads` does
    return _decode(text)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise KeyTwiceError(key)
            seen.add(key)
    return found


def _no_such_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")


_decode = json.JSONDecoder(object_pairs_hook=_each_once, parse_constant=_no_such_number).decode
