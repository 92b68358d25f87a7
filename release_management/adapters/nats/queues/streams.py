"""The streams: their names, what they capture, and how much they hold."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Iterable

import structlog
from nats.js import JetStreamContext
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig, StreamConsumerLimits
from nats.js.errors import BadRequestError, NotFoundError

from release_management.adapters.nats.access.senders import as_sent_by
from release_management.adapters.nats.wire.error_mapping import AWAY, understood
from release_management.services.ports.bus import (
    BusAwayError,
    BusError,
    BusUnfitError,
)

COMMANDS = "RELMAN_COMMANDS"
REPORTS = "RELMAN_REPORTS"
EVENTS = "RELMAN_EVENTS"
ORDERS = "RELMAN_ORDERS"
DEAD = "RELMAN_DEAD"
WORK = (COMMANDS, REPORTS, ORDERS, DEAD)
"""The streams that the gateway creates, besides the queues of clients. The relay creates that of the events."""

ASK_COMMAND = "relman.ask.command"
ASK_OUTCOME = "relman.ask.outcome"
ASK_QUERY = "relman.ask.query"
ASK_CONTENT = "relman.ask.content"
ASK_DEAD_LETTERS = "relman.ask.dead_letters"
REPLAY_DEAD_LETTERS = "relman.ask.dead_letters.replay"
SYSTEM_SUBJECTS = "relman.system"
COMMAND_SUBJECTS = "relman.commands"
REPORT_SUBJECTS = "relman.reports"
LOOK_SUBJECTS = "relman.looks"
"""In no stream: the roles that show what runs keep the newest observation."""
EVENT_SUBJECTS = "relman.events"
ORDER_SUBJECTS = "relman.orders"
DEAD_SUBJECTS = "relman.dead"
DEAD_LETTER = f"{DEAD_SUBJECTS}.letter"
DEAD_ORDERS = f"{DEAD_SUBJECTS}.orders"
GATEWAY = "gateway"
"""The durable consumer of the commands, and that of the reports."""
ANSWERS = ("*.answers", "*.answers.>")
"""The subjects, besides inboxes, that a client which does not wait can have an outcome sent to."""
EVENT_CONSUMERS = 4
"""The number of event consumers that a client can have, by the names `<user>-1`, `<user>-2`, …"""
CONSUMER_IDLE_SECONDS = 7 * 86_400.0
"""An event consumer that is idle for so long is removed, whatever its client requested."""
ADVISORIES = "$JS.EVENT.ADVISORY.CONSUMER"
ADVISORY_KINDS = ("MAX_DELIVERIES", "MSG_TERMINATED")

ACTOR = "Relman-Actor"
REPLY_TO = "Relman-Reply-To"
PATIENCE = "Relman-Patience"
"""The seconds, from its arrival on, that the sender of a request waits for the answer."""
REQUEST_INFO = "Nats-Request-Info"
"""The sender: the server writes it into every message from another account, over what its sender wrote."""
COMMAND_HEADERS = frozenset((ACTOR, PATIENCE, REPLY_TO))
"""The headers of ours that a command can have."""
POSITION = "Relman-Position"
CONTENT_TYPE = "content-type"
CLOUDEVENT = "application/cloudevents+json"

MEBIBYTE = 1024 * 1024
CLIENT_QUEUE_MEBIBYTES = 64
DAY = 86_400.0
WRONG_CONFIGURATION = 10058
PATIENCE_SECONDS = 60.0
RETRY_SECONDS = 0.5

_log = structlog.get_logger(__name__)


def queue_of(client: str) -> str:
    """Return the stream of the commands that the client of this name has queued. No other client can fill it."""
    return f"{COMMANDS}_{client}"


def queues(clients: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the streams of queued commands: that of all unnamed clients, and one for each named one."""
    return COMMANDS, *map(queue_of, clients)


def work(clients: Iterable[str] = ()) -> tuple[str, ...]:
    """Return all streams that the gateway creates, with clients of these names."""
    return *WORK, *map(queue_of, clients)


