"""Dead letters: messages that nobody understands, kept with the reason, to be read and replayed by an operator.

A letter of the gateway is sealed, since a client's message may name persons. A letter of an executor holds an order,
which names no person, and is not sealed: an executor has no keys. Therefore an executor's letters are accepted only
about its own orders.
"""

import asyncio
import base64
import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import structlog
from nats.js import api
from nats.js.api import RawStreamMsg
from nats.js.errors import APIError, NotFoundError

from release_management.adapters.nats.access.senders import as_sent_by, sent_by
from release_management.adapters.nats.connection import NatsConnection
from release_management.adapters.nats.dead_letters.content import (
    contents,
    cut,
    envelope,
    fits,
)
from release_management.adapters.nats.dead_letters.model import (
    DeadLetter,
    OpenedLetter,
    Replay,
)
from release_management.adapters.nats.dead_letters.rate import Allowance, Counted
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.queues.acknowledging import IS_A_LETTER
from release_management.adapters.nats.queues.publishing import publish_patiently
from release_management.adapters.nats.wire.error_mapping import AWAY, understood
from release_management.adapters.nats.wire.headers import (
    Headers,
    fault_of,
    read_headers,
)
from release_management.kernel.errors import ErrorCode, known_code
from release_management.services import telemetry
from release_management.services.ports import Keyring

KEY = "system:dead-letters"
KEEP_SECONDS = 10.0
GONE = (10037, 10043, 10057)  # a server's error codes for a message that was removed before
EXCERPT_CHARACTERS = 200
SHOWN_SUBJECT = 200
SHOWN_LIST_SUBJECT = 1000
SHOWN_TEXT = 20_000
"""Characters of a header, a subject or a reason that are shown when one letter is opened; ours are shorter."""
SHOWN_REASON = 1000
"""Characters of a reason in a list."""
READ_BYTES = 4_000_000
"""Bytes that are read for one page; older letters stand in the next."""
PAGE_BYTES = 200_000
"""Bytes of the letters of one page, as JSON."""
LOOKED_AT = 1000
"""Messages that are read for one page: many may be no letters."""
TOGETHER = 16
"""Messages that are read at once."""
PAGE_SECONDS = 1.0
"""Seconds, plus one letter, that reading a page may take: callers do not wait for ever, and others want the slot."""
REMEMBERED = 10_000
"""The number of replayed letters that are remembered, for repeated requests."""
KEPT_HEADERS = (streams.ACTOR, streams.REPLY_TO, streams.CONTENT_TYPE)
WAYS_BACK = tuple(
    f"{subjects}." for subjects in (streams.COMMAND_SUBJECTS, streams.REPORT_SUBJECTS, streams.ORDER_SUBJECTS)
)
NO_LETTERS = (IS_A_LETTER, "Unacknowledged message was deleted")
"""A server's reasons for a message that has a letter, or was settled with another server of a cluster."""
ERASED = "erased: its key was destroyed"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Letter:
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


