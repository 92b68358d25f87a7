"""The bus as an AsyncAPI 3.0 document, made from the models that read and write its messages.

It describes relman as the application: it *receives* what others send, and *sends* what others receive. Payload schemas
are JSON Schema draft-07. Facts that AsyncAPI cannot express stand under `x-jetstream`.
"""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nats.js.api import StreamConfig
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from release_management.adapters.nats.access.permissions import USERS
from release_management.adapters.nats.dead_letters.model import (
    DeadLetter,
    OpenedLetter,
    Replay,
)
from release_management.adapters.nats.dead_letters.pages import LettersQuestion
from release_management.adapters.nats.queues import streams
from release_management.adapters.nats.queues.commands import (
    ContentQuestion,
    OutcomeQuestion,
    ReplayQuestion,
)
from release_management.adapters.nats.requests.queries import GROUP, Question
from release_management.domain.orders import Order
from release_management.domain.registry import FACTS
from release_management.kernel import names
from release_management.kernel import types as words
from release_management.kernel.record import Envelope
from release_management.kernel.types import Giver
from release_management.services.envelope import (
    MAX_MESSAGE_BYTES,
    SYSTEM_SENDERS,
    Outcome,
)
from release_management.services.observations.looks import Looks
from release_management.services.queries import QUERIES
from release_management.services.use_cases import (
    COMMANDS,
    declaration,
    given_by,
)

SCHEMAS = "#/components/schemas"
NAME_PATTERN = "^[a-z0-9][a-z0-9-]{0,62}$"
EXECUTOR = "executor"
"""One name for the users `executor-<name>` of all executors."""
Json = dict[str, Any]


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
_FAMILIES = {
    Giver.PEOPLE: "command",
    Giver.ORCHESTRATOR: "system",
    Giver.TIMERS: "system",
    Giver.EXECUTORS: "report",
}
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


def document(version: str) -> Json:
    """Return the document. `version` is the program's."""
    schemas = _schemas()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "relman",
            "version": version,
            "description": f"Release management over NATS. A message has at most {MAX_MESSAGE_BYTES:,} bytes.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "bus": {
                "host": "localhost:4222",
                "protocol": "nats",
                "description": "NATS with JetStream, 2.12 or newer. The URL of relman up stands in .relman/nats.url.",
                "security": [_ref("securitySchemes", user) for user in _users()],
            }
        },
        "channels": {channel.key: _channel(channel) for channel in CHANNELS} | dict(_answer_channels()),
        "operations": {channel.key: _operation(channel) for channel in CHANNELS},
        "components": {
            "messages": {name: _message(name) for name in _messages()},
            "schemas": schemas,
            "securitySchemes": {user: _security(user) for user in _users()},
        },
        "x-jetstream": {
            "streams": {str(config.name): _stream(config) for config in streams.configurations(clients=("{client}",))}
        },
    }


def _channel(channel: Channel) -> Json:
    made: Json = {
        "address": channel.address,
        "description": channel.about,
        "messages": {name: _ref("messages", name) for name in channel.messages},
    }
    if channel.parameters:
        made["parameters"] = {name: dict(parameter) for name, parameter in channel.parameters.items()}
    if channel.stream is not None:
        made["x-jetstream"] = {"stream": channel.stream}
    return made


def _answer_channels() -> Iterator[tuple[str, Json]]:
    """Yield a channel per reply: it goes to the inbox that the request names, whose subject is not known before."""
    for channel in CHANNELS:
        if channel.answers:
            messages = {name: _ref("messages", name) for name in channel.answers}
            yield f"{channel.key}Answer", {"address": None, "messages": messages}


