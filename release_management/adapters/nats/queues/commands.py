"""Commands from the bus: requests with an answer, or queued by callers that do not wait."""

import asyncio
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Annotated

import structlog
from nats.aio.msg import Msg
from pydantic import Field, ValidationError

from release_management.adapters.nats.access.senders import sent_by
from release_management.adapters.nats.connection import NatsConnection, header
from release_management.adapters.nats.dead_letters.pages import (
    MAX_LETTERS,
    LettersQuestion,
    letters_page,
)
from release_management.adapters.nats.dead_letters.store import DeadLetters
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.queues.in_order import Line
from release_management.adapters.nats.queues.submitting import Submitter, encode
from release_management.adapters.nats.requests.lanes import Lane
from release_management.adapters.nats.requests.responder import RequestServer, takes_answers
from release_management.adapters.nats.wire.headers import fault_of
from release_management.adapters.nats.wire.parts import part
from release_management.adapters.nats.wire.replies import error_reply, not_understood
from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import Value, explain
from release_management.projections.kit.paging import CursorError
from release_management.services.envelope import (
    CLIENT,
    NAMED,
    SYSTEM,
    CommandEnvelope,
    InvalidCommand,
    Token,
    read_cloudevent,
    sender_of,
)
from release_management.services.gateway.gateway import BATCH_COMMANDS, READING
from release_management.services.gateway.outcomes import busy
from release_management.services.ports import (
    DeposedError,
    LogDamagedError,
    LogUnavailableError,
)
from release_management.services.ports.bus import (
    BusError,
    LineGateway,
    OlderThanSenderError,
)

COMMANDS_AT_ONCE = BATCH_COMMANDS
COMMANDS_OF_CLIENT = BATCH_COMMANDS // 8
READ_AT_ONCE = 16
LETTERS_AT_ONCE = 2
MAX_REPLAYED = 50

_log = structlog.get_logger(__name__)


class ReplayQuestion(Value):
    """The ids of the dead letters to replay."""

    ids: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, max_length=MAX_REPLAYED)] = Field(
        description="the letters' ids"
    )


class OutcomeQuestion(Value):
    """The sender and the id of the command whose outcome is requested."""

    sender: Token = Field(description="who sent the command: the CloudEvent's `source`")
    id: Token = Field(description="the command's id: the CloudEvent's `id`")


class ContentQuestion(Value):
    """A request for the data beside the records with this `dataref`: the part that begins at the character `offset`."""

    dataref: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] = Field(
        description="`sha256:` and the digest of the data, as in the record"
    )
    offset: int = Field(default=0, ge=0, description="the character at which the part begins")


