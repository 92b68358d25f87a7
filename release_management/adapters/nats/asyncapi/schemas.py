"""The schemas of all messages, made from the models that read and write them."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from release_management.adapters.nats.asyncapi.channels import Json
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
from release_management.adapters.nats.requests.queries import Question
from release_management.domain.orders import Order
from release_management.domain.registry import FACTS
from release_management.kernel import names
from release_management.kernel import types as words
from release_management.kernel.record import Envelope
from release_management.kernel.types import Giver
from release_management.services.envelope import (
    SYSTEM_SENDERS,
    Outcome,
)
from release_management.services.observations.looks import Looks
from release_management.services.queries import QUERIES
from release_management.services.use_cases import (
    COMMANDS,
    declaration,
)

SCHEMAS = "#/components/schemas"
NAME_PATTERN = "^[a-z0-9][a-z0-9-]{0,62}$"
_FAMILIES = {
    Giver.PEOPLE: "command",
    Giver.ORCHESTRATOR: "system",
    Giver.TIMERS: "system",
    Giver.EXECUTORS: "report",
}


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
            comment = "a name as people write it; its id is derived from it"
            return {**made, "minLength": 1, "maxLength": names.MAX_LABEL, "$comment": comment}
        return made


def schemas() -> dict[str, Json]:
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
    fields = {"time": text, "subject": text, "size": count, "origin": text}
    return {
        "Token": {"type": "string", "pattern": r"^[^\x00-\x1f\x7f]{1,200}$"},
        "CommandHeaders": _object(
            {
                streams.ACTOR: {**text, "description": "The person on whose behalf the sender acts."},
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
        "sealedLetter": _object({**fields, "sealed": text}, ("time", "subject", "size", "sealed")),
        "openLetter": _object(
            {
                **fields,
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
    return ref("schemas", name)


def ref(kind: str, name: str) -> Json:
    """Return a reference to a component of the document."""
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
        description = "; ".join(filter(None, (schema.get("description"), schema["$comment"])))
        return _draft7(
            {key: value for key, value in schema.items() if key != "$comment"} | {"description": description}
        )
    if "$ref" in schema and len(schema) > 1:
        return {"allOf": [{"$ref": schema["$ref"]}]} | _draft7({k: v for k, v in schema.items() if k != "$ref"})
    return {
        key: {name: _draft7(each) for name, each in value.items()} if key == "properties" else _draft7(value)
        for key, value in schema.items()
        if key not in ("discriminator", "$defs") and not (key == "title" and isinstance(value, str))
    }
