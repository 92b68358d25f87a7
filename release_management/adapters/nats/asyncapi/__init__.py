"""The bus as an AsyncAPI 3.0 document, made from the models that read and write its messages.

It describes relman as the application: it *receives* what others send, and *sends* what others receive. Payload schemas
are JSON Schema draft-07. Facts that AsyncAPI cannot express stand under `x-jetstream`.
"""

from collections.abc import Iterator

from nats.js.api import StreamConfig

from release_management.adapters.nats.access.permissions import USERS
from release_management.adapters.nats.asyncapi.channels import CHANNELS, EXECUTOR, Channel, Json
from release_management.adapters.nats.asyncapi.schemas import described, ref, schemas
from release_management.adapters.nats.queues import streams
from release_management.services.envelope import MAX_MESSAGE_BYTES

__all__ = ["CHANNELS", "Channel", "described", "document"]


def document(version: str) -> Json:
    """Return the document. `version` is the program's."""
    described_schemas = schemas()
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
                "security": [ref("securitySchemes", user) for user in _users()],
            }
        },
        "channels": {channel.key: _channel(channel) for channel in CHANNELS} | dict(_answer_channels()),
        "operations": {channel.key: _operation(channel) for channel in CHANNELS},
        "components": {
            "messages": {name: _message(name) for name in _messages()},
            "schemas": described_schemas,
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
        "messages": {name: ref("messages", name) for name in channel.messages},
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
            messages = {name: ref("messages", name) for name in channel.answers}
            yield f"{channel.key}Answer", {"address": None, "messages": messages}


def _operation(channel: Channel) -> Json:
    made: Json = {
        "action": "receive" if channel.received else "send",
        "channel": {"$ref": f"#/channels/{channel.key}"},
        "summary": channel.about,
        "messages": [{"$ref": f"#/channels/{channel.key}/messages/{name}"} for name in channel.messages],
    }
    if channel.users:
        made["security"] = [ref("securitySchemes", user) for user in channel.users]
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
    made: Json = {"name": name, "payload": ref("schemas", name)}
    family = name.partition(".")[0]
    if family in ("command", "system", "report", "event"):
        made["contentType"] = streams.CLOUDEVENT
    if family == "command":
        made["headers"] = ref("schemas", "CommandHeaders")
    if family == "event":
        made["headers"] = ref("schemas", "EventHeaders")
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
