"""Decide a command: identify the actor, apply the rules, and make the records and the outcome.

Later decisions of a batch see the states after its earlier ones. The log checks every expectation against the state
before the batch, so decisions that depend on a rejected one are made again.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from release_management.domain.registry import LONGEST_REASON
from release_management.kernel.errors import ErrorCode
from release_management.kernel.record import timestamp
from release_management.kernel.types import (
    Command,
    Refused,
    explain,
)
from release_management.services.envelope import ROLES, CommandEnvelope
from release_management.services.gateway.mentions import about
from release_management.services.gateway.newcomers import Names, NewActors
from release_management.services.gateway.outcomes import OutcomeCodec
from release_management.services.gateway.record_writer import RecordWriter
from release_management.services.gateway.refusal_rate import Refusals
from release_management.services.gateway.states import Folded
from release_management.services.gateway.unit_of_work import SettingsCheck, UnitOfWork
from release_management.services.ports import (
    Append,
    Clock,
    Expectation,
    Keyring,
)
from release_management.services.ports.bus import OlderThanSenderError
from release_management.services.use_cases import COMMANDS, preview

_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision, with the states that follow from it and the size of its records in bytes.

    A refusal has in `unkept` how many before it were only counted. `names` has the ids and keys that it needs.
    """

    append: Append
    names: Names
    outcome: dict[str, Any]
    states: dict[str, Folded]
    size: int
    unkept: int = 0


@dataclass(frozen=True, slots=True)
class Unkept:
    """A refusal that is only counted: it is answered, and leaves nothing behind."""

    outcome: dict[str, Any]


@dataclass(slots=True)
class BatchContext:
    """The context of one batch's decisions.

    `base` has the stored version of every stream that was read, `carried` its state after the batch's decisions so far.
    `first_position` returns that of a stored stream's first record; `written` are the batch's streams in their order.
    `moment` is the timestamp of all records of the batch: when it was begun, after all its commands had arrived.
    `newcomers` are the actors that the batch names first.
    """

    load: Callable[[str], Folded]
    first_position: Callable[[str], int | None]
    newcomers: NewActors
    base: dict[str, int] = field(default_factory=dict)
    carried: dict[str, Folded] = field(default_factory=dict)
    moment: str = ""
    written: dict[str, int] = field(default_factory=dict)

    def carry(self, states: Mapping[str, Folded]) -> None:
        """Let the batch's later decisions see the states after this one."""
        self.carried.update(states)
        for stream in states:
            self.written.setdefault(stream, len(self.written))

    def begun(self, stream: str) -> tuple[int, int] | None:
        """Return a sort key of streams by their first records: those of the batch come after all stored ones."""
        stored = self.first_position(stream)
        if stored is not None:
            return 0, stored
        return (1, self.written[stream]) if stream in self.written else None

    def state(self, stream: str) -> Any:
        """Return the stream's state within the batch."""
        if stream not in self.carried:
            self.carried[stream] = self.load(stream)
            self.base[stream] = self.carried[stream][0]
        return self.carried[stream][1]


class Decider:
    """Decides one command at a time."""

    def __init__(
        self,
        store_id: str,
        keyring: Keyring,
        clock: Clock,
        new_id: Callable[[], str],
        executors: Mapping[str, SettingsCheck],
        refusals: Refusals,
    ) -> None:
        self._refusals = refusals
        self._keyring = keyring
        self._clock = clock
        self._new_id = new_id
        self._executors = executors
        self._writer = RecordWriter(store_id, new_id)
        self._answers = OutcomeCodec(keyring)

    def fingerprint(self, envelope: CommandEnvelope) -> bytes:
        """Return a keyed digest of the content that makes two commands the same."""
        return self._keyring.fingerprint(_canonical([envelope.command, envelope.data, envelope.actor]).encode())

    def decide(self, envelope: CommandEnvelope, context: BatchContext) -> Decided | Unkept:
        """Decide a command; a refusal is a decision too.

        Raises `NotYet`, `OlderThanSenderError`, and faults of ours, the log's and the clock's.
        """
        names = Names(context.newcomers)
        actor = names.identify(envelope.actor, envelope.actorkind)
        moment = context.moment = context.moment or timestamp(self._clock.now())
        uow = UnitOfWork(
            context.state,
            context.begun,
            now=moment,
            actor=actor,
            new_id=self._new_id,
            identify=names.identify,
            keyed_digest=self._keyed_digest,
            executors=self._executors,
        )
        outcome: dict[str, Any] = {
            "status": "accepted",
            "sender": envelope.sender,
            "id": envelope.id,
            "command": envelope.command,
        }
        unkept = 0
        try:
            command, handler = _understand(envelope)
            handler(command, uow)
            records, states = self._writer.records(envelope, names, moment, uow, context.carried)
            outcome["result"] = {key: value for key, value in uow.result.items() if value is not None}
        except Refused as refused:
            reason = names.in_words(_short(refused.reason))
            outcome |= {"status": "refused", "refused": True, "code": refused.code, "reason": reason}
            outcome["verdicts"] = names.in_words(refused.verdicts)
            before = self._refusals.keep(envelope.sender)
            if before is None:
                return Unkept(outcome)
            unkept = before
            names = Names(context.newcomers)  # the refused decision's own names are not needed
            known = about(envelope.command, envelope.data, context.state)
            records, states = (self._writer.refusal(envelope, names, moment, outcome, known, unkept),), {}
        expects = {stream: Expectation(context.base[stream], context.carried[stream][0]) for stream in uow.reads}
        for record in records:
            if record.stream not in expects:
                expects[record.stream] = Expectation(0, 0)
        append = Append(
            sender=envelope.sender,
            id=envelope.id,
            fingerprint=self.fingerprint(envelope),
            expects=expects,
            records=records,
            outcome=self._answers.stored(outcome, actor, names),
        )
        size = sum(record.size for record in records)
        return Decided(append, names, outcome, states, size, unkept)

    def _keyed_digest(self, value: object) -> str:
        return self._keyring.fingerprint(_canonical(value).encode()).hex()


def _short(reason: str) -> str:
    """Cut a reason to the length that a record may have; it may quote a longer text."""
    return reason if len(reason) <= LONGEST_REASON else f"{reason[: LONGEST_REASON - 1]}…"


def _understand(envelope: CommandEnvelope) -> tuple[Command, Callable[[Any, UnitOfWork], None]]:
    """Return the command and its handler. Raises `Refused`, or `OlderThanSenderError` for a role of ours."""
    try:
        if envelope.command not in COMMANDS:
            if envelope.command == preview.NAME:
                raise Refused(preview.NO_COMMAND, code=ErrorCode.NOT_FOUND)
            known = ", ".join(sorted(COMMANDS))
            raise Refused(f"there is no command {envelope.command!r}; there are {known}", code=ErrorCode.NOT_FOUND)
        model, handler = COMMANDS[envelope.command]
        try:
            return model.model_validate_json(to_json(envelope.data)), handler
        except ValidationError as error:
            raise Refused(f"{envelope.command}: {explain(error)}", code=ErrorCode.INVALID) from None
    except Refused as refused:
        if envelope.sender.startswith(ROLES):
            raise OlderThanSenderError(
                f"this gateway is older than {envelope.sender}, which it does not understand ({refused.reason}): "
                "a newer gateway will"
            ) from None
        raise
