"""Request and reply: each request is answered in a task of its own, in the order of their arrival."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Mapping

import structlog
from nats.aio.msg import Msg

from release_management.adapters.nats.connection import AWAY, Connection

MAX_ASKING = 1024
MAX_REPLY_SUBJECT = 200
RESERVED = ("relman.", "$")

FAILED = json.dumps({"error": "answering failed, by a fault of ours; the log of this role says why"}).encode()

Answer = Callable[[Msg], Awaitable[bytes]]

_log = structlog.get_logger(__name__)


def is_refused_reply(subject: str) -> bool:
    """Whether an answer may not be sent there: our own subjects, the server's, wildcards, and what is no subject.

    A caller could otherwise have *us* send something to where it may not, or have the server close our connection.
    """
    if subject.startswith(RESERVED) or len(subject) > MAX_REPLY_SUBJECT or not subject.isprintable():
        return True
    return any(letter in subject for letter in "*> ") or "" in subject.split(".")


class Answering:
    """Answers requests on the given subjects. `ready` is set once the server has the subscriptions.

    At most 1,024 are worked on at a time; more wait in line.
    """

    def __init__(self, connection: Connection, answers: Mapping[str, Answer]) -> None:
        self.ready = asyncio.Event()
        self._connection = connection
        self._answers = answers
        self._slots = asyncio.Semaphore(MAX_ASKING)

    async def run(self) -> None:
        """Answer until cancelled."""
        async with contextlib.AsyncExitStack() as stack:
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            for subject, answer in self._answers.items():
                await self._serve(stack, tasks, subject, answer)
            await self._connection.flush()
            self.ready.set()
            await asyncio.Event().wait()

    async def _serve(
        self, stack: contextlib.AsyncExitStack, tasks: asyncio.TaskGroup, subject: str, answer: Answer
    ) -> None:
        async def take(message: Msg) -> None:
            await self._slots.acquire()
            tasks.create_task(self._reply(message, answer))

        subscription = await self._connection.subscribe(subject, cb=take)

        async def leave() -> None:
            with contextlib.suppress(*AWAY):
                await subscription.unsubscribe()

        stack.push_async_callback(leave)

    async def _reply(self, message: Msg, answer: Answer) -> None:
        try:
            reply = await answer(message)
            if not message.reply:
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
    text = f"the answer has {size:,} bytes; at most {limit:,} can be sent: ask for a page of it"
    return json.dumps({"error": text}).encode()
