"""Incidents through the gateway: which deployments may have caused or ended one."""

import pytest

from tests.services.gateway_harness import GatewayHarness, on_both_stores

TITLE = "carts are empty, says Ann"


@pytest.fixture
def deployed(harness: GatewayHarness) -> str:
    harness.environment("production", approval={"required": 0})
    harness.environment("staging")
    id = harness.deploy(harness.release("1.0.0"), "production")
    harness.carry_out(id)
    return id


def opened(harness: GatewayHarness, **data: str) -> str:
    content = {"application": "shop", "environment": "production", "title": TITLE, **data}
    return str(harness.do("incident.open", content)["incident"])


def test_an_incident_is_opened_attributed_and_resolved(harness: GatewayHarness, deployed: str) -> None:
    id = opened(harness)
    harness.do("incident.attribute", {"incident": id, "deployment": deployed})
    harness.do("incident.attribute", {"incident": id, "deployment": "none"})
    result = harness.do("incident.resolve", {"incident": id, "note": "Ann restarted it"})

    assert result == {"incident": id, "resolved": True}
    told = [record for record in harness.records() if record["type"].startswith("incident.")]
    assert [record["type"] for record in told] == [
        "incident.opened",
        "incident.attributed",
        "incident.attributed",
        "incident.resolved",
    ]
    assert "attribution" in told[0]["data"]
    assert told[1]["data"] == {"cause": deployed}
    assert told[2]["data"] == {}
    assert b"Ann" not in harness.on_disk(), "what may name a person is sealed"


def test_asking_again_records_nothing(harness: GatewayHarness, deployed: str) -> None:
    id = opened(harness, deployment=deployed)
    harness.do("incident.resolve", {"incident": id})
    before = harness.log.last_position()

    harness.do("incident.attribute", {"incident": id, "deployment": deployed})
    harness.do("incident.resolve", {"incident": id})

    assert harness.log.last_position() == before


def test_a_deployment_of_something_else_is_refused_with_what_would_be_right(
    harness: GatewayHarness, deployed: str
) -> None:
    elsewhere = harness.deploy("shop@1.0.0", "staging")
    content = {"application": "shop", "environment": "production", "title": TITLE, "deployment": elsewhere}

    outcome = harness.ask("incident.open", content)

    assert outcome.refused
    assert outcome.reason == (
        f"deployment {elsewhere} brought shop@1.0.0 to staging, and the incident is of shop in production; name a "
        "deployment of shop to production"
    )
    assert harness.ask("incident.open", {**content, "deployment": deployed, "application": "till"}).refused


def test_a_deployment_that_has_not_begun_can_be_neither_cause_nor_remedy(
    harness: GatewayHarness, deployed: str
) -> None:
    content = {"release": harness.release("1.1.0"), "environment": "production"}
    planned = str(harness.do("deployment.plan", content)["deployment"])
    id = opened(harness)

    for command in ("incident.attribute", "incident.resolve"):
        outcome = harness.ask(command, {"incident": id, "deployment": planned})
        assert outcome.reason is not None
        assert "is Planned and has not begun, so that no user has met it" in outcome.reason


@pytest.mark.parametrize(
    ("command", "data", "sentence"),
    [
        ("incident.open", {"application": "shp"}, "has no incidents; did you mean 'shop'? known: shop"),
        ("incident.open", {"environment": "moon"}, "environment 'moon' does not exist; known: production, staging"),
        ("incident.open", {"deployment": "0" * 8 + "-0000-0000-0000-" + "0" * 12}, "does not exist; relman deployment"),
        ("incident.open", {"detected_at": "2030-01-01T00:00:00Z"}, "in the future"),
        ("incident.open", {"deployment": "yesterday's"}, "is no id"),
        ("incident.resolve", {"incident": "0" * 8 + "-0000-0000-0000-" + "0" * 12}, "relman incident list shows"),
    ],
)
def test_an_impossible_incident_is_refused(
    harness: GatewayHarness, deployed: str, command: str, data: dict[str, str], sentence: str
) -> None:
    usual = {"application": "shop", "environment": "production", "title": TITLE} if command == "incident.open" else {}

    outcome = harness.ask(command, usual | data)

    assert outcome.reason is not None
    assert sentence in outcome.reason


def test_a_cause_that_is_younger_than_its_incident_is_refused(harness: GatewayHarness, deployed: str) -> None:
    long_ago = "2026-01-01T00:00:00Z"
    at_opening = harness.ask(
        "incident.open",
        {"application": "shop", "environment": "production", "title": TITLE, "deployment": deployed}
        | {"detected_at": long_ago},
    )
    id = opened(harness, detected_at=long_ago)
    afterwards = harness.ask("incident.attribute", {"incident": id, "deployment": deployed})

    for outcome in (at_opening, afterwards):
        assert outcome.status == "refused"
        assert "after the incident was detected at 2026-01-01T00:00:00.000000Z, and cannot have caused it" in str(
            outcome.reason
        )


def test_a_cause_that_had_begun_is_taken(harness: GatewayHarness, deployed: str) -> None:
    assert opened(harness, deployment=deployed)


def test_a_deployment_that_began_after_an_incident_was_over_did_not_end_it(
    harness: GatewayHarness, deployed: str
) -> None:
    id = opened(harness, detected_at="2026-01-01T00:00:00Z")
    content = {"incident": id, "deployment": deployed, "resolved_at": "2026-01-02T00:00:00Z"}

    outcome = harness.ask("incident.resolve", content)

    assert outcome.status == "refused"
    assert "after the incident was over at 2026-01-02T00:00:00.000000Z, and cannot have ended it" in str(outcome.reason)
    assert harness.do("incident.resolve", {"incident": id, "deployment": deployed})["resolved"]


@on_both_stores
def test_an_application_is_known_once_it_was_planned_anywhere_or_has_a_policy(harness: GatewayHarness) -> None:
    harness.environment("production", approval={"required": 0})
    harness.environment("staging")
    content = {"application": "shop", "environment": "production", "title": TITLE}
    assert opened(harness), "no application is known yet"
    harness.do("deployment.plan", {"release": harness.release("7.0.0", "desk"), "environment": "staging"})

    assert harness.ask("incident.open", content).reason == (
        "application 'shop' has no policy and was never planned to be deployed, so that it has no incidents; "
        "known: desk"
    )

    harness.do("deployment.plan", {"release": harness.release("1.0.0"), "environment": "staging"})
    harness.do("policy.configure_versions", {"application": "till", "versions": "any"})
    assert opened(harness)
    assert opened(harness, application="till")
