"""The tools for the bus: its configuration, its description, its dead letters."""

import asyncio
import json
from typing import Any

import nats

from release_management.adapters.nats.access.permissions import users
from tests.acceptance.cli.conftest import Types
from tests.acceptance.cli.harness import CommandLine
from tests.acceptance.installation import until


def test_a_configuration_has_a_user_and_a_variable_for_everybody(relman: Types) -> None:
    printed = relman("nats-config", "--executor", "edge", "--executor", "far")
    assert printed.code == 0
    for user in users(["edge", "far"]):
        assert f'user: "{user}"' in printed.out
    assert "$RELMAN_NATS_EXECUTOR_EDGE" in printed.out
    assert "cluster {" not in printed.out
    assert "cluster {" in relman("nats-config", "--cluster").out
    told = relman("nats-config", "--executor", "edge", "--executor", "far", "--json").json
    assert told["configuration"].rstrip() == printed.out.rstrip()
    assert "RELMAN_NATS_EXECUTOR_FAR" in told["variables"]


def test_an_executor_or_a_client_of_an_impossible_name_is_a_usage_error(relman: Types) -> None:
    for name in ("Edge", "a b", "edge/", "edge/staging", "x.>", ""):
        for option in ("--executor", "--client"):
            assert relman("nats-config", option, name).code == 2


def test_a_client_with_a_name_has_a_user_and_an_account(relman: Types) -> None:
    told = relman("nats-config", "--client", "ci", "--json").json
    assert "RELMAN_NATS_CLIENT_CI" in told["variables"]
    for line in ('"CLIENT_ci": {', 'user: "client-ci"', '"subject": "relman.from.ci.ask.command.>"'):
        assert line in told["configuration"]


async def _ask(url: str, command: str, data: dict[str, Any]) -> dict[str, Any]:
    event = {"specversion": "1.0", "id": "1", "source": "build", "type": command, "data": data}
    client = await nats.connect(url)
    reply = await client.request(f"relman.ask.command.{command}", json.dumps(event).encode(), timeout=10)
    await client.close()
    answer: dict[str, Any] = json.loads(reply.data)
    return answer


def test_everything_on_the_bus_is_described(relman: Types) -> None:
    assert json.loads(relman("asyncapi").out)["asyncapi"] == "3.0.0"
    assert relman("asyncapi", "--yaml").out.startswith("asyncapi: 3.0.0\n")


async def _publish(url: str, payload: bytes) -> None:
    client = await nats.connect(url)
    await client.jetstream().publish("relman.commands.release.create", payload)
    await client.close()


def test_dead_letters_are_shown_and_replayed(cli: CommandLine) -> None:
    cli.done("up", "--detach", "--client", "ci")
    as_ci = json.loads((cli.data / "nats" / "users.json").read_text())["client-ci"]
    made = asyncio.run(_ask(as_ci, "release.create", {"version": "7.0.0", "components": [{"name": "web"}]}))
    assert (made["status"], made["sender"]) == ("accepted", "client:ci:build")
    assert cli.done("dead-letters", "replay", "--all").out == "there is no dead letter\n"
    for number, payload in enumerate((b"no command\x1b[31m", b"{}"), 1):
        asyncio.run(_publish((cli.data / "nats.url").read_text().strip(), payload))
        until(lambda number=number: len(cli.done("dead-letters", "list", "--json").json) == number)  # type: ignore[misc] # the default binds the loop's value
    second, first = [letter["id"] for letter in cli.done("dead-letters", "list", "--json").json]

    shown = cli.done("dead-letters", "show", str(first))
    assert "subject: relman.commands.release.create\n" in shown.out
    assert f"replay: relman dead-letters replay {first}\n" in shown.out
    assert shown.out.endswith("no command\ufffd[31m\n")
    assert cli.done("dead-letters", "show", str(first), "--json").json["payload"] == "no command\x1b[31m"
    assert cli.relman("dead-letters", "show", "999").code == 1

    sent = cli.done("dead-letters", "replay", str(first))
    assert sent.out == f"✔ {first} was sent again to relman.commands.release.create\n"
    again = cli.relman("dead-letters", "replay", str(first), str(second), "999", "--json")
    assert again.code == 1
    assert [bool(each["subject"]) for each in again.json["error"]["replays"]] == [True, True, False]
    assert "perhaps it was replayed before" in again.json["error"]["reason"]
    for arguments in ([], ["1", "--all"], ["0"], ["x"]):
        assert cli.relman("dead-letters", "replay", *arguments).code == 2
    cli.done("down")
