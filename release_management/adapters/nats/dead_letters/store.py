"""Dead letters: messages that nobody understands, kept with the reason, to be read and replayed by an operator.

A letter of the gateway is sealed, since a client's message may name persons. A letter of an executor holds an order,
which names no person, and is not sealed: an executor has no keys. Therefore an executor's letters are accepted only
about its own orders.
"""

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import structlog
from nats.js import api
from nats.js.errors import APIError, NotFoundError

from release_management.adapters.nats.connection import NatsConnection
from release_management.adapters.nats.dead_letters.content import (
    contents,
    cut,
    envelope,
    fits,
)
from release_management.adapters.nats.dead_letters.letter import (
    SHOWN_SUBJECT,
    Letter,
    destination,
    foreign_letter,
    given_up_letter,
    origin_of,
    read_letter,
    read_order_letter,
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
from release_management.kernel.errors import ErrorCode
from release_management.services import telemetry
from release_management.services.ports import Keyring

KEY = "system:dead-letters"
KEEP_SECONDS = 10.0
GONE = (10037, 10043, 10057)  # a server's error codes for a message that was removed before
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
NO_LETTERS = (IS_A_LETTER, "Unacknowledged message was deleted")
"""A server's reasons for a message that has a letter, or was settled with another server of a cluster."""
ERASED = "erased: its key was destroyed"

_log = structlog.get_logger(__name__)


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

    async def _downwards(self, newest: int, oldest: int, together: int) -> AsyncIterator[tuple[int, Letter | None]]:
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
        subject = destination(letter.subject)
        headers = {name: value for name, value in letter.headers.items() if name in KEPT_HEADERS}
        await publish_patiently(self._connection, subject, letter.payload, headers, KEEP_SECONDS)
        if letter.advisory and letter.origin is not None:
            await self._delete(*origin_of(letter.origin))
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

    async def _letter(self, id: int) -> Letter | None:
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
                return read_order_letter(id, subject.removeprefix(f"{streams.DEAD_ORDERS}."), body)
            if not subject.startswith(streams.DEAD_SUBJECTS):
                return None if body.get("reason") in NO_LETTERS else await self._given_up(id, body)
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
        return foreign_letter(id, message)

    async def _unsealed(self, id: int, body: dict[str, Any]) -> Letter:
        opened = await asyncio.to_thread(self._keyring.open, KEY, body["sealed"])
        content: dict[str, Any] = {"reason": ERASED} if opened is None else json.loads(opened)
        return read_letter(id, body, content, None if opened is not None else f"it was {ERASED}")

    async def _given_up(self, id: int, body: dict[str, Any]) -> Letter:
        """Return an advisory as a letter, with the message itself if its stream still holds it."""
        try:
            kept = await self._js.get_msg(body["stream"], body["stream_seq"])
        except NotFoundError:
            kept = None
        return given_up_letter(id, body, kept)


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
