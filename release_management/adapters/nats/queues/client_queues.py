"""Find the clients that have queues of their own: the gateway reads its permissions from its server."""

import json

from release_management.adapters.nats.access.permissions import USER_INFO, makes_stream
from release_management.adapters.nats.connection import ANSWER_SECONDS, NatsConnection
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.wire.error_mapping import AWAY
from release_management.services.ports.bus import BusAwayError

UNTOLD = (
    "the nats-server does not tell the gateway which clients have names; give it the configuration that "
    "relman nats-config prints"
)


async def named_clients(connection: NatsConnection, timeout: float = ANSWER_SECONDS) -> tuple[str, ...]:
    """Return the named clients of the server's configuration: the gateway may create a queue for each.

    Raises `BusAwayError` if the server does not answer.
    """
    try:
        info = json.loads((await connection.request(USER_INFO, timeout=timeout)).data)
    except AWAY as error:
        raise BusAwayError(UNTOLD) from error
    allowed = ((info["data"].get("permissions") or {}).get("publish") or {}).get("allow") or ()
    beginning = makes_stream(streams.queue_of(""))
    return tuple(sorted(each.removeprefix(beginning) for each in allowed if each.startswith(beginning)))
