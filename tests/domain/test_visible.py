"""Control and invisible characters are never shown as they are."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import Refused
from release_management.kernel.visible import (
    REPLACEMENT,
    escaped,
    visible,
)

HOSTILE = [
    *(chr(code) for code in (*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0))),
    *"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c",
    *"\u2028\u2029\u200b\u200c\u200d\u2060\ufeff\xad\u180e\u3164",
    *"\ud800\udfff",
    *"\U000e0001\U000e0041\U000e007f",
]


@pytest.mark.parametrize("letter", HOSTILE, ids=lambda letter: f"U+{ord(letter):04X}")
def test_a_hostile_character_is_shown_as_a_sign_and_escaped_in_json(letter: str) -> None:
    assert visible(f"a{letter}b") == f"a{REPLACEMENT}b"
    told = escaped(json.dumps({"a": f"x{letter}y"}, ensure_ascii=False))
    assert letter not in told
    assert json.loads(told) == {"a": f"x{letter}y"}


def test_letters_of_all_languages_tabs_and_new_lines_stay() -> None:
    text = "größer\tשלום\nمرحبا 你好 ❤️ 👍🏽 e\u0301"
    assert visible(text) == text
    assert escaped(text) == text


@given(st.text(st.characters(codec=None)))
def test_visible_text_has_no_control_and_no_format_character_and_no_half_of_a_pair(text: str) -> None:
    for shown in (visible(text), escaped(json.dumps(text, ensure_ascii=False))):
        left = {letter for letter in shown if unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}
        assert left <= {"\t", "\n", *NUMBER_SIGNS}


NUMBER_SIGNS = {chr(code) for code in (*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD)} | {
    chr(code) for code in range(0x13430, 0x13440)
}
"""Formats that are seen: signs before numbers in Arabic, and how hieroglyphs are joined."""


@given(st.text(st.characters(codec=None)))
def test_the_escaped_json_says_the_same(text: str) -> None:
    assert json.loads(escaped(json.dumps([text], ensure_ascii=False))) == [text]


def test_a_refusal_is_shown_without_them_and_keeps_what_was_said() -> None:
    refused = Refused("environment 'x\u202e\x9b31m' does not exist", code=ErrorCode.NOT_FOUND)
    assert str(refused) == "environment 'x\ufffd\ufffd31m' does not exist"
    assert refused.reason == "environment 'x\u202e\x9b31m' does not exist"
