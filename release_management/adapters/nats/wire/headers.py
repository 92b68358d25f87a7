"""The headers of a message, read from the bytes that its sender wrote: any bytes at all.

nats-py's own reading ends its read loop at a status line that is no UTF-8, and takes the last of two headers of the
same name where the server takes the first.
"""

from collections.abc import Mapping

from nats.js import api

OURS = "relman-"
"""How the headers begin that this product gives a meaning, in any case of letters."""
MAX_BLOCK_BYTES = 64 * 1024
_FIRST = b"NATS/1.0"
_END = b"\r\n"
_SHOWN = 80


class Headers(dict[str, str]):
    """Headers by name. `fault` says why their sender cannot be taken at his word; None where nothing is wrong."""

    fault: str | None = None


def read_headers(block: bytes) -> Headers:
    """Read a header block. Never raises.

    A header that is nobody's business here is taken as well as it can be, or passed over. What makes a header of ours
    ambiguous or unreadable is a `fault`: a reader must not act on half of what was said.
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
    """Why a message with these headers is not acted on: they are unreadable, or one is nearly of ours. None: it is.

    `known` are those of ours that such a message may have. A server reads names letter by letter, and so do we: who
    names an actor in `relman-actor` learns it, rather than be recorded as somebody else.
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
    ours = name.lower().startswith(OURS)
    if not colon or not name or name.encode("ascii", "replace") != raw_name or any(each.isspace() for each in name):
        if ours:
            headers.fault = headers.fault or f"the header line {line[:_SHOWN]!r} is not of the form name: value"
        return
    try:
        value = raw_value.strip().decode()
    except UnicodeDecodeError:
        value = raw_value.strip().decode(errors="replace")
        if ours:
            headers.fault = headers.fault or f"the value of the header {name[:_SHOWN]} is not UTF-8"
    if ours and name in headers:
        headers.fault = headers.fault or f"the header {name[:_SHOWN]} stands there twice; write it once"
    headers[name] = value


def _read_status(rest: bytes, headers: Headers) -> None:
    """The status in the first line, where there is one: ` 404 No Messages`. It goes before a header of that name."""
    status, _, description = rest.strip().decode(errors="replace").partition(" ")
    if status.isascii() and status.isdigit():
        headers[api.Header.STATUS.value] = status
        if description:
            headers[api.Header.DESCRIPTION.value] = description
