"""Replace characters that a terminal would obey, or that are invisible, in texts of others."""

import re

REPLACEMENT = "\ufffd"
_RANGES = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, except tab and newline
    "\xad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0"  # take no room, or look like nothing
    "\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f"  # marks of direction, zero widths, ends of lines and paragraphs
    "\ud800-\udfff\ufeff\ufff9-\ufffb"  # lone surrogates, byte order marks, annotations
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"  # formats of scripts; tags
)
_UNSEEN = re.compile(f"[{_RANGES}]")


def visible(text: str) -> str:
    """Return the text with a visible sign for each character that a terminal would obey, or that is invisible."""
    return _UNSEEN.sub(REPLACEMENT, text)


def escaped(json_text: str) -> str:
    r"""Return the same JSON with `\uXXXX` for each such character; in JSON they can only stand in texts."""
    return _UNSEEN.sub(_escape, json_text)


def _escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[offset]:02x}{units[offset + 1]:02x}" for offset in range(0, len(units), 2))