def _operation(channel: Channel) -> Json:
    made: Json = {
        "action": "receive" if channel.received else "send",
        "channel": {"$ref": f"#/channels/{channel.key}"},
        "summary": channel.about,
        "messages": [{"$ref": f"#/channels/{channel.key}/messages/{name}"} for name in channel.messages],
    }
    if channel.users:
        made["security"] = [_ref("securitySchemes", user) for user in channel.users]
    if channel.group is not None:
        made["bindings"] = {"nats": {"queue": channel.group, "bindingVersion": "0.1.0"}}
    if channel.answers:
        answer = f"{channel.key}Answer"
        made["reply"] = {
            "channel": {"$ref": f"#/channels/{answer}"},
            "messages": [{"$ref": f"#/channels/{answer}/messages/{name}"} for name in channel.answers],
        }
        if channel.answered_in_header:
            made["reply"]["address"] = {"location": f"$message.header#/{streams.REPLY_TO}"}
    return made


def _message(name: str) -> Json:
    made: Json = {"name": name, "payload": _ref("schemas", name)}
    family = name.partition(".")[0]
    if family in ("command", "system", "report", "event"):
        made["contentType"] = streams.CLOUDEVENT
    if family == "command":
        made["headers"] = _ref("schemas", "CommandHeaders")
    if family == "event":
        made["headers"] = _ref("schemas", "EventHeaders")
    return made


def _messages() -> list[str]:
    return sorted({name for channel in CHANNELS for name in (*channel.messages, *channel.answers)})


def _users() -> tuple[str, ...]:
    return (*USERS, EXECUTOR)


def _security(user: str) -> Json:
    name = "executor-<name>" if user == EXECUTOR else user
    return {"type": "userPassword", "description": f"The user {name}; what it may is printed by relman nats-config."}


def _stream(config: StreamConfig) -> Json:
    return {
        "description": config.description,
        "subjects": config.subjects,
        "retention": None if config.retention is None else config.retention.value,
        "discard": None if config.discard is None else config.discard.value,
        "maxBytes": config.max_bytes,
        "maxAgeSeconds": config.max_age or None,
        "duplicateWindowSeconds": config.duplicate_window,
    }


# Payloads


class _Generator(GenerateJsonSchema):
    """Adds to the schema what our validators accept beyond a field's type."""

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        """Let a duration be a number or a text."""
        made = super().function_before_schema(schema)
        if schema["function"]["function"] is words.seconds:
            return {"anyOf": [made, {"type": "string", "description": "such as 90, 5m or 1h30m"}]}
        return made

    def function_after_schema(self, schema: core_schema.AfterValidatorFunctionSchema) -> JsonSchemaValue:
        """Give a name its pattern, and a label a comment, which goes behind the field's own description."""
        made = super().function_after_schema(schema)
        if schema["function"]["function"] is words.plain_name:
            return {**made, "pattern": NAME_PATTERN}
        if schema["function"]["function"] in (names.id_of, names.has_an_id):
            said = "a name as people write it; its id is derived from it"
            return {**made, "minLength": 1, "maxLength": names.MAX_LABEL, "$comment": said}
        return made


def _schemas() -> dict[str, Json]:
    """Return every schema: those of the messages, and those that they refer to."""
    shapes: dict[str, Any] = {
        "Envelope": Envelope,
        "Question": Question,
        "order": Order,
        "looks": Looks,
        "outcome": Outcome,
        "outcomeQuestion": OutcomeQuestion,
        "contentQuestion": ContentQuestion,
        "lettersQuestion": LettersQuestion,
        "replayQuestion": ReplayQuestion,
        "DeadLetter": DeadLetter,
        "OpenedLetter": OpenedLetter,
        "Replay": Replay,
        **{f"data.{name}": model for name, (model, _) in COMMANDS.items()},
        **{f"fact.{name}": fact for name, fact in FACTS.items()},
        **{f"params.{name}": query.params for name, query in QUERIES.items()},
    }
    made, shared = TypeAdapter.json_schemas(
        [(name, "validation", TypeAdapter(shape)) for name, shape in shapes.items()],
        ref_template=f"{SCHEMAS}/{{model}}",
        schema_generator=_Generator,
    )
    found: dict[str, Json] = {name: _draft7(schema) for name, schema in shared.get("$defs", {}).items()}
    direct = {name: _draft7(made[(name, "validation")]) for name in shapes}
    for name, schema in direct.items():
        if "." not in name and name not in found:
            found[name] = schema
    found |= {name[0].upper() + name[1:]: schema for name, schema in direct.items() if "." in name}
    envelope = _resolved(found, direct["Envelope"])
    found |= {f"event.{name}": _record(envelope, name) for name in FACTS}
    for name in COMMANDS:
        family = _FAMILIES[declaration(name).GIVEN_BY]
        found[f"{family}.{name}"] = _cloudevent(name, family)
    found |= {f"query.{name}": _question(name) for name in QUERIES}
    return dict(sorted((found | _small()).items()))


