"""Parse the headers of a message from the bytes that its sender wrote, whatever they are.

nats-py's own parser ends its read loop at a status line that is no UTF-8, and takes the last of two headers of the same
name where the server takes the first.
"""

from collections.abc import Mapping

from nats.js import api

OURS = "relman-"
"""The prefix, in any case of letters, of the headers that have a meaning for this product."""
MAX_BLOCK_BYTES = 64 * 1024
_FIRST = b"NATS/1.0"
_END = b"\r\n"
_SHOWN = 80


class Headers(dict[str, str]):
    """Headers by name. `fault` says why the message must not be acted on; None if nothing is wrong."""

    fault: str | None = None


def read_headers(block: bytes) -> Headers:
    """Parse a header block. Never raises.

    A header without a meaning here is parsed as well as possible, or skipped. An ambiguous or unreadable header of ours
    is a `fault`: a reader must not act on half of the message.
    """
    headers = Headers()
    if len(block) > MAX_BLOCK_BYTES:
        headers.fault = f"the headers have {len(block):,} bytes; at most {MAX_BLOCK_BYTES:,} are taken"
        block = block[:MAX_BLOCK_BYTES]
    first, *lines = block.split(_END)
    if not first.startswith(_FIRST):
        headers.fault = headers.fault or f"the headers begin with {first[:_SHOWN]!r}; they must begin with 'NATS/1.0'"
        return headers
    for line in lines:
        _read_line(line, headers)
    _read_status(first[len(_FIRST) :], headers)
    return headers


def fault_of(headers: Mapping[str, str] | None, known: frozenset[str]) -> str | None:
    """Return why a message with these headers is not acted on: unreadable headers, or a misspelt one of ours; or None.

    `known` are those of ours that such a message may have. Names are case-sensitive, as for a server: a sender of
    `relman-actor` is told so, rather than recorded as another actor.
    """
    if isinstance(headers, Headers) and headers.fault is not None:
        return headers.fault
    unknown = [name for name in headers or {} if name.lower().startswith(OURS) and name not in known]
    if not unknown:
        return None
    names = ", ".join(sorted(known))
    return f"the header {unknown[0][:_SHOWN]!r} is unknown; those that begin with Relman- are {names}, written so"


def _read_line(line: bytes, headers: Headers) -> None:
    raw_name, colon, raw_value = line.partition(b":")
    name = raw_name.decode("ascii", "replace").strip()
    is_own = name.lower().startswith(OURS)
    if not colon or not name or name.encode("ascii", "replace") != raw_name or any(each.isspace() for each in name):
        if is_own:
            headers.fault = headers.fault or f"the header line {line[:_SHOWN]!r} is not of the form name: value"
        return
    try:
        value = raw_value.strip().decode()
    except UnicodeDecodeError:
        value = raw_value.strip().decode(errors="replace")
        if is_own:
            headers.fault = headers.fault or f"the value of the header {name[:_SHOWN]} is not UTF-8"
    if is_own and name in headers:
        headers.fault = headers.fault or f"the header {name[:_SHOWN]} stands there twice; write it once"
    headers[name] = value


def _read_status(rest: bytes, headers: Headers) -> None:
    """Add the status of the first line, such as ` 404 No Messages`. It takes precedence over a header of that name."""
    status, _, description = rest.strip().decode(errors="replace").partition(" ")
    if status.isascii() and status.isdigit():
        headers[api.Header.STATUS.value] = status
        if description:
            headers[api.Header.DESCRIPTION.value] = description