class CommandService:
    """Passes the commands of the bus to the gateway, and the outcomes back.

    The reports of executors are a line, and so is the queue of each named client, and that of all others: none waits
    for another, however long one is, and the gateway takes them in turns. Commands and reports that an older version
    queued among those of unnamed clients are decided there. `ready` is set once it serves.
    """

    def __init__(
        self,
        connection: NatsConnection,
        gateway: LineGateway,
        dead_letters: DeadLetters,
        clients: Collection[str] = (),
        *,
        doors: Mapping[str, NatsConnection] | None = None,
        attempts: int = 5,
        retry_seconds: float = 0.2,
    ) -> None:
        """`clients` are the names of clients that have queues of their own; `doors` are as in `RequestServer`."""
        self._connection = connection
        self._gateway = gateway
        self._dead_letters = dead_letters
        self._submitter = Submitter(gateway)
        self._reports, *self._queues = (
            Line(
                connection,
                stream,
                _read_queued,
                self._submitter,
                dead_letters,
                attempts=attempts,
                retry_seconds=retry_seconds,
                yields=stream != streams.REPORTS,
            )
            for stream in (streams.REPORTS, *streams.queues(clients))
        )
        commands = Lane("commands", COMMANDS_AT_ONCE, of_client=COMMANDS_OF_CLIENT)
        reading = Lane("reading", READ_AT_ONCE, of_client=READING + 1, of_connection=READING, reads=True)
        letters = Lane("letters", LETTERS_AT_ONCE, of_client=LETTERS_AT_ONCE // 2, of_connection=1, reads=True)
        self._answering = RequestServer(
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
            doors=doors,
        )
        self.ready = self._answering.ready

    @property
    def trouble(self) -> str | None:
        """The reason why queued commands cannot be taken, or dead letters cannot be kept, at the moment; or None."""
        return next((line.trouble for line in self._queues if line.trouble is not None), None)

    @property
    def reports_trouble(self) -> str | None:
        """The same for the executors' reports."""
        return self._reports.trouble

    @property
    def pressure(self) -> Mapping[str, str | None]:
        """The warning of each lane that dropped requests lately, by name; None for the others."""
        return self._answering.pressure

    @property
    def letters_warning(self) -> str | None:
        """A warning if so many dead letters come that they are only counted."""
        return self._dead_letters.warning

    @property
    def older(self) -> str | None:
        """The role of a newer version whose command this gateway did not understand lately, in a sentence; or None."""
        return self._submitter.older

    async def run(self) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._answering.run())
            tasks.create_task(self._reports.run())
            for queue in self._queues:
                tasks.create_task(queue.run())

    async def _answer_command(self, message: Msg) -> bytes | None:
        try:
            envelope = _read(message, streams.ASK_COMMAND, _origin(message))
        except InvalidCommand as error:
            return await self._answer_letter(message, error)
        return await self._outcome_of(envelope)

    async def _answer_system(self, message: Msg) -> bytes | None:
        try:
            envelope = _read(message, streams.SYSTEM_SUBJECTS, SYSTEM)
        except InvalidCommand as error:
            return await self._answer_letter(message, error)
        return await self._outcome_of(envelope)

    async def _answer_letter(self, message: Msg, error: InvalidCommand) -> bytes:
        try:
            await self._dead_letters.store(message.subject, message.data, message.headers, str(error), code=error.code)
        except BusError as trouble:
            _log.error("dead letter lost", subject=message.subject, reason=str(trouble))
        return not_understood(str(error), error.code)

    async def _outcome_of(self, envelope: CommandEnvelope) -> bytes | None:
        try:
            outcome = await self._submitter.submit(envelope)
        except DeposedError:
            return None
        except OlderThanSenderError as error:
            outcome = busy(envelope, str(error), error.code)
        if outcome is None:
            outcome = busy(envelope, "the gateway failed; ask again with the same id", ErrorCode.INTERNAL)
        return encode(outcome)

    async def _answer_outcome(self, message: Msg) -> bytes:
        try:
            question = OutcomeQuestion.model_validate_json(message.data)
        except ValidationError:
            return not_understood(
                'ask with {"sender": "…", "id": "…"}, each of 1 to 200 characters, none of them a control'
            )
        try:
            outcome = await self._gateway.outcome(sender_of(_origin(message), question.sender), question.id)
        except (LogUnavailableError, LogDamagedError) as error:
            return _not_now(error)
        return b'{"status":"unknown"}' if outcome is None else encode(outcome)

    async def _answer_content(self, message: Msg) -> bytes:
        try:
            question = ContentQuestion.model_validate_json(message.data or b"{}")
        except ValidationError as error:
            return not_understood(f'ask with {{"dataref": "sha256:…", "offset": n}}: {explain(error)}')
        try:
            content = await self._gateway.content(question.dataref)
        except (LogUnavailableError, LogDamagedError) as error:
            return _not_now(error)
        return part(content.decode(), question.offset)

    async def _answer_dead_letters(self, message: Msg) -> bytes:
        try:
            question = LettersQuestion.model_validate_json(message.data or b"{}")
        except ValidationError as error:
            known = f'ask with {{"limit": n}}, n from 1 to {MAX_LETTERS:,}, or with {{"id": n}}'
            return not_understood(f"{known}: {explain(error)}")
        try:
            return json.dumps(await letters_page(self._dead_letters, question)).encode()
        except CursorError as error:
            return not_understood(str(error), error.code)
        except BusError as error:
            return error_reply(str(error), error.code)

    async def _answer_replay(self, message: Msg) -> bytes:
        try:
            question = ReplayQuestion.model_validate_json(message.data)
        except ValidationError as error:
            return not_understood(f'ask with {{"ids": [n, …]}}, at most {MAX_REPLAYED}: {explain(error)}')
        try:
            replays = await self._dead_letters.replay(question.ids)
        except BusError as error:
            return error_reply(f"{error}; what was not sent is still there", error.code)
        return json.dumps({"replays": [asdict(replay) for replay in replays]}).encode()


def _origin(message: Msg) -> str:
    """Return the origin of a message: the client that sent it."""
    name, _ = sent_by(message.subject)
    return f"{NAMED}{name}" if name else CLIENT


def _read(message: Msg, prefix: str, origin: str) -> CommandEnvelope:
    """Parse the command in a message; the subject's end must be its type."""
    _check_headers(message)
    _, subject = sent_by(message.subject)
    command = subject.removeprefix(f"{prefix}.")
    return read_cloudevent(message.data, actor=header(message, streams.ACTOR), expected_type=command, origin=origin)


def _read_queued(message: Msg) -> CommandEnvelope:
    """Parse the command in a queued message: a client's, or a report of the executor that the subject's end names."""
    reply_to = header(message, streams.REPLY_TO)
    if reply_to is not None and not takes_answers(reply_to):
        raise InvalidCommand(
            f"the header {streams.REPLY_TO} is {reply_to[:200]!r}; it must be an inbox (_INBOX.…), or "
            "<name>.answers, or begin with that and a dot"
        )
    executor = message.subject.removeprefix(f"{streams.REPORT_SUBJECTS}.")
    if executor == message.subject:
        return _read(message, streams.COMMAND_SUBJECTS, _origin(message))
    _check_headers(message)
    return read_cloudevent(message.data, actor=header(message, streams.ACTOR), origin=f"executor:{executor}")


def _check_headers(message: Msg) -> None:
    if (fault := fault_of(message.headers, streams.COMMAND_HEADERS)) is not None:
        raise InvalidCommand(fault)


def _not_now(error: LogUnavailableError | LogDamagedError) -> bytes:
    """Return an error reply to a valid request; the caller retries if the store is only away."""
    return error_reply(str(error), error.code, retry=isinstance(error, LogUnavailableError))
