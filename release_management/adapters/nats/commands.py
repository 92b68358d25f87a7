"""Commands from the bus: asked with an answer, or queued by callers that do not wait."""

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Annotated

import structlog
from nats.aio.msg import Msg
from nats.js import api
from pydantic import Field, ValidationError

from release_management.adapters.nats import streams
from release_management.adapters.nats.asking import Answering, takes_answers
from release_management.adapters.nats.connection import AWAY, Connection, header
from release_management.adapters.nats.dead_letters import DeadLetters
from release_management.adapters.nats.headers import fault_of
from release_management.adapters.nats.lanes import Lane
from release_management.adapters.nats.parts import part
from release_management.adapters.nats.pulling import Puller
from release_management.adapters.nats.settling import BURIED, Ticker, settle
from release_management.domain.words import Value, explain
from release_management.services.bus import BusError, LineGateway, OlderThanSenderError
from release_management.services.gateway import BATCH_COMMANDS
from release_management.services.ports import DeposedError, LogDamagedError, LogUnavailableError
from release_management.services.wishes import CLIENT, SYSTEM, NotUnderstood, Outcome, Token, Wish, read_cloudevent

CONSUMER = streams.GATEWAY
COMMANDS_AT_ONCE = 2 * BATCH_COMMANDS
READ_AT_ONCE = 16
LETTERS_AT_ONCE = 2
WINDOW = 64
ACK_WAIT_SECONDS = 30.0
TICK_SECONDS = 10.0
OLDER_SECONDS = 15.0
MAX_OLDER = 20  # as often as an executor leaves an order to a newer one, which is for more than three minutes
MAX_LETTERS = 1000
MAX_REPLAYED = 50

_log = structlog.get_logger(__name__)


class LettersQuestion(Value):
    """Which dead letters are asked for: the newest `limit`, or all of the one with this `id`."""

    limit: int = Field(default=100, ge=1, le=MAX_LETTERS)
    id: int | None = Field(default=None, ge=1)


class ReplayQuestion(Value):
    """Which dead letters are to be sent again."""

    ids: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, max_length=MAX_REPLAYED)]


class OutcomeQuestion(Value):
    """Whose command, and which, the outcome is asked of."""

    sender: Token
    id: Token


class ContentQuestion(Value):
    """The data beside the records with this `dataref`: the part that begins at the character `offset`."""

    dataref: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    offset: int = Field(default=0, ge=0)