def _resolved(found: Mapping[str, Json], schema: Json) -> Json:
    return found[schema["$ref"].removeprefix(f"{SCHEMAS}/")] if "$ref" in schema else schema


def _record(envelope: Json, name: str) -> Json:
    properties = {
        **envelope["properties"],
        "type": {"const": name},
        "schemaversion": {"const": FACTS[name].VERSION},
        "data": _schema(f"Fact.{name}"),
    }
    required = sorted({*envelope["required"], "specversion", "datacontenttype"})
    about = (FACTS[name].__doc__ or "").strip()
    return {
        "type": "object",
        "description": about,
        "properties": properties,
        "required": required,
        "oneOf": [{"required": ["data"]}, {"required": ["dataref"]}],
        "additionalProperties": False,
    }


def described(command: type[words.Command]) -> str:
    """Return a command's docstring, with the role of ours that sends it, unless people do."""
    about = inspect.cleandoc(command.__doc__ or "")
    if command.GIVEN_BY is Giver.PEOPLE:
        return about
    return f"{about} Sent by the {command.GIVEN_BY}{', as a deadline' if command.IS_DEADLINE else ''}."


def _cloudevent(name: str, family: str) -> Json:
    sources: dict[str, Json] = {
        "command": {"not": {"pattern": "^(system|executor):"}},
        "system": {"enum": list(SYSTEM_SENDERS)},
        "report": {"pattern": NAME_PATTERN.replace("^", "^executor:")},
    }
    token = _schema("Token")
    return {
        "type": "object",
        "description": described(declaration(name)),
        "properties": {
            "specversion": {"const": "1.0"},
            "id": token,
            "source": {"allOf": [token, sources[family]]},
            "type": {"const": name},
            "datacontenttype": {"const": "application/json"},
            "correlationid": token,
            "causationid": token,
            "data": _schema(f"Data.{name}"),
        },
        "required": ["specversion", "id", "source", "type", "data"],
    }


def _question(name: str) -> Json:
    return {
        "type": "object",
        "description": QUERIES[name].meaning,
        "properties": {
            "params": _schema(f"Params.{name}"),
            "after": {
                "type": "integer",
                "minimum": 0,
                "default": 0,
                "description": Question.model_fields["after"].description,
            },
        },
        "additionalProperties": False,
    }


