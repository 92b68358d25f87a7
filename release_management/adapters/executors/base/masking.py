"""Redact the values of secrets in a program's output, before any of it is cut, quoted, logged or recorded.

A value is searched line by line, as it is and in the forms in which programs print values: quoted for a shell, as JSON,
in a URL, in base64. A piece of it counts as the value: from half its length on, at least 6 and at most 12 bytes, in
base64 at most 8. A value of 4 or 5 characters counts only as a word of its own; a shorter one is not redacted, since
that would remove half of every log, and a reader of the log could guess it anyway.
"""

import base64
import json
import re
import shlex
from collections import defaultdict
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "***"
SHORTEST = 4
SHORTEST_PIECE = 6
LONGEST_PIECE = 12
LONGEST_PIECE_BASE64 = 8
EDGE = 16
"""Bytes. A part of a secret that is left at the edge of a cut text is shorter."""
_FEW_KINDS = 2
"""A piece of so few different bytes, such as a ruler of dashes, reveals nothing by itself."""


class SecretMask:
    """Redacts the values of some secrets."""

    def __init__(self, values: Iterable[str]) -> None:
        self._pieces: defaultdict[int, set[bytes]] = defaultdict(set)
        words: set[bytes] = set()
        for value in values:
            lines = [line.strip() for line in value.splitlines()]
            parts = [line for line in lines if len(line) >= SHORTEST] + [value] * (len(lines) > 1)
            forms = {form for part in parts for form in _forms(part) if not form.splitlines()[1:]}
            words |= {form for form in forms if not self._learn(form, LONGEST_PIECE)}
            words |= {form for part in parts for form in _base64(part) if not self._learn(form, LONGEST_PIECE_BASE64)}
        found = b"|".join(re.escape(word) for word in sorted(words))
        self._words = re.compile(rb"(?<![0-9A-Za-z])(?:" + found + rb")(?![0-9A-Za-z])") if words else None

    def text(self, text: str) -> str:
        """Return a text with the secrets redacted."""
        if not self._pieces and self._words is None:
            return text
        raw = text.encode(errors="surrogatepass")
        return self.shown(raw, 0, len(raw)).decode(errors="replace") if self._spans(raw) else text

    def shown(self, raw: bytes, begin: int, end: int) -> bytes:
        """Return the bytes from `begin` to `end` with secrets redacted, also those that reach across these edges."""
        parts, position = [], begin
        for first, last in self._spans(raw):
            if last <= begin or first >= end:
                continue
            if first >= begin:
                parts += [raw[position:first], MASK.encode()]
            position = min(last, end)
        return b"".join([*parts, raw[position:end]])

    def _learn(self, form: bytes, longest: int) -> bool:
        """Add the pieces of a form to those that are searched; return False if they reveal nothing."""
        if len(form) < SHORTEST_PIECE:
            return False
        size = min(longest, max(SHORTEST_PIECE, len(form) // 2))
        pieces = {form[offset : offset + size] for offset in range(len(form) - size + 1)}
        telling = {piece for piece in pieces if len(set(piece)) > _FEW_KINDS}
        if telling:
            self._pieces[size] |= telling
        return bool(telling)

    def _spans(self, raw: bytes) -> list[tuple[int, int]]:
        """Return the spans of secrets in order, merging those that touch."""
        found = [match.span() for match in self._words.finditer(raw)] if self._words is not None else []
        for size, pieces in self._pieces.items():
            found += [
                (offset, offset + size)
                for offset in range(len(raw) - size + 1)
                if raw[offset : offset + size] in pieces
            ]
        spans: list[tuple[int, int]] = []
        for first, last in sorted(found):
            if spans and first <= spans[-1][1]:
                spans[-1] = spans[-1][0], max(last, spans[-1][1])
            else:
                spans.append((first, last))
        return spans


class MaskedStream:
    """One stream of chunks: a secret across two chunks is found, and the output is delayed only a little.

    If the stream was `cut` before, the part of a secret that may be left at its beginning is not shown.
    """

    def __init__(self, secret_mask: SecretMask, *, cut: bool = False) -> None:
        self._mask = secret_mask
        self._raw = b""
        self._shown = EDGE if cut else 0

    @property
    def held(self) -> int:
        """The number of bytes at the end that are not shown yet, since a secret may begin in them."""
        return max(0, len(self._raw) - self._shown)

    def add(self, chunk: bytes) -> bytes:
        """Append a chunk; return the bytes that can be shown now. No secret goes beyond the end of its line."""
        raw = self._raw + chunk
        return self._show(raw, max(self._shown, raw.rfind(b"\n") + 1, len(raw) - EDGE))

    def end(self) -> bytes:
        """Return the rest."""
        return self._show(self._raw, len(self._raw))

    def _show(self, raw: bytes, end: int) -> bytes:
        shown = self._mask.shown(raw, self._shown, end)
        keep = max(0, end - EDGE)
        self._raw, self._shown = raw[keep:], end - keep
        return shown


def _forms(value: str) -> set[bytes]:
    """Return the forms in which programs print a value."""
    quoted = {quote(value, safe=""), quote(value), quote_plus(value)}
    quoted |= {re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), each) for each in quoted}
    escaped = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    plain = {value, *quoted, *escaped, repr(value)[1:-1], shlex.quote(value).strip("'")}
    return {each.encode(errors="surrogateescape") for each in plain}


def _base64(value: str) -> set[bytes]:
    """Return the base64 characters that the value alone determines, at each of its three possible offsets."""
    raw = value.encode(errors="surrogateescape")
    found = set()
    for before in range(3):
        coded = base64.b64encode(bytes(before) + raw)
        first = (8 * before + 5) // 6
        last = 8 * (before + len(raw)) // 6
        found |= {coded[first:last], coded[first:last].translate(bytes.maketrans(b"+/", b"-_"))}
    return {each for each in found if len(each) >= SHORTEST}
