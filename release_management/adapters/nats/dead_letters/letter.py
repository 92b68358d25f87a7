"""One dead letter: how it is read from the stream, how it is shown, and where its message goes when it is replayed."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nats.js.api import RawStreamMsg

from release_management.adapters.nats.access.senders import as_sent_by, sent_by
from release_management.adapters.nats.dead_letters.content import cut
from release_management.adapters.nats.dead_letters.model import (
    DeadLetter,
    OpenedLetter,
)
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.wire.headers import (
    Headers,
    fault_of,
    read_headers,
)
from release_management.kernel.errors import ErrorCode, known_code

EXCERPT_CHARACTERS = 200
SHOWN_SUBJECT = 200
SHOWN_LIST_SUBJECT = 1000
SHOWN_TEXT = 20_000
"""Characters of a header, a subject or a reason that are shown when one letter is opened; ours are shorter."""
SHOWN_REASON = 1000
"""Characters of a reason in a list."""
WAYS_BACK = tuple(
    f"{subjects}." for subjects in (streams.COMMAND_SUBJECTS, streams.REPORT_SUBJECTS, streams.ORDER_SUBJECTS)
)


@dataclass(frozen=True, slots=True)
class Letter:
    """A message of the stream of dead letters, parsed. `origin` is `<stream>:<sequence>` of the dead message.

    Letters from before there were codes have none.
    """

    id: int
    time: str
    subject: str
    reason: str
    code: ErrorCode | None
    size: int = 0
    payload: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    origin: str | None = None
    advisory: bool = False
    obstacle: str | None = None

    def shown(self) -> DeadLetter:
        """Return the letter for a list."""
        return DeadLetter(
            self.id,
            cut(self.time, SHOWN_SUBJECT),
            cut(self.subject, SHOWN_LIST_SUBJECT),
            cut(self.reason, SHOWN_REASON),
            self.code,
            self.size,
            _excerpt(self.payload),
        )

    def opened(self) -> OpenedLetter:
        """Return the letter with everything that was kept, for a person."""
        try:
            payload, encoded = self.payload.decode(), False
        except UnicodeDecodeError:
            payload, encoded = base64.b64encode(self.payload).decode(), True
        return OpenedLetter(
            id=self.id,
            time=self._cut(self.time),
            subject=self._cut(self.subject),
            reason=self._cut(self.reason),
            code=self.code,
            size=self.size,
            headers={self._cut(name): self._cut(value) for name, value in self.headers.items()},
            payload=payload,
            encoding="base64" if encoded else "text",
            obstacle=self.obstacle,
        )

    def _cut(self, text: str) -> str:
        """Return a text that fits into an answer; if it was cut, with a note on where the whole is."""
        if len(text) <= SHOWN_TEXT:
            return text
        whole = f"{len(text):,} characters in all; the whole is message {self.id} of the stream {streams.DEAD}"
        return f"{text[:SHOWN_TEXT]}… ({whole}, or what that names)"


def read_letter(id: int, body: dict[str, Any], content: dict[str, Any], obstacle: str | None) -> Letter:
    """Return a letter from its public part and its content. Raises `TypeError` and `KeyError` if it is none of ours."""
    payload = base64.b64decode(content.get("payload", ""))
    subject, size, headers = body["subject"], body["size"], content.get("headers", {})
    texts = (subject, body["time"], content["reason"], *headers, *headers.values())
    if not isinstance(size, int) or not all(isinstance(text, str) for text in texts):
        raise TypeError("this is no letter that we write")
    obstacle = obstacle or content.get("obstacle") or fault_of(headers, streams.COMMAND_HEADERS)
    if len(payload) < size and obstacle is None:
        obstacle = f"its message has {size:,} bytes, of which {len(payload):,} are kept; more are never taken"
    return Letter(
        id=id,
        time=body["time"],
        subject=subject,
        reason=content["reason"],
        code=known_code(content.get("code")),
        size=size,
        payload=payload,
        headers=headers,
        origin=body.get("origin"),
        obstacle=obstacle or _no_way_back(subject),
    )


def read_order_letter(id: int, executor: str, body: dict[str, Any]) -> Letter:
    """Return an executor's letter, which is not sealed; it may speak of its own orders only."""
    own = body["subject"].startswith(f"{streams.ORDER_SUBJECTS}.{executor}.")
    return read_letter(
        id, body, body["open"], None if own else f"the executor {executor} may not speak of {body['subject']}"
    )


def given_up_letter(id: int, body: dict[str, Any], kept: RawStreamMsg | None) -> Letter:
    """Return the server's advisory on a message that it no longer delivers as a letter; `kept` is the message."""
    stream, sequence = body["stream"], body["stream_seq"]
    if body["type"].endswith("max_deliver"):
        code = ErrorCode.INTERNAL
        reason = f"given up by {body['consumer']} after {body['deliveries']} deliveries without an answer"
    else:
        code = ErrorCode.INVALID
        reason = f"terminated by {body['consumer']}: {body.get('reason') or 'no reason given'}"
    subject = f"{stream} {sequence}" if kept is None else kept.subject or ""
    payload = b"" if kept is None else kept.data or b""
    headers = read_headers(base64.b64decode(kept.hdrs)) if kept is not None and kept.hdrs else Headers()
    gone = "the message itself is not kept any more" if kept is None else None
    return Letter(
        id=id,
        time=body["timestamp"],
        subject=subject,
        reason=reason,
        code=code,
        size=len(payload),
        payload=payload,
        headers=dict(headers),
        origin=f"{stream}:{sequence}",
        advisory=True,
        obstacle=gone or fault_of(headers, streams.COMMAND_HEADERS) or _no_way_back(subject),
    )


def foreign_letter(id: int, message: RawStreamMsg) -> Letter:
    """Return a message among the dead letters that we did not write, as a letter."""
    payload = message.data or b""
    reason = "this is no dead letter of ours: somebody else published it here"
    return Letter(id, "", message.subject or "", reason, ErrorCode.INVALID, len(payload), payload, obstacle=reason)


def destination(subject: str) -> str:
    """Return the subject of a replayed message: a requested command is queued, since nobody waits any more."""
    prefix = f"{streams.ASK_COMMAND}."
    name, sent = sent_by(subject)
    if sent.startswith(prefix):
        return as_sent_by(name, f"{streams.COMMAND_SUBJECTS}.{sent.removeprefix(prefix)}")
    return subject


def _no_way_back(subject: str) -> str | None:
    """Return why a message of this subject is not sent again; None if it can be."""
    _, sent = sent_by(destination(subject))
    if sent.startswith(WAYS_BACK):
        return None
    return f"what came on {subject} is not sent again: who sent it asks again by itself"


def origin_of(origin: str) -> tuple[str, int]:
    """Return the stream and the sequence that an origin names."""
    stream, _, sequence = origin.rpartition(":")
    return stream, int(sequence)


def _excerpt(payload: bytes) -> str:
    return payload[: 4 * EXCERPT_CHARACTERS].decode(errors="replace")[:EXCERPT_CHARACTERS]
