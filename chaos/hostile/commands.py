"""Commands of a sender who reads our schemas and then does not follow them."""

import json
import random
import uuid
from collections.abc import Mapping
from typing import Any

from chaos.hostile import values
from release_management.services.use_cases import COMMANDS

SOURCE = "hostile"
NAMES = ("hostile", "hostile-2", "nobody", "evil")
"""The attacker's own names: none of others' things."""
CLAIMED = (
    "system:orchestrator",
    "system:timers",
    "executor:local",
    "executor:command",
    "client:honest:honest",
    "client:",
    "honest",
    "relman",
)
SCHEMAS: Mapping[str, Any] = {name: model.model_json_schema() for name, (model, _) in COMMANDS.items()}
ATTRIBUTES = ("specversion", "id", "source", "type", "datacontenttype", "correlationid", "causationid", "data")
ADDED = (
    '"onbehalfof":',
    '"time":',
    '"subject":',
    '"dataschema":',
    '"data_base64":',
    '"traceparent":',
    '"actor":',
    '"actorauth":',
    '"":',
    '"id":',
    '"source":',
    '"data":',
    '"\\u0000":',
    '"relmanposition":',
)
LONGEST_LIST = 2
DEEPEST = 6


def command(chance: random.Random) -> tuple[str, dict[str, Any]]:
    """Return a command's name, and a CloudEvent of it that looks valid."""
    name = chance.choice(tuple(COMMANDS))
    return name, document(name, data(name, chance), identity(chance))


def document(name: str, content: Any, id: str) -> dict[str, Any]:
    """Return a CloudEvent in structured mode."""
    return {
        "specversion": "1.0",
        "id": id,
        "source": SOURCE,
        "type": name,
        "datacontenttype": "application/json",
        "data": content,
    }


def identity(chance: random.Random) -> str:
    """Return a new id."""
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def data(name: str, chance: random.Random) -> Any:
    """Return data as such a command's schema requires, as far as a schema can say it."""
    schema = SCHEMAS[name]
    return _sample(schema, schema.get("$defs", {}), chance, 0, "")


def mutated_attribute(chance: random.Random) -> tuple[str, bytes]:
    """Return a command with one attribute of the CloudEvent changed, missing, or repeated."""
    name, event = command(chance)
    if chance.random() < 0.15:
        event.pop(chance.choice(tuple(event)))
        return name, json.dumps(event).encode()
    more = [chance.choice(ADDED) + (values.written(chance) or "null")] if chance.random() < 0.3 else []
    return name, values.members(event, {chance.choice(ATTRIBUTES): values.written(chance)}, more)


def mutated_data(chance: random.Random) -> tuple[str, bytes]:
    """Return a command with one field of its data changed, however deep."""
    name, event = command(chance)
    mark = "\x00here\x00"
    event["data"] = _marked(event["data"], mark, chance)
    return name, json.dumps(event).replace(json.dumps(mark), values.written(chance)).encode("utf-8", "surrogatepass")


def identities(chance: random.Random) -> tuple[str, bytes]:
    """Return a command with an id or a sender that is malformed, enormous, or another client's."""
    name, event = command(chance)
    field = chance.choice(("id", "source"))
    if chance.random() < 0.3:
        claimed = chance.choice(CLAIMED) if field == "source" else f"honest-{chance.randrange(2_000)}"
        return name, values.members(event, {field: json.dumps(claimed)})
    return name, values.members(event, {field: json.dumps(values.text(chance), ensure_ascii=chance.random() < 0.5)})


def binary(chance: random.Random) -> tuple[str, bytes, bytes]:
    """Return a command in CloudEvents' binary mode: its headers, and its data."""
    name, event = command(chance)
    content = json.dumps(event.pop("data")).encode()
    lines = [f"ce-{key}: {value}".encode() for key, value in event.items() if chance.random() < 0.9]
    lines.append(f"content-type: {chance.choice(('application/json', 'text/xml', ''))}".encode())
    if chance.random() < 0.5:
        lines.append(b"ce-" + chance.choice(ATTRIBUTES).encode() + b": " + values.text(chance, 300).encode())
    return name, b"NATS/1.0\r\n" + b"\r\n".join(lines) + b"\r\n\r\n", content


def documents(chance: random.Random) -> bytes:
    """Return a document that need not even be JSON, or is too large."""
    match chance.choices(range(7), (6, 6, 6, 4, 1, 1, 4))[0]:
        case 0:
            return values.nested(chance).encode()
        case 1:
            inner = (
                f'{{"data":{values.nested(chance)},"specversion":"1.0","id":"a","source":"b","type":"release.create"}}'
            )
            return inner.encode()
        case 2:
            return values.written(chance).encode("utf-8", "surrogatepass")
        case 3:
            return chance.randbytes(chance.choice((1, 10, 100, 1_000, 65_536)))
        case 4:
            return b"[" + b",".join([b"1"] * chance.choice((1_000, 50_000, 120_000))) + b"]"
        case 5:
            return b"{" + b",".join(b'"k%d":%d' % (n, n) for n in range(chance.choice((1_000, 15_000)))) + b"}"
        case _:
            _, event = command(chance)
            whole = json.dumps(event).encode(chance.choice(("utf-8-sig", "utf-16", "utf-32", "utf-7", "cp037")))
            return whole[: chance.randint(0, len(whole))]


def _sample(schema: Any, known: Mapping[str, Any], chance: random.Random, depth: int, name: str) -> Any:
    if depth > DEEPEST or schema is True:
        return None
    if "$ref" in schema:
        return _sample(known[schema["$ref"].rpartition("/")[2]], known, chance, depth, name)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return chance.choice(schema["enum"])
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return _sample(chance.choice(schema[several]), known, chance, depth, name)
    match schema.get("type"):
        case "object":
            return _object(schema, known, chance, depth)
        case "array":
            size = chance.randint(schema.get("minItems", 0), LONGEST_LIST)
            return [_sample(schema.get("items", True), known, chance, depth + 1, name) for _ in range(size)]
        case "string":
            return _word(name, chance)
        case "integer":
            return max(schema.get("minimum", 0), min(schema.get("maximum", 5), 5))
        case "number":
            return schema.get("maximum", 1) / 2
        case "boolean":
            return chance.random() < 0.5
        case _:
            return None


def _object(schema: Any, known: Mapping[str, Any], chance: random.Random, depth: int) -> dict[str, Any]:
    required = schema.get("required", ())
    made = {
        name: _sample(member, known, chance, depth + 1, name)
        for name, member in schema.get("properties", {}).items()
        if name in required or chance.random() < 0.4
    }
    if isinstance(more := schema.get("additionalProperties"), dict):
        made["web"] = _sample(more, known, chance, depth + 1, "web")
    return made


def _word(name: str, chance: random.Random) -> str:
    """Return a text that a field of this name may well accept."""
    if name in ("release", "ref"):
        return f"{chance.choice(NAMES)}@1.0.{chance.randrange(50)}"
    if name in ("version", "after", "until"):
        return f"1.0.{chance.randrange(50)}"
    if name in ("deployment", "approval", "incident", "id"):
        return identity(chance)
    return chance.choice(NAMES)


def _marked(content: Any, mark: str, chance: random.Random) -> Any:
    """Return the same content, with a mark instead of one of its parts."""
    if isinstance(content, dict) and content and chance.random() < 0.85:
        key = chance.choice(tuple(content))
        return {**content, key: _marked(content[key], mark, chance)}
    if isinstance(content, list) and content and chance.random() < 0.85:
        at = chance.randrange(len(content))
        return [*content[:at], _marked(content[at], mark, chance), *content[at + 1 :]]
    return mark
