"""What could not be understood: kept with the reason, sealed, so that a person can look at it later."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import structlog
from nats.js import api
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from release_management.adapters.nats import streams
from release_management.adapters.nats.connection import AWAY, Connection, publish, understood
from release_management.domain.record import timestamp
from release_management.services.ports import Keyring

KEY = "system:dead-letters"
KEPT_BYTES = 64 * 1024
EXCERPT_CHARACTERS = 200

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that nobody will act on: why, and how it begins. `size` is in bytes."""

    id: int
    time: str
    subject: str
    reason: str
    size: int
    excerpt: str


class DeadLetters:
    """The stream of dead letters. Payload, headers and reason are sealed, since they may name persons."""

    def __init__(self, connection: Connection, keyring: Keyring) -> None:
        self._connection = connection
        self._js = connection.jetstream()
        self._keyring = keyring

    async def store(
        self,
        subject: str,
        payload: bytes,
        headers: Mapping[str, str] | None,
        reason: str,
        origin: str | None = None,
    ) -> None:
        """Keep a message durably: its first 64 kB, its full size and its SHA-256. Raises `BusError`.

        `origin` is `<stream>:<sequence>` of a message that came from a stream; the same one is kept once.
        """
        sealed = self._keyring.seal(
            KEY,
            json.dumps(
                {
                    "reason": reason,
                    "headers": dict(headers or {}),
                    "payload": base64.b64encode(payload[:KEPT_BYTES]).decode(),
                    "sha256": hashlib.sha256(payload).hexdigest(),
                }
            ),
        )
        letter: dict[str, Any] = {
            "time": timestamp(datetime.now(UTC)),
            "subject": subject,
            "size": len(payload),
            "sealed": sealed,
        }
        identity: dict[str, str] = {}
        if origin is not None:
            letter["origin"] = origin
            identity[api.Header.MSG_ID.value] = origin
        await publish(self._connection, f"{streams.DEAD_SUBJECTS}.letter", json.dumps(letter).encode(), identity)
        _log.warning("dead letter", subject=subject, size=len(payload), origin=origin)

    async def list(self, limit: int = 100) -> tuple[DeadLetter, ...]:
        """The newest letters, newest first; those that the server gave up delivering are among them."""
        try:
            return await self._newest(limit)
        except AWAY as error:
            raise understood(error) from error

    async def _newest(self, limit: int) -> tuple[DeadLetter, ...]:
        state = (await self._js.stream_info(streams.DEAD)).state
        oldest = max(state.first_seq, state.last_seq - 3 * limit, 1)
        letters: list[DeadLetter] = []
        advisories: dict[str, DeadLetter] = {}
        for sequence in range(state.last_seq, oldest - 1, -1):
            if len(letters) >= limit:
                break
            try:
                message = await self._js.get_msg(streams.DEAD, sequence)
            except NotFoundError:
                continue
            try:
                body: dict[str, Any] = json.loads(message.data or b"{}")
                if (message.subject or "").startswith(streams.DEAD_SUBJECTS):
                    # A letter is kept before its message is terminated, and so explains the advisory that followed.
                    advisories.pop(body.get("origin", ""), None)
                    letters.append(self._opened(sequence, body))
                else:
                    advisories[f"{body['stream']}:{body['stream_seq']}"] = await self._given_up(sequence, body)
            except (ValueError, KeyError, TypeError, AttributeError):
                letters.append(_foreign(sequence, message))
        letters.extend(advisories.values())
        return tuple(sorted(letters, key=lambda letter: -letter.id)[:limit])

    def _opened(self, id: int, body: dict[str, Any]) -> DeadLetter:
        opened = self._keyring.open(KEY, body["sealed"])
        content: dict[str, Any] = {} if opened is None else json.loads(opened)
        return DeadLetter(
            id=id,
            time=body["time"],
            subject=body["subject"],
            reason=content.get("reason", "erased: its key was destroyed"),
            size=body["size"],
            excerpt=_excerpt(base64.b64decode(content.get("payload", ""))),
        )

    async def _given_up(self, id: int, body: dict[str, Any]) -> DeadLetter:
        """An advisory as a letter, with the message itself where its stream still holds it."""
        payload, subject = b"", f"{body['stream']} {body['stream_seq']}"
        try:
            message = await self._js.get_msg(body["stream"], body["stream_seq"])
        except NotFoundError:
            pass
        else:
            payload, subject = message.data or b"", message.subject or subject
        if body["type"].endswith("max_deliver"):
            reason = f"given up by {body['consumer']} after {body['deliveries']} deliveries without an answer"
        else:
            reason = f"terminated by {body['consumer']}: {body.get('reason') or 'no reason given'}"
        return DeadLetter(id, body["timestamp"], subject, reason, len(payload), _excerpt(payload))


def _foreign(id: int, message: RawStreamMsg) -> DeadLetter:
    """What stands among the dead letters and was not put there by us."""
    payload = message.data or b""
    reason = "this is no dead letter of ours: somebody else published it here"
    return DeadLetter(id, "", message.subject or "", reason, len(payload), _excerpt(payload))


def _excerpt(payload: bytes) -> str:
    return payload[: 4 * EXCERPT_CHARACTERS].decode(errors="replace")[:EXCERPT_CHARACTERS]