def _small() -> dict[str, Json]:
    """Return the schemas that are too small to have models."""
    text, count, code = {"type": "string"}, {"type": "integer", "minimum": 0}, _schema("ErrorCode")
    paged = {
        "next_cursor": {
            **text,
            "description": "The `cursor` that asks for what follows; absent: there is nothing.",
        },
        "unfinished": {
            "const": True,
            "description": "The last row goes on in the first one of the next page, which holds what follows in its "
            "lists, its mappings, and a letter's message.",
        },
    }
    kept = {"time": text, "subject": text, "size": count, "origin": text}
    return {
        "Token": {"type": "string", "pattern": r"^[^\x00-\x1f\x7f]{1,200}$"},
        "CommandHeaders": _object(
            {
                streams.ACTOR: {**text, "description": "The person on whose wish the sender acts."},
                streams.PATIENCE: {**text, "description": "How many seconds the sender of a request waits; else 5."},
                streams.REPLY_TO: {**text, "description": "Where the outcome of a queued command goes."},
                "Nats-Msg-Id": {
                    **text,
                    "description": "A second message with the same one, whoever sends it, is dropped for 2 minutes: "
                    "write none, or one that nobody can guess.",
                },
            },
            (),
        ),
        "EventHeaders": _object(
            {
                streams.POSITION: {**text, "pattern": "^[1-9][0-9]*$"},
                streams.CONTENT_TYPE: {"const": streams.CLOUDEVENT},
            },
            (streams.POSITION, streams.CONTENT_TYPE),
        ),
        "unknown": _object({"status": {"const": "unknown"}}),
        "notUnderstood": _object({"status": {"const": "not_understood"}, "reason": text, "code": code}),
        "failed": _object({"error": text, "code": code}),
        "notNow": _object(
            {
                "error": text,
                "code": code,
                "retry": {"const": True, "description": "The same query will be answered later."},
            }
        ),
        "rows": _object({"answer": {"type": "array", "items": {"type": "object"}}, **paged}, ("answer",)),
        "part": _object(
            {
                "part": text,
                "of": {**text, "pattern": "^[0-9a-f]{64}$", "description": "SHA-256 of the whole text."},
                "next": {**count, "description": "The offset of the next part, where there is one."},
            },
            ("part", "of"),
        ),
        "letters": _object(
            {"dead_letters": {"type": "array", "items": _schema("DeadLetter")}, "next_cursor": paged["next_cursor"]},
            ("dead_letters",),
        ),
        "letter": _object(
            {"dead_letter": {"anyOf": [_schema("OpenedLetter"), _schema("RestOfLetter"), {"type": "null"}]}, **paged},
            ("dead_letter",),
        ),
        "RestOfLetter": _object(
            {
                "payload": text,
                "headers": {"type": "object"},
                "encoding": text,
                "obstacle": {"type": ["string", "null"]},
            },
            ("payload",),
        ),
        "replays": _object({"replays": {"type": "array", "items": _schema("Replay")}}),
        "sealedLetter": _object({**kept, "sealed": text}, ("time", "subject", "size", "sealed")),
        "openLetter": _object(
            {
                **kept,
                "open": _object(
                    {
                        "reason": text,
                        "code": code,
                        "headers": {"type": "object", "additionalProperties": text},
                        "payload": {**text, "contentEncoding": "base64"},
                        "sha256": {**text, "pattern": "^[0-9a-f]{64}$"},
                    },
                    ("reason", "headers", "payload", "sha256"),
                ),
            },
            ("time", "subject", "size", "open"),
        ),
    }


def _object(properties: Json, required: Iterable[str] | None = None) -> Json:
    needed = list(properties if required is None else required)
    return {"type": "object", "properties": properties, "additionalProperties": False} | (
        {"required": needed} if needed else {}
    )


def _schema(name: str) -> Json:
    return _ref("schemas", name)


def _ref(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


def _draft7(schema: Any) -> Any:
    """Return a schema as draft-07 has it: without OpenAPI's discriminators and redundant titles.

    What stands beside a reference is not read there, so the reference goes into a list of its own.
    """
    if isinstance(schema, list):
        return [_draft7(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$comment" in schema:
        said = "; ".join(filter(None, (schema.get("description"), schema["$comment"])))
        return _draft7({key: value for key, value in schema.items() if key != "$comment"} | {"description": said})
    if "$ref" in schema and len(schema) > 1:
        return {"allOf": [{"$ref": schema["$ref"]}]} | _draft7({k: v for k, v in schema.items() if k != "$ref"})
    return {
        key: {name: _draft7(each) for name, each in value.items()} if key == "properties" else _draft7(value)
        for key, value in schema.items()
        if key not in ("discriminator", "$defs") and not (key == "title" and isinstance(value, str))
    }
