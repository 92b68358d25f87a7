"""Request and reply: each request is answered in a task of its own, when its turn comes in its lane."""

import asyncio
import contextlib
import json
import math
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial

import structlog
from nats.aio.msg import Msg

from release_management.adapters.nats.access.senders import (
    ASK,
    as_sent_by,
    from_everybody,
    sent_by,
)
from release_management.adapters.nats.connection import NatsConnection, header
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.requests.lanes import (
    Asker,
    Lane,
    LaneRequest,
)
from release_management.adapters.nats.wire.error_mapping import AWAY
from release_management.adapters.nats.wire.replies import error_reply
from release_management.kernel.errors import ErrorCode

MAX_ASKING = 1024
GRACE_SECONDS = 0.5
PATIENCE_SECONDS = 5.0
"""Seconds for which a sender waits that does not say how long."""
LONGEST_PATIENCE_SECONDS = 60.0
MAX_REPLY_SUBJECT = 200
TELL_SECONDS = 60.0
"""Seconds between log lines on refused reply subjects: a client could cause them without end."""
RESERVED = ("relman.", "$")
INBOX = "_INBOX"

FAILED = error_reply("answering failed, by a fault of ours; the log of this role says why", ErrorCode.INTERNAL)

Responder = Callable[[Msg], Awaitable[bytes | None]]
"""Answers a request; None if another process will."""

_log = structlog.get_logger(__name__)


def is_refused_reply(subject: str) -> bool:
    """Return True if no answer may be sent to a subject: ours, the server's, wildcards, and malformed ones.

    A caller could otherwise make *us* publish where it may not, or make the server close our connection. The bare
    prefix of all inboxes is refused too.
    """
    if subject.startswith(RESERVED) or len(subject) > MAX_REPLY_SUBJECT or not subject.isprintable():
        return True
    return subject == INBOX or any(letter in subject for letter in "*> ") or "" in subject.split(".")


def takes_answers(subject: str) -> bool:
    """Return True if a queued command's outcome may go to a subject: an inbox, `<name>.answers`, or one below that."""
    if is_refused_reply(subject):
        return False
    first, _, rest = subject.partition(".")
    return first == INBOX or rest.split(".")[0] == "answers"


def patience(message: Msg) -> float:
    """Return how many seconds the sender of a request waits for its answer."""
    try:
        seconds = float(header(message, streams.PATIENCE) or PATIENCE_SECONDS)
    except ValueError:
        return PATIENCE_SECONDS
    return min(seconds, LONGEST_PATIENCE_SECONDS) if math.isfinite(seconds) and seconds > 0 else PATIENCE_SECONDS


def asker(message: Msg) -> Asker:
    """Return a request's sender and connection, as the server has written them into it, if it does."""
    name, _ = sent_by(message.subject)
    try:
        info = json.loads(header(message, streams.REQUEST_INFO) or "{}")
        return Asker(name, f"{info.get('server', '')} {info.get('id', '')}")
    except (ValueError, AttributeError, RecursionError):
        return Asker(name)


def _size(message: Msg) -> int:
    headers = sum(len(name) + len(value) for name, value in (message.headers or {}).items())
    return len(message.subject) + len(message.data) + headers


class RequestServer:
    """Answers requests on the given subjects. `ready` is set once the server has the subscriptions.

    Processes with the same `group` share the requests; without one, each gets all of them. `lanes` names the lane in
    which a subject's requests wait; all other subjects share one of 1,024 slots. `doors` has for each client (`""`: all
    without a name) the connection on which it is heard, so that none waits behind the bytes of another; without doors
    all are heard on the one connection.
    """

    def __init__(
        self,
        connection: NatsConnection,
        answers: Mapping[str, Responder],
        group: str = "",
        lanes: Mapping[str, Lane] | None = None,
        doors: Mapping[str, NatsConnection] | None = None,
    ) -> None:
        self.ready = asyncio.Event()
        self._group = group
        self._connection = connection
        self._answers = answers
        self._doors = doors
        self._refused = 0
        self._tells_again = 0.0
        common = Lane("other", MAX_ASKING)
        self._lanes = {subject: (lanes or {}).get(subject, common) for subject in answers}

    @property
    def pressure(self) -> Mapping[str, str | None]:
        """The warning of each lane that dropped requests lately, by name; None for the others."""
        return {lane.name: lane.pressure for lane in self._lanes.values()}

    async def run(self) -> None:
        """Answer until cancelled. Requests in work then get a moment to finish."""
        try:
            async with contextlib.AsyncExitStack() as stack:
                for subject, answer in self._answers.items():
                    for connection, filter_subject in self._subscriptions(subject):
                        await self._serve(stack, connection, filter_subject, answer, self._lanes[subject])
                for connection in {self._connection, *(self._doors or {}).values()}:
                    await connection.flush()
                self.ready.set()
                await asyncio.Event().wait()
        finally:
            await asyncio.gather(*(lane.close(GRACE_SECONDS) for lane in set(self._lanes.values())))

    def _subscriptions(self, subject: str) -> Iterator[tuple[NatsConnection, str]]:
        """Yield the connections and subjects to listen on for a subject."""
        if not subject.startswith(ASK):
            yield self._connection, subject
        elif self._doors is None:
            yield from ((self._connection, each) for each in from_everybody(subject))
        else:
            yield from ((door, as_sent_by(client, subject)) for client, door in self._doors.items())

    async def _serve(
        self, stack: contextlib.AsyncExitStack, connection: NatsConnection, subject: str, answer: Responder, lane: Lane
    ) -> None:
        async def take(message: Msg) -> None:
            expires = time.monotonic() + patience(message)
            work = partial(self._reply, connection, message, answer)
            lane.take(LaneRequest(asker(message), _size(message), expires, work))

        subscription = await connection.subscribe(subject, self._group, cb=take)

        async def leave() -> None:
            with contextlib.suppress(*AWAY):
                await subscription.unsubscribe()

        stack.push_async_callback(leave)

    async def _reply(self, connection: NatsConnection, message: Msg, answer: Responder) -> None:
        try:
            reply = await answer(message)
            if reply is None or not message.reply:
                return
            if is_refused_reply(message.reply):
                self._refuse_reply(message)
                return
            if len(reply) > connection.max_payload:
                reply = _too_big(len(reply), connection.max_payload)
            with contextlib.suppress(*AWAY):
                await connection.publish(message.reply, reply)
        except Exception:
            _log.exception("answering failed", subject=message.subject)
            if message.reply and not is_refused_reply(message.reply):
                with contextlib.suppress(*AWAY):
                    await connection.publish(message.reply, FAILED)

    def _refuse_reply(self, message: Msg) -> None:
        self._refused += 1
        if time.monotonic() >= self._tells_again:
            _log.warning("reply refused", subject=message.subject, reply=message.reply, number=self._refused)
            self._refused, self._tells_again = 0, time.monotonic() + TELL_SECONDS


def _too_big(size: int, limit: int) -> bytes:
    text = f"the answer has {size:,} bytes; at most {limit:,} can be sent: ask for less"
    return error_reply(text, ErrorCode.INVALID)