class DeadLetters:
    """The stream of dead letters, for the gateway."""

    def __init__(self, connection: NatsConnection, keyring: Keyring) -> None:
        self._connection = connection
        self._js = connection.jetstream()
        self._keyring = keyring
        self._replaying = asyncio.Lock()
        self._replayed: dict[int, str] = {}
        self._allowances = {own: Allowance() for own in (False, True)}
        """The allowance for messages of executors (True), and that for all others."""
        self._counted = Counted(self._keep_count, self._forget)

    @property
    def warning(self) -> str | None:
        """A warning if so many letters come that they are only counted."""
        return self._counted.warning

    async def store(
        self,
        subject: str,
        payload: bytes,
        headers: Mapping[str, str] | None,
        reason: str,
        origin: str | None = None,
        code: ErrorCode = ErrorCode.INVALID,
    ) -> bool:
        """Store a message durably, sealed: its first 256 KiB, its full size and its SHA-256. Raises `BusError`.

        If that is more than the bus accepts, only the message's size and SHA-256 are stored. `origin` is
        `<stream>:<sequence>` of a message that came from a stream; the same one is stored once. Returns False if so
        many came that this one is only counted. `code` differs from `invalid` if a message is understood but nobody
        acts on it.
        """
        allowance = self._allowances[subject.startswith(f"{streams.REPORT_SUBJECTS}.")]
        if not allowance.take(len(payload)):
            await self._counted.add(subject, len(payload), reason, code)
            telemetry.DEAD_LETTERS.inc()
            return False
        try:
            await self._keep_one(subject, payload, headers, reason, origin, code)
        except BaseException:
            allowance.give_back(len(payload))
            raise
        return True

    async def _keep_one(
        self,
        subject: str,
        payload: bytes,
        headers: Mapping[str, str] | None,
        reason: str,
        origin: str | None,
        code: ErrorCode,
    ) -> None:
        about = envelope(subject, len(payload), origin)
        for content in contents(payload, headers, reason, code):
            sealed = await asyncio.to_thread(self._keyring.seal, KEY, json.dumps(content))
            letter = json.dumps(about | {"sealed": sealed}).encode()
            if fits(letter, self._connection.max_payload):
                break
        # Keyed: somebody who knew the id of a letter to come could make the server drop it.
        known = self._keyring.fingerprint(f"{origin} {content['sha256']}".encode()).hex() if origin else None
        await keep_letter(self._connection, streams.DEAD_LETTER, letter, about, known)

    async def _keep_count(self, subject: str, size: int, content: dict[str, Any]) -> int:
        sealed = await asyncio.to_thread(self._keyring.seal, KEY, json.dumps(content))
        letter = json.dumps(envelope(cut(subject, SHOWN_SUBJECT), size, None) | {"sealed": sealed}).encode()
        headers = {api.Header.MSG_ID.value: secrets.token_hex(16)}
        return await publish_patiently(self._connection, streams.DEAD_LETTER, letter, headers, KEEP_SECONDS)

    async def _forget(self, id: int) -> None:
        """Remove a letter. If that fails it stays beside the newer one, which has the larger count."""
        with contextlib.suppress(*AWAY):
            await self._delete(streams.DEAD, id)

    async def page(self, limit: int, below: int | None = None) -> tuple[list[DeadLetter], int | None]:
        """Return the newest letters with ids below `below`, newest first, and the id below which there are more.

        At most `limit`, and fewer if they are long, or reading them takes long. Messages that the server gave up
        delivering are among them. Raises `BusError`.
        """
        found: list[DeadLetter] = []
        size = read = looked_at = 0
        enough = time.monotonic() + PAGE_SECONDS
        try:
            state = (await self._js.stream_info(streams.DEAD)).state
            newest = state.last_seq if below is None else min(below - 1, state.last_seq)
            async for sequence, letter in self._downwards(newest, max(state.first_seq, 1), min(limit, TOGETHER)):
                full = len(found) == limit or size >= PAGE_BYTES or (looked_at and time.monotonic() >= enough)
                if full or read >= READ_BYTES or looked_at == LOOKED_AT:
                    return found, sequence + 1
                looked_at += 1
                if letter is not None:
                    found.append(letter.shown())
                    size += len(json.dumps(asdict(found[-1])))
                    read += len(letter.payload)
        except AWAY as error:
            raise understood(error) from error
        return found, None

    async def _downwards(self, newest: int, oldest: int, together: int) -> AsyncIterator[tuple[int, _Letter | None]]:
        """Yield the letter, or None, at each sequence, downwards; `together` messages are read at once."""
        for top in range(newest, oldest - 1, -together):
            sequences = range(top, max(top - together, oldest - 1), -1)
            letters = await asyncio.gather(*map(self._letter, sequences))
            for sequence, letter in zip(sequences, letters, strict=True):
                yield sequence, letter

    async def open(self, id: int) -> OpenedLetter | None:
        """Return all of one letter; None if there is none. Raises `BusError`."""
        try:
            letter = await self._letter(id)
        except AWAY as error:
            raise understood(error) from error
        return None if letter is None else letter.opened()

    async def replay(self, ids: Sequence[int]) -> tuple[Replay, ...]:
        """Send the messages of letters again to their original subjects, in order, and remove the letters.

        Repeating it is harmless: commands and reports have ids of their own, orders have fences, and a replayed letter
        is answered as before, even to a concurrent caller. Raises `BusError`; some are then sent.
        """
        async with self._replaying:
            try:
                sequences = sorted(set(ids))
                return tuple([await self._replay(id) for id in sequences])
            except AWAY as error:
                raise understood(error) from error

    async def _replay(self, id: int) -> Replay:
        if (sent := self._replayed.get(id)) is not None:
            return Replay(id, subject=sent)
        letter = await self._letter(id)
        if letter is None:
            return Replay(id, reason="there is no such dead letter, or no more: perhaps it was replayed before")
        if letter.obstacle is not None:
            return Replay(id, reason=letter.obstacle)
        subject = _destination(letter.subject)
        headers = {name: value for name, value in letter.headers.items() if name in KEPT_HEADERS}
        await publish_patiently(self._connection, subject, letter.payload, headers, KEEP_SECONDS)
        if letter.advisory and letter.origin is not None:
            await self._delete(*_origin(letter.origin))
        await self._delete(streams.DEAD, id)
        self._replayed[id] = subject
        while len(self._replayed) > REMEMBERED:
            del self._replayed[next(iter(self._replayed))]
        _log.info("dead letter replayed", id=id, subject=subject)
        return Replay(id, subject=subject)

    async def _delete(self, stream: str, sequence: int) -> None:
        try:
            await self._js.delete_msg(stream, sequence)
        except APIError as error:
            if error.err_code not in GONE:
                raise

    async def _letter(self, id: int) -> _Letter | None:
        try:
            message = await self._js.get_msg(streams.DEAD, id)
        except NotFoundError:
            return None
        subject = message.subject or ""
        try:
            body: dict[str, Any] = json.loads(message.data or b"{}")
            if subject == streams.DEAD_LETTER:
                return await self._unsealed(id, body)
            if subject.startswith(f"{streams.DEAD_ORDERS}."):
                return _order(id, subject.removeprefix(f"{streams.DEAD_ORDERS}."), body)
            if not subject.startswith(streams.DEAD_SUBJECTS):
                return None if body.get("reason") in NO_LETTERS else await self._given_up(id, body)
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
        return _foreign(id, message)

    async def _unsealed(self, id: int, body: dict[str, Any]) -> _Letter:
        opened = await asyncio.to_thread(self._keyring.open, KEY, body["sealed"])
        content: dict[str, Any] = {"reason": ERASED} if opened is None else json.loads(opened)
        return _read(id, body, content, None if opened is not None else f"it was {ERASED}")

    async def _given_up(self, id: int, body: dict[str, Any]) -> _Letter:
        """Return an advisory as a letter, with the message itself if its stream still holds it."""
        stream, sequence = body["stream"], body["stream_seq"]
        kept: RawStreamMsg | None = None
        try:
            kept = await self._js.get_msg(stream, sequence)
        except NotFoundError:
            kept = None
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
        return _Letter(
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


async def keep_letter(
    connection: NatsConnection, subject: str, letter: bytes, about: dict[str, Any], known: str | None
) -> None:
    """Store a letter. `known` is the same id for the same letter, so that it is stored once; None: it is sent only
    once.

    Raises `BusError`.
    """
    headers = {api.Header.MSG_ID.value: known or secrets.token_hex(16)}
    await publish_patiently(connection, subject, letter, headers, KEEP_SECONDS)
    telemetry.DEAD_LETTERS.inc()
    _log.warning(
        "dead letter", subject=cut(about["subject"], SHOWN_SUBJECT), size=about["size"], origin=about.get("origin")
    )


def _read(id: int, body: dict[str, Any], content: dict[str, Any], obstacle: str | None) -> _Letter:
    payload = base64.b64decode(content.get("payload", ""))
    subject, size, headers = body["subject"], body["size"], content.get("headers", {})
    texts = (subject, body["time"], content["reason"], *headers, *headers.values())
    if not isinstance(size, int) or not all(isinstance(text, str) for text in texts):
        raise TypeError("this is no letter that we write")
    obstacle = obstacle or content.get("obstacle") or fault_of(headers, streams.COMMAND_HEADERS)
    if len(payload) < size and obstacle is None:
        obstacle = f"its message has {size:,} bytes, of which {len(payload):,} are kept; more are never taken"
    return _Letter(
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


def _order(id: int, executor: str, body: dict[str, Any]) -> _Letter:
    own = body["subject"].startswith(f"{streams.ORDER_SUBJECTS}.{executor}.")
    return _read(id, body, body["open"], None if own else f"the executor {executor} may not speak of {body['subject']}")


def _foreign(id: int, message: RawStreamMsg) -> _Letter:
    """Return a message among the dead letters that we did not write, as a letter."""
    payload = message.data or b""
    reason = "this is no dead letter of ours: somebody else published it here"
    return _Letter(id, "", message.subject or "", reason, ErrorCode.INVALID, len(payload), payload, obstacle=reason)


def _destination(subject: str) -> str:
    """Return the subject of a replayed message: a requested command is queued, since nobody waits any more."""
    prefix = f"{streams.ASK_COMMAND}."
    name, sent = sent_by(subject)
    if sent.startswith(prefix):
        return as_sent_by(name, f"{streams.COMMAND_SUBJECTS}.{sent.removeprefix(prefix)}")
    return subject


def _no_way_back(subject: str) -> str | None:
    """Return why a message of this subject is not sent again; None if it can be."""
    _, sent = sent_by(_destination(subject))
    if sent.startswith(WAYS_BACK):
        return None
    return f"what came on {subject} is not sent again: who sent it asks again by itself"


def _origin(origin: str) -> tuple[str, int]:
    stream, _, sequence = origin.rpartition(":")
    return stream, int(sequence)


def _excerpt(payload: bytes) -> str:
    return payload[: 4 * EXCERPT_CHARACTERS].decode(errors="replace")[:EXCERPT_CHARACTERS]
