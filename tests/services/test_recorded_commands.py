"""The log's record of a command: its reason, and what a refused one was about."""

from typing import Any

import pytest

from release_management.services.sealing import reveal
from tests.services.gateway_harness import GatewayHarness

ALWAYS = {"command", "sender", "by", "reason", "code"}
"""The fields of every refusal."""


def opened(harness: GatewayHarness, sealed: dict[str, Any]) -> Any:
    return reveal(sealed, harness.keyring)


def succeeded(harness: GatewayHarness, version: str = "1.0.0") -> str:
    id = harness.deploy(harness.release(version))
    harness.carry_out(id)
    return id


def refusals(harness: GatewayHarness) -> list[dict[str, Any]]:
    return [record["data"] for record in harness.records("command.refused")]


# Why


def test_the_reason_of_a_rollback_after_a_success_is_kept_and_sealed(harness: GatewayHarness) -> None:
    harness.environment()
    succeeded(harness)
    newer = succeeded(harness, "1.1.0")

    back = str(harness.do("deployment.rollback", {"deployment": newer, "reason": "loses carts"})["deployment"])

    (requested,) = harness.facts(back, "requested")
    assert opened(harness, requested["note"]) == "loses carts"
    assert b"loses carts" not in harness.on_disk()


def test_the_reason_of_a_rollback_before_the_end_is_kept_too(harness: GatewayHarness) -> None:
    harness.environment()
    under_way = harness.deploy(harness.release("1.0.0"))

    harness.do("deployment.rollback", {"deployment": under_way, "reason": "the wrong build"})

    (aborting,) = harness.facts(under_way, "aborting")
    assert opened(harness, aborting["note"]) == "the wrong build"


def test_a_repeated_command_with_another_reason_is_recorded_again(harness: GatewayHarness) -> None:
    ref = harness.release("1.0.0")
    for note in ("first report", "second report"):
        harness.do("release.attest", {"release": ref, "gate": "tests", "result": "passed", "note": note})
    for reason in ("leaks", "loses carts"):
        harness.do("release.block", {"release": ref, "reason": reason})

    notes = [opened(harness, record["data"]["note"]) for record in harness.records("release.attested")]
    reasons = [opened(harness, record["data"]["reason"]) for record in harness.records("release.blocked")]
    assert notes == ["first report", "second report"]
    assert reasons == ["leaks", "loses carts"]


def test_an_attestation_repeated_without_a_note_is_already_so(harness: GatewayHarness) -> None:
    ref = harness.release("1.0.0")
    for _ in range(2):
        harness.do("release.attest", {"release": ref, "gate": "tests", "result": "passed"})

    assert len(harness.records("release.attested")) == 1


# What a refused command was about


@pytest.mark.parametrize(
    ("command", "data", "about"),
    [
        (
            "deployment.deploy",
            {"release": "shop@9.9.9", "environment": "Staging"},
            {"application": "shop", "release": "shop@9.9.9", "environment": "staging"},
        ),
        (
            "deployment.plan",
            {"release": "shop@1.0.0", "environment": "staging", "strategy": "yolo"},
            {"application": "shop", "release": "shop@1.0.0", "environment": "staging"},
        ),
        ("release.attest", {"release": "shop@1.0.0", "gate": "x"}, {"application": "shop", "release": "shop@1.0.0"}),
        (
            "release.create",
            {"application": "Shop", "version": "1.0.0", "components": [{"name": "other"}]},
            {"application": "shop", "release": "shop@1.0.0"},
        ),
        ("environment.configure", {"name": "STAGING", "tier": "lunar"}, {"environment": "staging"}),
        (
            "policy.configure_gates",
            {"application": "shop", "environment": "staging", "gates": {"": {}}},
            {"application": "shop", "environment": "staging"},
        ),
        ("pipeline.configure", {"name": "main", "application": "shop", "stages": ["x"]}, {"application": "shop"}),
        (
            "incident.open",
            {"application": "shop", "environment": "staging", "title": ""},
            {"application": "shop", "environment": "staging"},
        ),
    ],
)
def test_a_refusal_says_what_it_was_about(
    harness: GatewayHarness, command: str, data: dict[str, object], about: dict[str, str]
) -> None:
    harness.environment()
    harness.release("1.0.0")

    assert harness.ask(command, data).status == "refused"

    (refused,) = refusals(harness)
    assert {key: refused[key] for key in refused if key not in ALWAYS} == about


def test_a_refusal_about_a_deployment_names_its_release_and_environment(harness: GatewayHarness) -> None:
    harness.environment("production", approval={"required": 1})
    id = harness.deploy(harness.release("1.0.0"), "production")
    about = {"application": "shop", "release": "shop@1.0.0", "environment": "production", "deployment": id}
    [approval] = [record["data"]["approval"] for record in harness.records("approval.requested")]

    for command, data in (
        ("deployment.promote", {"deployment": id}),
        ("approval.grant", {"approval": approval}),
        ("approval.grant", {"approval": id}),
    ):
        assert harness.ask(command, data).status == "refused"

    assert [{key: refused.get(key) for key in about} for refused in refusals(harness)] == [about] * 3


@pytest.mark.parametrize(
    "data",
    [
        {"release": "Zaphod was here", "environment": "behind the canteen"},
        {"deployment": "Zaphod", "environment": ["behind"], "release": {"the": "canteen"}},
        {"deployment": 7, "approval": None, "incident": "x" * 5000},
    ],
)
def test_text_that_names_nothing_of_ours_stays_sealed(harness: GatewayHarness, data: dict[str, object]) -> None:
    harness.environment()

    assert harness.ask("deployment.deploy", data).status == "refused"

    (refused,) = refusals(harness)
    assert set(refused) == ALWAYS
