"""Commands from the bus: asked with an answer, or queued by callers that do not wait."""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import structlog
from nats.aio.msg import Msg
from nats.js import api

from release_management.adapters.nats import streams
from release_management.adapters.nats.asking import Answering, is_refused_reply
from release_management.adapters.nats.connection import AWAY, Connection, Ticker, header, settle
from release_management.adapters.nats.dead_letters import DeadLetters
from release_management.adapters.nats.pulling import Puller
from release_management.services.bus import BusError, Gateway
from release_management.services.wishes import NotUnderstood, Outcome, Wish, read_cloudevent

CONSUMER = "gateway"
WINDOW = 64
ACK_WAIT_SECONDS = 30.0
TICK_SECONDS = 10.0
MAX_LETTERS = 1000

_log = structlog.get_logger(__name__)


class CommandService:
    """Brings the commands of the bus to the gateway, and the outcomes back.

    Queued commands are submitted in their order, up to 64 at a time. One that the gateway is too busy for is tried
    again every `retry_seconds`, and nothing new overtakes it. One at which the gateway itself fails `attempts` times
    goes to the dead letters. `ready` is set once it serves.
    """

    def __init__(
        self,
        connection: Connection,
        gateway: Gateway,
        dead_letters: DeadLetters,
        *,
        attempts: int = 5,
        retry_seconds: float = 0.2,
    ) -> None:
        self._connection = connection
        self._gateway = gateway
        self._dead_letters = dead_letters
        self._attempts = attempts
        self._retry_seconds = retry_seconds
        self._troubled = 0
        self._ticker = Ticker(TICK_SECONDS)
        self._slots = asyncio.Semaphore(WINDOW)
        self._answering = Answering(
            connection,
            {
                f"{streams.ASK_COMMAND}.>": self._answer_command,
                streams.ASK_OUTCOME: self._answer_outcome,
                streams.ASK_DEAD_LETTERS: self._answer_dead_letters,
            },
        )
        self.ready = self._answering.ready

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._answering.run())
            tasks.create_task(self._ticker.run())
            tasks.create_task(self._consume(tasks))

    async def _answer_command(self, message: Msg) -> bytes:
        try:
            wish = _read(message, streams.ASK_COMMAND)
        except NotUnderstood as error:
            try:
                await self._dead_letters.store(message.subject, message.data, message.headers, str(error))
            except BusError as trouble:
                _log.error("dead letter lost", subject=message.subject, reason=str(trouble))
            return _not_understood(error)
        outcome = await self._submit(wish)
        if outcome is None:
            reason = "the gateway failed; ask again with the same id"
            outcome = Outcome(status="busy", sender=wish.sender, id=wish.id, command=wish.command, reason=reason)
        return _encode(outcome)

    async def _answer_outcome(self, message: Msg) -> bytes:
        try:
            question: Any = json.loads(message.data)
            sender, id = question["sender"], question["id"]
            if not isinstance(sender, str) or not isinstance(id, str):
                raise TypeError
        except (ValueError, KeyError, TypeError):
            return _not_understood('ask with {"sender": "…", "id": "…"}')
        outcome = await self._gateway.outcome(sender, id)
        return b'{"status":"unknown"}' if outcome is None else _encode(outcome)

    async def _answer_dead_letters(self, message: Msg) -> bytes:
        try:
            limit: Any = json.loads(message.data or b"{}").get("limit", 100)
        except (ValueError, AttributeError):
            limit = None
        if type(limit) is not int or not 1 <= limit <= MAX_LETTERS:
            return _not_understood(f'ask with {{"limit": n}}, n from 1 to {MAX_LETTERS:,}')
        letters = await self._dead_letters.list(limit)
        return json.dumps({"dead_letters": [asdict(letter) for letter in letters]}).encode()

    async def _consume(self, tasks: asyncio.TaskGroup) -> None:
        puller = Puller(self._connection, streams.COMMANDS, _consumer, batch=WINDOW, fresh=True)
        previous = asyncio.Event()
        previous.set()
        async with contextlib.aclosing(puller.messages()) as messages:
            async for message in messages:
                await self._slots.acquire()
                done = asyncio.Event()
                tasks.create_task(self._take(message, previous, done))
                previous = done

    async def _take(self, message: Msg, previous: asyncio.Event, done: asyncio.Event) -> None:
        try:
            with self._ticker.working(message):
                await self._process(message, previous)
        except Exception:
            _log.exception("command not processed; it will come again", subject=message.subject)
        finally:
            done.set()
            self._slots.release()

    async def _process(self, message: Msg, previous: asyncio.Event) -> None:
        try:
            wish = _read(message, streams.COMMAND_SUBJECTS)
            reply_to = header(message, streams.REPLY_TO)
            if reply_to is not None and is_refused_reply(reply_to):
                raise NotUnderstood(
                    f"the header {streams.REPLY_TO} is {reply_to!r}; it may not begin with 'relman.' or '$', "
                    "nor hold wildcards"
                )
        except NotUnderstood as error:
            await self._bury(message, str(error))
            return
        outcome = await self._decide(wish, previous)
        if outcome is None:
            await self._bury(message, f"the gateway failed {self._attempts} times; its log says why")
            return
        if reply_to is not None:
            with contextlib.suppress(*AWAY):
                await self._connection.publish(reply_to, _encode(outcome))
        await settle(self._connection, message)

    async def _decide(self, wish: Wish, previous: asyncio.Event) -> Outcome | None:
        """The outcome, however long the gateway is busy; None where it failed too often."""
        failures = 0
        if not self._troubled:
            outcome = await self._submit(wish)
            if outcome is not None and outcome.status != "busy":
                return outcome
            failures += outcome is None
        with self._in_line():
            await previous.wait()
            while failures < self._attempts:
                outcome = await self._submit(wish)
                if outcome is not None and outcome.status != "busy":
                    return outcome
                failures += outcome is None
                await asyncio.sleep(self._retry_seconds)
        return None

    @contextlib.contextmanager
    def _in_line(self) -> Iterator[None]:
        """While inside, commands that arrive are submitted one by one, each after the one before."""
        self._troubled += 1
        try:
            yield
        finally:
            self._troubled -= 1

    async def _submit(self, wish: Wish) -> Outcome | None:
        try:
            return await self._gateway.submit(wish)
        except Exception:
            _log.exception("the gateway failed", sender=wish.sender, id=wish.id, command=wish.command)
            return None

    async def _bury(self, message: Msg, reason: str) -> None:
        """Keep a dead letter, and only then have the message forgotten."""
        origin = f"{streams.COMMANDS}:{message.metadata.sequence.stream}"
        while True:
            try:
                await self._dead_letters.store(message.subject, message.data, message.headers, reason, origin)
                break
            except BusError as error:
                _log.warning("dead letter not kept yet", subject=message.subject, reason=str(error))
                await asyncio.sleep(self._retry_seconds)
        await settle(self._connection, message, b"+TERM")


def _consumer() -> api.ConsumerConfig:
    return api.ConsumerConfig(
        durable_name=CONSUMER,
        name=CONSUMER,
        ack_policy=api.AckPolicy.EXPLICIT,
        ack_wait=ACK_WAIT_SECONDS,
        max_ack_pending=WINDOW,
    )


def _read(message: Msg, prefix: str) -> Wish:
    """The wish in a message; the subject's end is its type."""
    actor = header(message, streams.ACTOR)
    if actor is not None and actor.startswith("system:"):
        raise NotUnderstood(f"the header {streams.ACTOR} may not begin with 'system:', which is reserved")
    command = message.subject.removeprefix(f"{prefix}.")
    return read_cloudevent(message.data, actor=actor, expected_type=command)


def _encode(outcome: Outcome) -> bytes:
    return outcome.model_dump_json().encode()


def _not_understood(reason: NotUnderstood | str) -> bytes:
    return json.dumps({"status": "not_understood", "reason": str(reason)}).encode()