def configurations(replicas: int = 1, clients: Collection[str] = ()) -> tuple[StreamConfig, ...]:
    """Return all streams, in the order in which they are created: a subject leaves one before another takes it.

    Commands, reports and orders refuse new messages when they are full: the sender is told "busy". Events and dead
    letters drop their oldest: the log holds every event, and a flood of dead letters may not stop later ones.
    """
    taken = (*queues(clients), REPORTS, ORDERS)
    return (
        _work_queue(COMMANDS, "Commands of callers that do not wait", [f"{COMMAND_SUBJECTS}.>"], replicas),
        *(
            _work_queue(
                queue_of(client),
                f"Commands of the client `{client}` when it does not wait",
                [as_sent_by(client, f"{COMMAND_SUBJECTS}.>")],
                replicas,
                mebibytes=CLIENT_QUEUE_MEBIBYTES,
            )
            for client in clients
        ),
        _work_queue(REPORTS, "Reports of executors; no client can fill it", [f"{REPORT_SUBJECTS}.*"], replicas),
        StreamConfig(
            name=EVENTS,
            description="Every record of the log; the sequence is the position",
            allow_atomic=True,
            allow_direct=True,
            consumer_limits=StreamConsumerLimits(inactive_threshold=CONSUMER_IDLE_SECONDS),
            subjects=[f"{EVENT_SUBJECTS}.>"],
            retention=RetentionPolicy.LIMITS,
            discard=DiscardPolicy.OLD,
            max_bytes=1024 * MEBIBYTE,
            max_age=365 * DAY,
            storage=StorageType.FILE,
            num_replicas=replicas,
            duplicate_window=120.0,
        ),
        _work_queue(ORDERS, "Step orders for the executors", [f"{ORDER_SUBJECTS}.>"], replicas, max_age=DAY),
        StreamConfig(
            name=DEAD,
            description="What could not be understood or delivered",
            subjects=[
                f"{DEAD_SUBJECTS}.>",
                *(f"{ADVISORIES}.{kind}.{name}.*" for kind in ADVISORY_KINDS for name in taken),
            ],
            retention=RetentionPolicy.LIMITS,
            discard=DiscardPolicy.OLD,
            max_msgs=10_000,
            max_bytes=256 * MEBIBYTE,
            max_age=90 * DAY,
            storage=StorageType.FILE,
            num_replicas=replicas,
            duplicate_window=120.0,
        ),
    )


def _work_queue(
    name: str,
    description: str,
    subjects: list[str],
    replicas: int,
    max_age: float | None = None,
    mebibytes: int = 256,
) -> StreamConfig:
    """Return a work queue: each message is taken once, and new ones are refused when it is full."""
    return StreamConfig(
        name=name,
        description=description,
        subjects=subjects,
        retention=RetentionPolicy.WORK_QUEUE,
        discard=DiscardPolicy.NEW,
        max_msgs=50_000,
        max_bytes=mebibytes * MEBIBYTE,
        max_age=max_age,
        storage=StorageType.FILE,
        num_replicas=replicas,
        duplicate_window=120.0,
    )


async def ensure_streams(
    js: JetStreamContext,
    replicas: int = 1,
    names: Collection[str] = WORK,
    *,
    patience: float = PATIENCE_SECONDS,
) -> None:
    """Create the streams of these names, or update their configuration. Safe to repeat.

    Servers that do not answer yet, or have no leader among them, are waited for `patience` seconds. Raises `BusError`,
    and `BusUnfitError` if a person has to change the servers.
    """

    clients = [name.removeprefix(queue_of("")) for name in names if name.startswith(queue_of(""))]

    async def ensure() -> None:
        for config in configurations(replicas, clients):
            if config.name in names:
                await _ensure(js, config)

    await _patiently(ensure, patience, "the bus makes no streams yet")


async def missing(js: JetStreamContext, names: Collection[str]) -> bool:
    """Return True if one of these streams is missing. Raises `BusError` if the bus does not answer."""
    try:
        for name in names:
            await js.stream_info(name)
    except NotFoundError:
        return True
    except AWAY as error:
        raise understood(error) from error
    return False


async def _ensure(js: JetStreamContext, config: StreamConfig) -> None:
    try:
        made = await js.add_stream(config)
    except BadRequestError as error:
        if error.err_code != WRONG_CONFIGURATION:
            raise
        if config.consumer_limits is not None:
            await _remove_boundless_consumers(js, config.name)
        made = await js.update_stream(config)
    if config.allow_atomic and not made.config.allow_atomic:
        raise BusUnfitError("this nats-server is too old; relman needs 2.12 or newer")


async def _remove_boundless_consumers(js: JetStreamContext, stream: str | None) -> None:
    """Remove consumers from before there were limits: they would stay for ever, and there may be very many."""
    assert stream is not None
    limits = (await js.stream_info(stream)).config.consumer_limits
    if limits is not None and limits.inactive_threshold:
        return
    while found := await js.consumers_info(stream):
        for consumer in found:
            with contextlib.suppress(NotFoundError):
                await js.delete_consumer(stream, consumer.name)
        _log.warning("removed consumers that were made before there were limits", stream=stream, count=len(found))


async def _patiently(attempt: Callable[[], Awaitable[None]], patience: float, action: str) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            await attempt()
            return
        except AWAY as error:
            trouble: BusError | BusUnfitError = understood(error)
        except (BusError, BusUnfitError) as error:
            trouble = error
        if not isinstance(trouble, BusAwayError) or time.monotonic() + RETRY_SECONDS >= deadline:
            raise trouble
        _log.warning(action, reason=str(trouble))
        await asyncio.sleep(RETRY_SECONDS)