class CommandService:
    """Brings the commands of the bus to the gateway, and the outcomes back.

    Queued commands are submitted in their order, up to 64 at a time. One that the gateway is too busy for is tried
    again every `retry_seconds`, and nothing overtakes it. One at which the gateway itself fails `attempts` times
    goes to the dead letters. The report of a newer executor is left to a newer gateway for a while. `ready` is set once
    it serves.
    """

    def __init__(
        self,
        connection: Connection,
        gateway: LineGateway,
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
        self._setbacks = gateway.setbacks
        self._older: tuple[float, str] | None = None
        self._unburied: str | None = None
        self._ticker = Ticker(TICK_SECONDS)
        self._puller = Puller(connection, streams.COMMANDS, _consumer, batch=WINDOW, fresh=True)
        self._slots = asyncio.Semaphore(WINDOW)
        commands = Lane("commands", COMMANDS_AT_ONCE, of_connection=BATCH_COMMANDS)
        reading = Lane("reading", READ_AT_ONCE, of_connection=READ_AT_ONCE // 4, reads=True)
        letters = Lane("letters", LETTERS_AT_ONCE, of_connection=1, reads=True)
        self._answering = Answering(
            connection,
            {
                f"{streams.ASK_COMMAND}.>": self._answer_command,
                f"{streams.SYSTEM_SUBJECTS}.>": self._answer_system,
                streams.ASK_OUTCOME: self._answer_outcome,
                streams.ASK_CONTENT: self._answer_content,
                streams.ASK_DEAD_LETTERS: self._answer_dead_letters,
                streams.REPLAY_DEAD_LETTERS: self._answer_replay,
            },
            lanes={
                f"{streams.ASK_COMMAND}.>": commands,
                f"{streams.SYSTEM_SUBJECTS}.>": Lane("machinery", COMMANDS_AT_ONCE),
                streams.ASK_OUTCOME: reading,
                streams.ASK_CONTENT: reading,
                streams.ASK_DEAD_LETTERS: letters,
                streams.REPLAY_DEAD_LETTERS: Lane("replays", 1),
            },
        )
        self.ready = self._answering.ready

    @property
    def trouble(self) -> str | None:
        """Why no queued commands can be taken at the moment, or what is none cannot be kept."""
        return self._puller.trouble or self._unburied

    @property
    def pressure(self) -> Mapping[str, str | None]:
        """What is said of requests that were dropped lately, by lane."""
        return self._answering.pressure

    @property
    def older(self) -> str | None:
        """Which role of a newer version this gateway did not understand lately."""
        if self._older is None or time.monotonic() - self._older[0] > 2 * OLDER_SECONDS:
            return None
        return self._older[1]

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._answering.run())
            tasks.create_task(self._ticker.run())
            tasks.create_task(self._consume(tasks))

    async def _answer_command(self, message: Msg) -> bytes | None:
        try:
            wish = _read(message, streams.ASK_COMMAND)
        except NotUnderstood as error:
            return await self._answer_letter(message, error)
        return await self._answer_wish(wish)

    async def _answer_system(self, message: Msg) -> bytes | None:
        try:
            wish = _read(message, streams.SYSTEM_SUBJECTS, SYSTEM)
        except NotUnderstood as error:
            return await self._answer_letter(message, error)
        return await self._answer_wish(wish)

    async def _answer_letter(self, message: Msg, error: NotUnderstood) -> bytes:
        try:
            await self._dead_letters.store(message.subject, message.data, message.headers, str(error))
        except BusError as trouble:
            _log.error("dead letter lost", subject=message.subject, reason=str(trouble))
        return _not_understood(error)

    async def _answer_wish(self, wish: Wish) -> bytes | None:
        try:
            outcome = await self._submit(wish)
        except DeposedError:
            return None
        except OlderThanSenderError as error:
            outcome = _busy(wish, str(error))
        if outcome is None:
            outcome = _busy(wish, "the gateway failed; ask again with the same id")
        return _encode(outcome)

    async def _answer_outcome(self, message: Msg) -> bytes:
        try:
            question = OutcomeQuestion.model_validate_json(message.data)
        except ValidationError:
            return _not_understood(
                'ask with {"sender": "…", "id": "…"}, each of 1 to 200 characters, none of them a control'
            )
        outcome = await self._gateway.outcome(question.sender, question.id)
        return b'{"status":"unknown"}' if outcome is None else _encode(outcome)

    async def _answer_content(self, message: Msg) -> bytes:
        try:
            question = ContentQuestion.model_validate_json(message.data or b"{}")
        except ValidationError as error:
            return _not_understood(f'ask with {{"dataref": "sha256:…", "offset": n}}: {explain(error)}')
        try:
            content = await self._gateway.content(question.dataref)
        except (LogUnavailableError, LogDamagedError) as error:
            return json.dumps({"error": str(error)}).encode()
        return part(content.decode(), question.offset)

    async def _answer_dead_letters(self, message: Msg) -> bytes:
        try:
            question = LettersQuestion.model_validate_json(message.data or b"{}")
        except ValidationError as error:
            known = f'ask with {{"limit": n}}, n from 1 to {MAX_LETTERS:,}, or with {{"id": n}}'
            return _not_understood(f"{known}: {explain(error)}")
        try:
            if question.id is None:
                letters = await self._dead_letters.newest(question.limit)
                return json.dumps({"dead_letters": [asdict(letter) for letter in letters]}).encode()
            letter = await self._dead_letters.open(question.id)
        except BusError as error:
            return json.dumps({"error": str(error)}).encode()
        return json.dumps({"dead_letter": None if letter is None else asdict(letter)}).encode()

    async def _answer_replay(self, message: Msg) -> bytes:
        try:
            question = ReplayQuestion.model_validate_json(message.data)
        except ValidationError as error:
            return _not_understood(f'ask with {{"ids": [n, …]}}, at most {MAX_REPLAYED}: {explain(error)}')
        try:
            replays = await self._dead_letters.replay(question.ids)
        except BusError as error:
            return json.dumps({"error": f"{error}; what was not sent is still there"}).encode()
        return json.dumps({"replays": [asdict(replay) for replay in replays]}).encode()

    async def _consume(self, tasks: asyncio.TaskGroup) -> None:
        previous = asyncio.Event()
        previous.set()
        async with contextlib.aclosing(self._puller.messages()) as messages:
            async for message in messages:
                await self._slots.acquire()
                done = asyncio.Event()
                tasks.create_task(self._take(message, previous, done))
                previous = done

    async def _take(self, message: Msg, previous: asyncio.Event, done: asyncio.Event) -> None:
        try:
            with self._ticker.working(message):
                await self._process(message, previous)
        except DeposedError:
            _log.info("not decided here: another gateway is the active one", subject=message.subject)
        except Exception:
            _log.exception("command not processed; it will come again", subject=message.subject)
        finally:
            done.set()
            self._slots.release()

    async def _process(self, message: Msg, previous: asyncio.Event) -> None:
        try:
            wish = _read_queued(message)
            reply_to = header(message, streams.REPLY_TO)
            if reply_to is not None and not takes_answers(reply_to):
                raise NotUnderstood(
                    f"the header {streams.REPLY_TO} is {reply_to[:200]!r}; it must be an inbox (_INBOX.…), or "
                    "<name>.answers, or begin with that and a dot"
                )
        except NotUnderstood as error:
            await self._bury(message, str(error))
            return
        try:
            outcome = await self._decide(wish, previous)
        except OlderThanSenderError as error:
            await self._leave(message, str(error))
            return
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
            outcome = await self._submit(wish, self._setbacks)
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
            if not self._troubled:
                self._setbacks = self._gateway.setbacks

    async def _submit(self, wish: Wish, setbacks: int | None = None) -> Outcome | None:
        """The outcome; None where the gateway failed.

        Raises `DeposedError`: another gateway will answer; and `OlderThanSenderError`: a newer one will.
        """
        try:
            return await self._gateway.submit(wish, setbacks)
        except DeposedError:
            raise
        except OlderThanSenderError as error:
            self._older = (time.monotonic(), str(error))
            raise
        except LogUnavailableError as error:
            return _busy(wish, f"the log does not answer; try again later ({error})")
        except Exception:
            _log.exception("the gateway failed", sender=wish.sender, id=wish.id, command=wish.command)
            return None

    async def _leave(self, message: Msg, reason: str) -> None:
        """Let a newer gateway have a report; at its last delivery there was none for long enough."""
        deliveries = message.metadata.num_delivered
        if deliveries >= MAX_OLDER:
            await self._bury(message, f"{reason} (delivered {deliveries} times; no newer gateway took it)")
        else:
            delay = int(min(deliveries, OLDER_SECONDS) * 1_000_000_000)
            await settle(self._connection, message, b'-NAK {"delay": %d}' % delay)

    async def _bury(self, message: Msg, reason: str) -> None:
        """Keep a dead letter, and only then have the message forgotten."""
        origin = f"{streams.COMMANDS}:{message.metadata.sequence.stream}"
        while True:
            try:
                await self._dead_letters.store(message.subject, message.data, message.headers, reason, origin)
                self._unburied = None
                break
            except BusError as error:
                self._unburied = str(error)
                _log.warning("dead letter not kept yet", subject=message.subject, reason=str(error))
                await asyncio.sleep(self._retry_seconds)
        await settle(self._connection, message, BURIED)


def _consumer() -> api.ConsumerConfig:
    return api.ConsumerConfig(
        durable_name=CONSUMER,
        name=CONSUMER,
        ack_policy=api.AckPolicy.EXPLICIT,
        ack_wait=ACK_WAIT_SECONDS,
        max_ack_pending=WINDOW,
    )


def _read(message: Msg, prefix: str, origin: str = CLIENT) -> Wish:
    """The wish in a message; the subject's end is its type."""
    _check_headers(message)
    command = message.subject.removeprefix(f"{prefix}.")
    return read_cloudevent(message.data, actor=header(message, streams.ACTOR), expected_type=command, origin=origin)


def _read_queued(message: Msg) -> Wish:
    """The wish in a message of the queue: a client's, or an executor's report, whose sender the subject's end is."""
    executor = message.subject.removeprefix(f"{streams.REPORT_SUBJECTS}.")
    if executor == message.subject:
        return _read(message, streams.COMMAND_SUBJECTS)
    _check_headers(message)
    return read_cloudevent(message.data, actor=header(message, streams.ACTOR), origin=f"executor:{executor}")


def _check_headers(message: Msg) -> None:
    if (fault := fault_of(message.headers, streams.COMMAND_HEADERS)) is not None:
        raise NotUnderstood(fault)


def _busy(wish: Wish, reason: str) -> Outcome:
    return Outcome(status="busy", sender=wish.sender, id=wish.id, command=wish.command, reason=reason)


def _encode(outcome: Outcome) -> bytes:
    return outcome.model_dump_json().encode()


def _not_understood(reason: NotUnderstood | str) -> bytes:
    return json.dumps({"status": "not_understood", "reason": str(reason)}).encode()
