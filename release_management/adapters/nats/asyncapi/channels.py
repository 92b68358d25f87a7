"""The channels of the bus: who sends what on which subjects, and what is answered."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.requests.queries import GROUP
from release_management.domain.registry import FACTS
from release_management.kernel.types import Giver
from release_management.services.queries import QUERIES
from release_management.services.use_cases import (
    given_by,
)

Json = dict[str, Any]
EXECUTOR = "executor"
"""One name for the users `executor-<name>` of all executors."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A family of subjects. `users` are on the other side; `parameters` describes the subject's variable parts."""

    key: str
    address: str
    about: str
    received: bool
    users: tuple[str, ...]
    messages: tuple[str, ...]
    parameters: Mapping[str, Json] = field(default_factory=dict)
    answers: tuple[str, ...] = ()
    answered_in_header: bool = False
    stream: str | None = None
    group: str | None = None


_ANY_EXECUTOR = {"executor": {"description": "The executor's name."}}
_ENVIRONMENT = {"environment": {"description": "The environment's name."}}
_CLIENT_COMMANDS = given_by(Giver.PEOPLE)
_SYSTEM_COMMANDS = tuple(sorted(given_by(Giver.ORCHESTRATOR, Giver.TIMERS)))
_REPORTS = tuple(sorted(given_by(Giver.EXECUTORS)))
_DECIDED = ("outcome", "notUnderstood", "failed")
_ROLES = ("orchestrator", "timers")


def _named(parameter: str, names: Iterable[str], about: str) -> dict[str, Json]:
    return {parameter: {"description": about, "enum": sorted(names)}}


CHANNELS = (
    Channel(
        "askCommand",
        f"{streams.ASK_COMMAND}.{{command}}",
        "A command, answered with its outcome.",
        True,
        ("client",),
        tuple(f"command.{name}" for name in _CLIENT_COMMANDS),
        _named("command", _CLIENT_COMMANDS, "The command's name, the CloudEvent's type."),
        answers=_DECIDED,
    ),
    Channel(
        "commands",
        f"{streams.COMMAND_SUBJECTS}.{{command}}",
        "A command of somebody who does not wait. The outcome goes to the subject in a header, if there is one.",
        True,
        ("client",),
        tuple(f"command.{name}" for name in _CLIENT_COMMANDS),
        _named("command", _CLIENT_COMMANDS, "The command's name, the CloudEvent's type."),
        answers=("outcome",),
        answered_in_header=True,
        stream=streams.COMMANDS,
    ),
    Channel(
        "askOutcome",
        streams.ASK_OUTCOME,
        "The outcome of a command, at any later time.",
        True,
        ("client", *_ROLES),
        ("outcomeQuestion",),
        answers=("outcome", "unknown", "notUnderstood", "failed"),
    ),
    Channel(
        "askQuery",
        f"{streams.ASK_QUERY}.{{query}}",
        "A query, answered with a page of its rows once the projections have reached the position `after`.",
        True,
        ("client",),
        tuple(f"query.{name}" for name in QUERIES),
        _named("query", QUERIES, "The query's name."),
        answers=("rows", "failed", "notNow"),
        group=GROUP,
    ),
    Channel(
        "askContent",
        streams.ASK_CONTENT,
        "The data of a record that has a `dataref` instead, in parts: together they are the JSON of the fact, whose "
        "SHA-256 the `dataref` is.",
        True,
        ("client",),
        ("contentQuestion",),
        answers=("part", "notUnderstood", "failed"),
    ),
    Channel(
        "askDeadLetters",
        streams.ASK_DEAD_LETTERS,
        "The newest dead letters, or all of one.",
        True,
        ("client",),
        ("lettersQuestion",),
        answers=("letters", "letter", "notUnderstood", "failed"),
    ),
    Channel(
        "replayDeadLetters",
        streams.REPLAY_DEAD_LETTERS,
        "Dead letters that are to be sent again to where they came from.",
        True,
        ("client",),
        ("replayQuestion",),
        answers=("replays", "notUnderstood", "failed"),
    ),
    Channel(
        "system",
        f"{streams.SYSTEM_SUBJECTS}.{{command}}",
        "A command of the orchestrator's or the timers'.",
        True,
        _ROLES,
        tuple(f"system.{name}" for name in _SYSTEM_COMMANDS),
        _named("command", _SYSTEM_COMMANDS, "The command's name, the CloudEvent's type."),
        answers=_DECIDED,
    ),
    Channel(
        "reports",
        f"{streams.REPORT_SUBJECTS}.{{executor}}",
        "The result of an order. The CloudEvent's source is `executor:` and the name in the subject.",
        True,
        (EXECUTOR,),
        tuple(f"report.{name}" for name in _REPORTS),
        _ANY_EXECUTOR,
        stream=streams.REPORTS,
    ),
    Channel(
        "looks",
        f"{streams.LOOK_SUBJECTS}.{{executor}}",
        "An executor's observations of its components, once a second. Only the newest counts.",
        True,
        (EXECUTOR,),
        ("looks",),
        _ANY_EXECUTOR,
    ),
    Channel(
        "events",
        f"{streams.EVENT_SUBJECTS}.{{event}}",
        "Every record of the log, in order, byte for byte; the stream's sequence is the record's position.",
        False,
        ("client",),
        tuple(f"event.{name}" for name in FACTS),
        _named("event", FACTS, "The event's name, the CloudEvent's type."),
        stream=streams.EVENTS,
    ),
    Channel(
        "orders",
        f"{streams.ORDER_SUBJECTS}.{{executor}}.{{environment}}",
        "Step orders. Each is taken by one process of the executor, perhaps more than once: see its fence.",
        False,
        (EXECUTOR,),
        ("order",),
        _ANY_EXECUTOR | _ENVIRONMENT,
        stream=streams.ORDERS,
    ),
    Channel(
        "deadLetters",
        streams.DEAD_LETTER,
        "A message that could not be understood, sealed. Ask relman for its content.",
        False,
        (),
        ("sealedLetter",),
        stream=streams.DEAD,
    ),
    Channel(
        "deadOrders",
        f"{streams.DEAD_ORDERS}.{{executor}}",
        "An order that an executor could not understand.",
        True,
        (EXECUTOR,),
        ("openLetter",),
        _ANY_EXECUTOR,
        stream=streams.DEAD,
    ),
)
