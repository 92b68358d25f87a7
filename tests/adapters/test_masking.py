"""No part of a secret that tells anything stands in what we quote, log or record of a program's output."""

import base64
import json
import re
import shlex
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from release_management.adapters.executors.base.masking import (
    EDGE,
    MaskedStream,
    SecretMask,
)

KEY = "hk-9fQ2/w7+Zp=c 'Lm\"4$x\\T8&é"
PEM = "-----BEGIN KEY-----\nMIIEvgIBADANBgkqhkiG9w0BAQEFAASC\nBKgwggSkAgEAAoIBAQC7VJTUt9Us8cKj\n-----END KEY-----"
FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "URL": lambda text: quote(text, safe=""),
    "URL with slashes": quote,
    "form": quote_plus,
    "lower case URL": lambda text: re.sub("%..", lambda found: found[0].lower(), quote(text, safe="")),
    "JSON": json.dumps,
    "JSON of letters": lambda text: json.dumps(text, ensure_ascii=False),
    "shell": shlex.quote,
    "Python": repr,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 without padding": lambda text: base64.b64encode(text.encode()).decode().rstrip("="),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 after one": lambda text: base64.b64encode(b"u" + text.encode() + b"\n").decode(),
    "base64 after two": lambda text: base64.b64encode(b"u:" + text.encode() + b"\n\n").decode(),
    "wrapped base64": lambda text: base64.encodebytes(b"user:" + text.encode() * 9).decode(),
}


def pieces(text: str, size: int) -> set[str]:
    return {text[at : at + size] for at in range(len(text) - size + 1)}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", [KEY, "s3cr3t-t0ken", PEM.splitlines()[1]])
def test_a_secret_is_masked_in_every_form_in_which_programs_show_one(form: str, secret: str) -> None:
    written = FORMS[form](secret)

    shown = SecretMask([secret]).text(f"DB={written} is wrong\n{written}\n")

    assert shown.startswith("DB=")
    assert " is wrong\n" in shown
    assert "***" in shown
    # What encodes the neighbours too, or stands at a wrapped line's end, may stay: less than a piece.
    assert not pieces(written, 12) & pieces(shown, 12)
    assert secret not in shown


def test_a_secret_of_several_lines_is_known_by_each_line_and_as_one() -> None:
    secret_mask = SecretMask([PEM])

    assert secret_mask.text("read BKgwggSkAgEAAoIBAQC7VJTUt9Us8cKj!") == "read ***!"
    assert secret_mask.text(f"key={json.dumps(PEM)}") == 'key="***"'
    assert secret_mask.text(f"k={quote(PEM, safe='')}&x=1") == "k=***&x=1"
    assert "gkqhki" not in secret_mask.text(base64.b64encode(PEM.encode()).decode())


@pytest.mark.parametrize("at", range(1, 24))
def test_half_of_a_secret_is_as_secret(at: int) -> None:
    secret = "abcDEF123ghiJKL456mnoPQR"
    secret_mask = SecretMask([secret])

    for half in (secret[:at], secret[at:]):
        if len(half) >= 12:
            assert secret_mask.text(f"it is {half}") == "it is ***"


def test_a_short_value_is_masked_as_a_word_and_a_very_short_one_not_at_all() -> None:
    secret_mask = SecretMask(["live", "on", ""])

    assert secret_mask.text("mode=live, alive and on") == "mode=***, alive and on"
    assert SecretMask(["abcdef"]).text("xabcdefx") == "x***x"


def test_rulers_and_blanks_are_no_secrets() -> None:
    text = "-------------------\n\n====  done ====\n"

    assert SecretMask([PEM, "\n\n", "    ", "------------"]).text(text).count("done") == 1
    assert "-------------------" in SecretMask([PEM]).text(text)


@given(st.data())
def test_a_stream_shows_no_secret_however_its_chunks_fall(data: st.DataObject) -> None:
    secret = "abcDEF123ghiJKL456mnoPQR"
    text = f"begin {secret}\nand {secret}{secret} then {secret[3:17]}… no more"
    raw = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=12)))
    stream = MaskedStream(SecretMask([secret]))

    chunks = [raw[first:last] for first, last in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    shown = b"".join([*map(stream.add, chunks), stream.end()])

    assert shown.decode() == "begin ***\nand *** then ***… no more"


@given(st.integers(0, 40))
def test_a_part_of_a_secret_left_at_the_edge_of_a_cut_is_not_shown(at: int) -> None:
    secret = "abcDEF123ghiJKL456mnoPQR"
    stream = MaskedStream(SecretMask([secret]), cut=True)

    shown = (stream.add((secret + " and then some more words")[at:].encode()) + stream.end()).decode()

    assert not pieces(secret, 4) & pieces(shown, 4)
    assert len(shown) >= 49 - at - len(secret) - EDGE


def test_a_line_is_shown_as_soon_as_it_is_whole() -> None:
    stream = MaskedStream(SecretMask(["hunter22"]))

    assert stream.add(b"ready\nwaiting for") == b"ready\n"
