"""Request and reply: each request is answered in a task of its own, in the order of their arrival."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping

import structlog
from nats.aio.msg import Msg

from release_management.adapters.nats.connection import AWAY, Connection

MAX_ASKING = 1024
GRACE_SECONDS = 0.5
MAX_REPLY_SUBJECT = 200
RESERVED = ("relman.", "$")

FAILED = json.dumps({"error": "answering failed, by a fault of ours; the log of this role says why"}).encode()

Answer = Callable[[Msg], Awaitable[bytes | None]]
"""Answers a request; None where somebody else will."""

_log = structlog.get_logger(__name__)


def is_refused_reply(subject: str) -> bool:
    """Whether an answer may not be sent there: our own subjects, the server's, wildcards, and what is no subject.

    A caller could otherwise have *us* send something to where it may not, or have the server close our connection.
    """
    if subject.startswith(RESERVED) or len(subject) > MAX_REPLY_SUBJECT or not subject.isprintable():
        return True
    return any(letter in subject for letter in "*> ") or "" in subject.split(".")


def takes_answers(subject: str) -> bool:
    """Whether the outcome of a queued command may go there: an inbox, `<name>.answers`, or what is below that."""
    if is_refused_reply(subject):
        return False
    first, _, rest = subject.partition(".")
    return first == "_INBOX" or rest.split(".")[0] == "answers"


class Answering:
    """Answers requests on the given subjects. `ready` is set once the server has the subscriptions.

    Those that name the same `group` share the requests; without one, everybody gets all of them. At most 1,024 are
    worked on at a time; more wait in line.
    """

    def __init__(self, connection: Connection, answers: Mapping[str, Answer], group: str = "") -> None:
        self.ready = asyncio.Event()
        self._group = group
        self._connection = connection
        self._answers = answers
        self._slots = asyncio.Semaphore(MAX_ASKING)

    async def run(self) -> None:
        """Answer until cancelled. What is being answered then has a moment to be done."""
        working: set[asyncio.Task[None]] = set()
        try:
            async with contextlib.AsyncExitStack() as stack:
                for subject, answer in self._answers.items():
                    await self._serve(stack, working, subject, answer)
                await self._connection.flush()
                self.ready.set()
                await asyncio.Event().wait()
        finally:
            if working:
                await asyncio.wait(working, timeout=GRACE_SECONDS)
            for task in working:
                task.cancel()

    async def _serve(
        self, stack: contextlib.AsyncExitStack, working: set[asyncio.Task[None]], subject: str, answer: Answer
    ) -> None:
        async def take(message: Msg) -> None:
            await self._slots.acquire()
            task = asyncio.create_task(self._reply(message, answer))
            working.add(task)
            task.add_done_callback(working.discard)

        subscription = await self._connection.subscribe(subject, self._group, cb=take)

        async def leave() -> None:
            with contextlib.suppress(*AWAY):
                await subscription.unsubscribe()

        stack.push_async_callback(leave)

    async def _reply(self, message: Msg, answer: Answer) -> None:
        try:
            reply = await answer(message)
            if reply is None or not message.reply:
                return
            if is_refused_reply(message.reply):
                _log.warning("reply refused", subject=message.subject, reply=message.reply)
                return
            if len(reply) > self._connection.max_payload:
                reply = _too_big(len(reply), self._connection.max_payload)
            with contextlib.suppress(*AWAY):
                await self._connection.publish(message.reply, reply)
        except Exception:
            _log.exception("answering failed", subject=message.subject)
            if message.reply and not is_refused_reply(message.reply):
                with contextlib.suppress(*AWAY):
                    await self._connection.publish(message.reply, FAILED)
        finally:
            self._slots.release()


def _too_big(size: int, limit: int) -> bytes:
    text = f"the answer has {size:,} bytes; at most {limit:,} can be sent: ask for less, or with an offset, in parts"
    return json.dumps({"error": text}).encode()
