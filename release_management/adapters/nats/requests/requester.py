"""Send requests over the bus until there is an answer."""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

import nats.errors

from release_management.adapters.nats.connection import NatsConnection
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.wire.error_mapping import AWAY
from release_management.adapters.nats.wire.replies import code_in
from release_management.services.envelope import (
    CommandEnvelope,
    InvalidCommand,
    Outcome,
)
from release_management.services.ports.bus import (
    BusAwayError,
    BusError,
    BusSilentError,
)

RETRY_SECONDS = 0.1


async def ask(
    connection: NatsConnection,
    subject: str,
    payload: bytes,
    headers: Mapping[str, str] | None = None,
    *,
    timeout: float,
    patience: float,
) -> dict[str, Any]:
    """Return the answer to a request, sent again if `patience` seconds bring none, nobody listens, or it says "retry".

    Raises `BusAwayError` after `timeout` seconds (`BusSilentError`: somebody listens), and `InvalidCommand` if the
    message is too long for the bus.
    """
    deadline = time.monotonic() + timeout
    answer: dict[str, Any] | None = None
    while True:
        left = max(deadline - time.monotonic(), 0.001)
        is_last = time.monotonic() + RETRY_SECONDS >= deadline
        try:
            answer = await ask_once(connection, subject, payload, headers, patience=min(left, patience))
        except BusAwayError as error:
            if time.monotonic() + RETRY_SECONDS >= deadline:
                if answer is not None:  # the time was over too soon for another answer
                    return answer
                raise type(error)(f"{error} within {timeout:g} s", code=error.code) from error
            answer = None
        else:
            if not answer.get("retry") or is_last:
                return answer
        await asyncio.sleep(RETRY_SECONDS)


async def ask_once(
    connection: NatsConnection,
    subject: str,
    payload: bytes,
    headers: Mapping[str, str] | None = None,
    *,
    patience: float,
) -> dict[str, Any]:
    """Return the answer to a request that is sent once. Raises `BusAwayError`, and `InvalidCommand` as `ask` does."""
    try:
        if not connection.is_connected:
            raise BusAwayError(f"the connection to the bus is lost, and no answer on {subject}")
        carried = {**(headers or {}), streams.PATIENCE: f"{patience:.3f}"}
        reply = await connection.request(subject, payload, timeout=patience, headers=carried)
    except nats.errors.MaxPayloadError:
        raise InvalidCommand(f"the message has {len(payload):,} bytes, which is more than the bus carries") from None
    except AWAY as error:
        if isinstance(error, nats.errors.NoRespondersError):
            raise BusAwayError(f"nobody listens on {subject}") from error
        raise BusSilentError(f"no answer on {subject}") from error
    answer: dict[str, Any] = json.loads(reply.data)
    return answer


def read_outcome(reply: dict[str, Any]) -> Outcome:
    """Return the outcome in an answer. Raises `InvalidCommand`, and `BusError` if answering failed."""
    if reply.get("status") == "not_understood":
        raise InvalidCommand(reply["reason"], code=code_in(reply))
    if "error" in reply:
        raise BusError(reply["error"], code=code_in(reply))
    return Outcome.model_validate_json(json.dumps(reply))


def cloudevent(envelope: CommandEnvelope) -> bytes:
    """Return a command as a CloudEvents 1.0 JSON document."""
    document = {
        "specversion": "1.0",
        "id": envelope.id,
        "source": envelope.sender,
        "type": envelope.command,
        "datacontenttype": "application/json",
        "correlationid": envelope.correlationid,
        "causationid": envelope.causationid,
        "data": envelope.data,
    }
    present = {name: value for name, value in document.items() if value is not None}
    return json.dumps(present, ensure_ascii=False, separators=(",", ":")).encode()


def actor_header(envelope: CommandEnvelope) -> dict[str, str]:
    """Return the header with the name of the person who gives the command, if it is a person."""
    return {streams.ACTOR: envelope.actor} if envelope.actorkind == "person" else {}
