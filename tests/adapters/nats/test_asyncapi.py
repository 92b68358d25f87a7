"""The AsyncAPI document is whole, and its schemas take what the program takes and refuse what it refuses."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError

from release_management.adapters.nats.access.permissions import executor, users
from release_management.adapters.nats.asyncapi import (
    CHANNELS,
    Channel,
    document,
)
from release_management.adapters.nats.queues import streams
from release_management.cli.app import run
from release_management.domain.registry import FACTS
from release_management.kernel.types import Giver
from release_management.services.envelope import (
    CLIENT,
    SYSTEM,
    InvalidCommand,
    Outcome,
    read_cloudevent,
)
from release_management.services.queries import QUERIES
from release_management.services.use_cases import COMMANDS, declaration
from tests.adapters.nats.fakes import order

GOLDEN = Path(__file__).parents[2] / "domain" / "golden" / "records.jsonl"
ID = "0193a5c2-7d7e-7000-8000-0000000000aa"
STEP = {"deployment": ID, "leg": "forward", "step": 0}
DATA: dict[str, dict[str, Any]] = {
    "environment.configure": {"name": "staging", "targets": [{"name": "main", "components": {}}], "approval": None},
    "environment.retire": {"name": "staging", "target": "eu", "applications": ["shop"], "reason": "moved"},
    "environment.keep": {"name": "staging", "target": "eu"},
    "pipeline.configure": {"name": "main", "application": "shop", "stages": None},
    "policy.configure_versions": {"application": "shop", "versions": "calendar"},
    "policy.configure_strategy": {"strategy": "canary", "options": {"steps": [{"pause": {"duration": "5m"}}]}},
    "policy.configure_triggers": {"application": "shop", "conditions": []},
    "policy.configure_gates": {"application": "shop", "gates": {}},
    "policy.configure_rollback_window": {"application": "shop", "environment": "production", "window": "14d"},
    "release.create": {
        "application": "shop",
        "version": "1.0.0-rc.1",
        "components": [{"name": "web"}, {"name": "api", "version": "2.0.0"}],
        "changes": [{"commit": "8f14e45f", "committed_at": "2026-11-20T16:05:00+01:00"}],
    },
    "release.add_changes": {
        "release": "shop@1.0.0",
        "changes": [{"commit": "8f14e45f", "committed_at": "2026-11-20T16:05:00+01:00"}],
    },
    "release.publish": {"release": "shop@1.0.0"},
    "release.attest": {"release": "shop@1.0.0", "gate": "tests", "result": "passed"},
    "release.block": {"release": "shop@1.0.0", "reason": "a leak"},
    "release.unblock": {"release": "shop@1.0.0"},
    "release.configure_canary": {"release": "shop@1.0.0", "traffic_percentage": 25},
    "approval.request": {"deployment": ID},
    "approval.grant": {"approval": ID, "note": "fine"},
    "approval.refuse": {"approval": ID},
    "approval.expire": {"approval": ID},
    "deployment.plan": {"release": "shop@1.0.0", "environment": "staging"},
    "deployment.deploy": {"release": "shop@1.0.0", "environment": "staging", "supersede": True},
    "deployment.proceed": {"deployment": ID},
    "deployment.promote": {"deployment": ID, "step": 1},
    "deployment.abort": {"deployment": ID, "reason": "enough"},
    "deployment.rollback": {"deployment": ID},
    "deployment.retry": {"deployment": ID},
    "incident.open": {"application": "shop", "environment": "staging", "title": "it burns"},
    "incident.attribute": {"incident": ID, "deployment": ID},
    "incident.resolve": {"incident": ID},
    "deployment.report_step": {
        **STEP,
        "attempt": 1,
        "fence": 7,
        "result": "succeeded",
        "observed": {"blue": 100},
        "observedat": "2026-11-23T09:30:00.5Z",
    },
    "place.report_condition": {
        "environment": "staging",
        "application": "shop",
        "target": "main",
        "component": "web",
        "condition": "well",
        "slots": [{"slot": "blue", "condition": "well", "wanted": 1, "running": 1, "healthy": 1, "share": 100}],
        "fence": 7,
        "by": "local",
        "observedat": "2026-11-23T09:30:00.5Z",
    },
    "deployment.resume": STEP,
    "deployment.retry_step": {**STEP, "attempt": 1},
    "deployment.expire_step": {**STEP, "attempt": 1},
    "deployment.expire": {"deployment": ID},
}


@cache
def described() -> dict[str, Any]:
    return document("1.2.3")


def check(name: str, instance: object) -> None:
    """Raise where an instance is not of the payload schema of this name."""
    Draft7Validator({"$ref": f"#/components/schemas/{name}", "components": described()["components"]}).validate(
        instance
    )


def refuses(name: str, instance: object) -> bool:
    try:
        check(name, instance)
    except ValidationError:
        return True
    return False


def references(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for each in part.values():
            yield from references(each)
    elif isinstance(part, list):
        for each in part:
            yield from references(each)


def resolved(reference: str) -> Any:
    found: Any = described()
    for key in reference.removeprefix("#/").split("/"):
        found = found[key.replace("~1", "/").replace("~0", "~")]
    return found


def family(command: str) -> str:
    giver = declaration(command).GIVEN_BY
    return "report" if giver is Giver.EXECUTORS else "command" if giver is Giver.PEOPLE else "system"


def sender(command: str) -> str:
    return {"report": "executor:local", "system": "system:timers", "command": "ci"}[family(command)]


def command_event(command: str, **changes: Any) -> dict[str, Any]:
    event = {"specversion": "1.0", "id": "1", "source": sender(command), "type": command, "data": DATA[command]}
    return event | changes


# The document


def test_every_reference_leads_somewhere() -> None:
    found = set(references(described()))
    assert len(found) > 300
    for reference in found:
        assert resolved(reference) is not None


def test_every_message_has_a_payload_and_every_schema_is_one() -> None:
    for message in described()["components"]["messages"].values():
        assert resolved(message["payload"]["$ref"])
    for schema in described()["components"]["schemas"].values():
        Draft7Validator.check_schema(schema)


def test_everything_that_goes_over_the_bus_is_in_it() -> None:
    messages = described()["components"]["messages"]
    assert {f"{family(name)}.{name}" for name in COMMANDS} <= messages.keys()
    assert {f"event.{name}" for name in FACTS} <= messages.keys()
    assert {f"query.{name}" for name in QUERIES} <= messages.keys()
    addresses = [channel["address"] for channel in described()["channels"].values() if channel["address"]]
    assert {address.split(".{")[0] for address in addresses} == {
        streams.ASK_COMMAND,
        streams.ASK_OUTCOME,
        streams.ASK_QUERY,
        streams.ASK_CONTENT,
        streams.ASK_DEAD_LETTERS,
        streams.REPLAY_DEAD_LETTERS,
        streams.SYSTEM_SUBJECTS,
        streams.COMMAND_SUBJECTS,
        streams.REPORT_SUBJECTS,
        streams.LOOK_SUBJECTS,
        streams.EVENT_SUBJECTS,
        streams.ORDER_SUBJECTS,
        streams.DEAD_LETTER,
        streams.DEAD_ORDERS,
    }


def test_operations_use_their_channels_messages_and_parameters_are_declared() -> None:
    for key, operation in described()["operations"].items():
        channel = resolved(operation["channel"]["$ref"])
        assert set(re.findall(r"{(\w+)}", channel["address"])) == channel.get("parameters", {}).keys()
        assert {each["$ref"] for each in operation["messages"]} == {
            f"#/channels/{key}/messages/{name}" for name in channel["messages"]
        }
        if "reply" in operation:
            answer = resolved(operation["reply"]["channel"]["$ref"])
            assert answer["address"] is None
            assert len(operation["reply"]["messages"]) == len(answer["messages"])


def test_a_stream_captures_what_it_is_said_to() -> None:
    for channel in CHANNELS:
        captured = [
            str(config.name)
            for config in streams.configurations()
            if any(matches(subject, sample(channel)) for subject in config.subjects or ())
        ]
        assert captured == ([channel.stream] if channel.stream else [])


def sample(channel: Channel) -> str:
    return re.sub(r"{(\w+)}", "local", channel.address)


def matches(pattern: str, subject: str) -> bool:
    parts = [r"[^.]+" if token == "*" else r".+" if token == ">" else re.escape(token) for token in pattern.split(".")]
    return re.fullmatch(r"\.".join(parts), subject) is not None


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.key)
def test_exactly_the_documented_users_of_a_channel_are_permitted(channel: Channel) -> None:
    everybody = {**users(()), "executor": executor("local")}
    may = {
        user
        for user, permissions in everybody.items()
        if user != "gateway" and any(matches(pattern, sample(channel)) for pattern in permissions.publish)
    }
    if channel.received:
        assert may == set(channel.users)
    else:
        assert may == {"events": {"relay"}, "orders": {"orchestrator"}, "deadLetters": set()}[channel.key]


def test_the_command_prints_it_in_both_languages(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["asyncapi"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert run(["asyncapi", "--yaml"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == printed
    assert printed["asyncapi"] == "3.0.0"


# The schemas


@pytest.mark.parametrize("line", GOLDEN.read_bytes().splitlines(), ids=lambda line: str(json.loads(line)["type"]))
def test_a_record_is_of_its_schema_and_a_changed_one_is_not(line: bytes) -> None:
    record = json.loads(line)
    name = f"event.{record['type']}"
    if record["schemaversion"] != FACTS[record["type"]].VERSION:
        assert refuses(name, record)
        return
    check(name, record)
    changes: list[dict[str, Any]] = [{"specversion": "0.3"}, {"type": "x.y"}, {"streamversion": 0}, {"data": []}]
    for change in (*changes, {"unknown": 1}):
        assert refuses(name, record | change)
    for missing in ("id", "actor", "data", "commandid"):
        assert refuses(name, {key: value for key, value in record.items() if key != missing})
    assert refuses(name, record | {"data": {**record["data"], "unknown": 1}})
    for field, value in record["data"].items():
        # `options` of a strategy and the like take whatever is JSON.
        if FACTS[record["type"]].model_fields[field].is_required() and not isinstance(value, dict):
            assert refuses(name, record | {"data": record["data"] | {field: {"odd": [object]}}}), field


def test_there_is_a_sample_of_every_command() -> None:
    assert DATA.keys() == COMMANDS.keys()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_of_its_schema_and_a_changed_one_is_not(command: str) -> None:
    origin = {"report": "executor:local", "system": SYSTEM, "command": CLIENT}[family(command)]
    name = f"{family(command)}.{command}"
    event = command_event(command)
    check(name, event)
    COMMANDS[command][0].model_validate_json(
        json.dumps(read_cloudevent(json.dumps(event).encode(), actor=None, origin=origin).data)
    )
    changes: list[dict[str, Any]] = [{"specversion": "2.0"}, {"id": ""}, {"id": 7}, {"data": []}]
    for change in (*changes, {"source": "system:nobody"}):
        changed = event | change
        assert refuses(name, changed)
        with pytest.raises(InvalidCommand):
            read_cloudevent(json.dumps(changed).encode(), actor=None, origin=origin)
    for missing in ("specversion", "id", "source", "type", "data"):
        assert refuses(name, {key: value for key, value in event.items() if key != missing})
    for data in changed_data(DATA[command], command):
        assert refuses(name, event | {"data": data}), data


def changed_data(data: dict[str, Any], command: str) -> Iterator[dict[str, Any]]:
    yield data | {"unknown": 1}
    for field, about in COMMANDS[command][0].model_fields.items():
        if about.is_required():
            yield {key: value for key, value in data.items() if key != field}
            yield data | {field: None}
            yield data | {field: {"odd": []}}


def test_an_order_an_outcome_and_a_query_are_of_their_schemas() -> None:
    document = json.loads(order().model_dump_json())
    check("order", document)
    assert refuses("order", document | {"altitude": 7})
    assert refuses("order", document | {"environment": "Not A Name"})
    levitating = copy.deepcopy(document)
    levitating["action"]["verb"] = "levitate"
    assert refuses("order", levitating)
    outcome = Outcome(status="accepted", sender="ci", id="1", command="release.create", first=1, last=2)
    check("outcome", json.loads(outcome.model_dump_json()))
    assert refuses("outcome", {"status": "splendid"})
    check("query.releases", {"params": {"application": "shop", "limit": 5}, "after": 3})
    assert refuses("query.releases", {"params": {"limit": 0}})
    assert refuses("query.releases", {"params": {"application": "x" * 501}})
