"""Each code as programs meet it: in outcomes and errors on the bus, in Python, with `--json`, and in dead letters."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from release_management import (
    NotFinishedError,
    NotReachableError,
    Refused,
    ReleaseManager,
    RelmanError,
)
from tests.acceptance.bus import (
    event,
    said,
    talk,
)
from tests.acceptance.cli.conftest import Types
from tests.acceptance.installation import Installation, until

NOBODY = "0193a5c2-7d7e-7000-8000-000000000099"
JANUARY = {"since": "2026-01-01T00:00:00Z", "until": "2026-02-01T00:00:00Z"}
Use = Callable[[ReleaseManager], object]
REFUSALS: tuple[tuple[str, str, dict[str, Any], Use, str], ...] = (
    (
        "not_found",
        "deployment.abort",
        {"deployment": NOBODY},
        lambda manager: manager.abort(NOBODY),
        f"deployment abort {NOBODY}",
    ),
    (
        "invalid",
        "release.create",
        {"application": "codes", "version": "one", "components": [{"name": "web"}]},
        lambda manager: manager.create_release("one", ["web"]),
        "release create codes@one --component web",
    ),
    (
        "conflict",
        "release.create",
        {"application": "codes", "version": "1.0.0", "components": [{"name": "api"}]},
        lambda manager: manager.create_release("1.0.0", ["api"]),
        "release create codes@1.0.0 --component api",
    ),
    (
        "denied",
        "deployment.deploy",
        {"release": "codes@2.0.0", "environment": "staging"},
        lambda manager: manager.deploy("2.0.0", "staging"),
        "deploy codes@2.0.0 staging",
    ),
)
"""By code: a command, and the same in Python and at the command line. Release 2.0.0 is blocked."""
each_refusal = pytest.mark.parametrize(
    ("code", "command", "data", "use", "line"), REFUSALS, ids=[each[0] for each in REFUSALS]
)


@pytest.fixture(scope="module")
def shop(running: Installation) -> Installation:
    manager = running.manager("codes")
    manager.configure_environments({"staging": running.target("web")})
    manager.create_release("1.0.0", ["web"])
    manager.send("release.block", {"release": manager.create_release("2.0.0", ["web"]).ref, "reason": "it leaks"})
    return running


def ask(shop: Installation, subject: str, payload: bytes) -> dict[str, Any]:
    async def conversation(client: Client) -> Msg:
        return await client.request(f"relman.ask.{subject}", payload, timeout=10)

    return said(talk(shop, conversation))


@each_refusal
def test_a_refusal(
    shop: Installation, relman: Types, code: str, command: str, data: dict[str, Any], use: Use, line: str
) -> None:
    outcome = ask(shop, f"command.{command}", event(command, data, f"refused-{code}"))
    assert (outcome["status"], outcome["code"]) == ("refused", code)
    again = ask(shop, "outcome", json.dumps({"sender": "ci", "id": f"refused-{code}"}).encode())
    assert (again["status"], again["refused"], again["code"]) == ("repeated", True, code)

    with pytest.raises(Refused) as refused:
        use(shop.manager("codes"))
    assert (refused.value.code, refused.value.reason) == (code, outcome["reason"])

    answer = relman(*line.split(), "--data", str(shop.folder), "--json")
    error = answer.json["error"]
    assert (answer.code, error["kind"], error["code"]) == (1, "refused", code)
    assert error["reason"] == outcome["reason"]


@pytest.mark.parametrize(
    ("code", "query", "params", "status"),
    [
        ("not_found", "weather", {}, "error"),
        ("not_found", "deployments", {"environment": "moon"}, "error"),
        ("not_found", "metrics_dora", {**JANUARY, "environment": "moon"}, "error"),
        ("invalid", "deployments", {"limit": "many"}, "error"),
        ("invalid", "deployments", {"cursor": "none-of-ours"}, "error"),
    ],
)
def test_a_query(shop: Installation, code: str, query: str, params: dict[str, Any], status: str) -> None:
    reply = ask(shop, f"query.{query}", json.dumps({"params": params}).encode())
    assert (reply["code"], set(reply)) == (code, {status, "code"})
    with pytest.raises(Refused) as refused:
        shop.manager("codes")._query(query, **params)
    assert (refused.value.code, refused.value.reason) == (code, reply["error"])


@pytest.mark.parametrize("subject", ["outcome", "content", "dead_letters", "dead_letters.replay"])
def test_a_question_that_is_not_understood(shop: Installation, subject: str) -> None:
    reply = ask(shop, subject, b'{"nonsense": 1}')
    assert (reply["status"], reply["code"]) == ("not_understood", "invalid")


@pytest.mark.parametrize(
    ("code", "payload"),
    [
        ("invalid", b"no JSON"),
        ("denied", event("release.publish", {"release": "codes@1.0.0"}, "1", source="system:timers")),
    ],
)
def test_a_dead_letter(shop: Installation, relman: Types, code: str, payload: bytes) -> None:
    async def send(client: Client) -> Msg:
        await client.jetstream().publish("relman.commands.release.publish", payload)
        return await client.request("relman.ask.command.release.publish", payload, timeout=10)

    def typed(*arguments: str) -> Any:
        return relman("dead-letters", *arguments, "--data", str(shop.folder), "--json").json

    before = {letter["id"] for letter in typed("list")}
    answer = said(talk(shop, send))

    assert (answer["status"], answer["code"]) == ("not_understood", code)
    until(lambda: len(typed("list")) == len(before) + 2)
    letters = [letter for letter in typed("list") if letter["id"] not in before]
    assert {(letter["code"], letter["reason"]) for letter in letters} == {(code, answer["reason"])}
    assert typed("show", str(letters[0]["id"]))["code"] == code
    assert f"code: {code}" in relman("dead-letters", "show", str(letters[0]["id"]), "--data", str(shop.folder)).out


def test_a_command_that_nobody_may_give(shop: Installation) -> None:
    payload = event("deployment.resume", {"deployment": NOBODY}, "machinery")
    answer = ask(shop, "command.deployment.resume", payload)
    assert (answer["status"], answer["code"]) == ("not_understood", "denied")


def test_an_expired_wait_has_the_code_timeout(shop: Installation, relman: Types) -> None:
    manager = shop.manager("codes")
    deployment = manager.deploy("1.0.0", "staging")
    with pytest.raises(NotFinishedError) as late:
        manager.wait(deployment, timeout=0)
    assert late.value.code == "timeout"
    assert manager.wait(deployment).succeeded

    manager.create_release("1.1.0", ["web"])
    line = "deploy codes@1.1.0 staging --wait --timeout 0.01 --json"
    answer = relman(*line.split(), "--data", str(shop.folder))
    error = answer.json["error"]
    assert (answer.code, error["kind"], error["code"]) == (4, "timeout", "timeout")
    assert manager.wait(error["deployment"]["id"]).succeeded


def test_a_wrong_password(shop: Installation, relman: Types) -> None:
    address = urlsplit(shop.url)
    wrong = f"nats://client:wrong@{address.hostname}:{address.port}"
    with ReleaseManager("codes", data=wrong) as manager, pytest.raises(NotReachableError) as denied:
        manager.releases()
    assert denied.value.code == "unauthorized"
    answer = relman("env", "list", "--data", wrong, "--json")
    assert (answer.code, answer.json["error"]["code"]) == (3, "unauthorized")


@pytest.mark.parametrize(
    ("code", "exit_code", "kind", "line"),
    [
        ("unavailable", 3, "unreachable", "env list --data nothing-there"),
        ("invalid", 2, "usage", "deploy codes@1.0.0"),
        ("invalid", 1, "refused", "apply broken.yaml"),
        ("not_found", 1, "refused", "release show codes@9.9.9 --data HELD"),
        ("conflict", 1, "refused", "up --data HELD"),
        ("not_found", 1, "refused", "dead-letters show 999999 --data HELD"),
    ],
)
def test_a_command_line(
    shop: Installation, relman: Types, code: str, exit_code: int, kind: str, line: str, tmp_path: Path
) -> None:
    (tmp_path / "broken.yaml").write_text("environments: [\n")

    answer = relman(*line.replace("HELD", str(shop.folder)).split(), "--json")
    error = answer.json["error"]
    assert (answer.code, error["exit"], error["kind"], error["code"]) == (exit_code, exit_code, kind, code), error


def test_one_except_clause_catches_all_errors(shop: Installation) -> None:
    caught: list[str] = []
    uses: tuple[Use, ...] = (lambda manager: manager.abort(NOBODY), lambda manager: manager.environment("moon"))
    for use in uses:
        try:
            use(shop.manager("codes"))
        except RelmanError as error:
            caught.append(error.code)
    assert caught == ["not_found", "not_found"]
