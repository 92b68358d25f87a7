"""Every refusal has a code: in its outcome, in a repetition of it, and in the log."""

import json
from typing import Any
from unittest.mock import patch

import pytest

from release_management.services.gateway.outcomes import OutcomeCodec
from release_management.services.ports import (
    ClockJumpedError,
    LogUnavailableError,
    Repeated,
)
from tests.services.gateway_harness import (
    PATIENCE,
    GatewayHarness,
    on_both_stores,
)

NOBODY = "0193a5c2-7d7e-7000-8000-000000000099"
SHOP = {"application": "shop", "version": "1.0.0", "components": [{"name": "web"}]}
REFUSED: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("not_found", "deployment.levitate", {}),
    ("invalid", "deployment.deploy", {"release": "shop@1.0.0"}),
    ("not_found", "deployment.deploy", {"release": "shop@9.9.9", "environment": "staging"}),
    ("not_found", "deployment.deploy", {"release": "shop@1.0.0", "environment": "stagign"}),
    ("not_found", "deployment.abort", {"deployment": NOBODY}),
    ("not_found", "approval.grant", {"approval": NOBODY}),
    ("not_found", "incident.resolve", {"incident": NOBODY}),
    ("not_found", "release.publish", {"release": "shop@9.9.9"}),
    ("not_found", "pipeline.configure", {"name": "main", "application": "shop", "stages": ["moon"]}),
    ("not_found", "environment.configure", {"name": "moon", "targets": [{"name": "main", "executor": "rocket"}]}),
    ("invalid", "environment.configure", {"name": "moon", "targets": [{"name": "main"}, {"name": "main"}]}),
    ("invalid", "release.create", {**SHOP, "version": "one"}),
    ("invalid", "deployment.plan", {"release": "shop@1.0.0", "environment": "staging", "options": {"x": 1}}),
    ("conflict", "release.create", {**SHOP, "components": [{"name": "api"}]}),
    ("conflict", "release.create", {**SHOP, "version": "v1.0.0"}),
    ("conflict", "deployment.rollback", {"application": "shop", "environment": "staging"}),
    ("denied", "deployment.deploy", {"release": "shop@2.0.0", "environment": "staging"}),
)
"""By code: a command that is refused with it. Release 2.0.0 is blocked."""


@pytest.fixture
def shop(harness: GatewayHarness) -> GatewayHarness:
    harness.environment()
    harness.release("1.0.0")
    harness.do("release.block", {"release": harness.release("2.0.0"), "reason": "it leaks"})
    return harness


@pytest.mark.parametrize(("code", "command", "data"), REFUSED, ids=[f"{code} {name}" for code, name, _ in REFUSED])
def test_a_refusal_has_its_code_in_the_outcome_again_and_in_the_log(
    shop: GatewayHarness, code: str, command: str, data: dict[str, Any]
) -> None:
    envelope = shop.envelope(command, data)

    first = shop.gateway.ask(envelope).result(PATIENCE)
    again = shop.gateway.ask(envelope).result(PATIENCE)

    assert (first.status, first.code) == ("refused", code), first.reason
    assert (again.status, again.refused, again.code) == ("repeated", True, code)
    refusal = shop.records()[-1]
    assert (refusal["type"], refusal["data"]["code"]) == ("command.refused", code)


@on_both_stores
def test_an_accepted_command_and_its_repetition_have_no_code(harness: GatewayHarness) -> None:
    envelope = harness.envelope("release.create", SHOP)

    assert [harness.gateway.ask(envelope).result(PATIENCE).code for _ in range(2)] == [None, None]


@on_both_stores
def test_an_id_that_was_used_for_something_else_is_a_conflict(harness: GatewayHarness) -> None:
    harness.ask("release.create", SHOP, id="used")

    other = harness.ask("release.create", {**SHOP, "version": "2.0.0"}, id="used")

    assert (other.status, other.code) == ("refused", "conflict")


@on_both_stores
def test_the_author_of_a_release_may_not_approve_it(harness: GatewayHarness) -> None:
    harness.environment(approval={"required": 1, "allow_self": False})
    waiting = harness.deploy(harness.release("1.0.0"))

    assert harness.ask("approval.grant", {"approval": waiting}).code == "denied"
    assert harness.ask("approval.grant", {"approval": waiting}, actor="bob").status == "accepted"
    assert harness.ask("approval.refuse", {"approval": waiting}, actor="carol").code == "conflict"


def test_a_busy_outcome_has_a_code(harness: GatewayHarness) -> None:
    harness.environment(approval={"required": 1})
    waiting = harness.deploy(harness.release("1.0.0"))

    assert harness.ask("approval.expire", {"approval": waiting}, sender="system:timers").code == "busy"
    with patch.object(harness.clock, "now", side_effect=ClockJumpedError("the clock jumped ahead")):
        assert harness.ask("release.create", SHOP).code == "unusable"
    with patch.object(harness.log, "append", side_effect=LogUnavailableError("the disk is away")):
        assert harness.ask("environment.configure", {"name": "qa"}).code == "unavailable"
    harness.gateway.close()
    assert harness.ask("environment.configure", {"name": "qa"}).code == "busy"


def test_an_outcome_of_before_there_were_codes_has_none(harness: GatewayHarness) -> None:
    envelope = harness.envelope("deployment.abort", {"deployment": NOBODY})
    harness.gateway.ask(envelope).result(PATIENCE)
    stored = harness.log.outcomes([(envelope.sender, envelope.id)])[envelope.sender, envelope.id]
    kept = json.loads(stored.outcome)
    outcome_data = json.loads(harness.keyring.open(kept["subject"], kept["sealed"]) or "")
    assert outcome_data.pop("code") == "not_found"
    older = {**kept, "sealed": harness.keyring.seal(kept["subject"], json.dumps(outcome_data))}

    outcome = OutcomeCodec(harness.keyring).repeat(Repeated(json.dumps(older).encode(), stored.first, stored.last))

    assert (outcome.status, outcome.refused, outcome.code) == ("repeated", True, None)
    assert str(outcome.reason).startswith(f"deployment {NOBODY} does not exist")


def test_an_outcome_that_was_erased_has_none(harness: GatewayHarness) -> None:
    envelope = harness.envelope("deployment.abort", {"deployment": NOBODY})
    harness.gateway.ask(envelope).result(PATIENCE)
    harness.keyring.erase(harness.keyring.actor_id("alice"))

    again = harness.gateway.ask(envelope).result(PATIENCE)

    assert (again.status, again.code) == ("repeated", None)
