"""Components' settings belong to an application: two applications may each have a `web` on one target."""

from typing import Any

from tests.services.gateway_harness import (
    COMMAND,
    GatewayHarness,
    on_both_stores,
)


def configure(harness: GatewayHarness, shop: int = 8080, desk: int = 8081) -> None:
    """Both applications have a `web` on target main of staging, each with its port."""
    applications = {
        name: {"components": {"web": {"command": COMMAND, "port": port}}}
        for name, port in {"shop": shop, "desk": desk}.items()
    }
    harness.do(
        "environment.configure", {"name": "staging", "targets": [{"name": "main", "applications": applications}]}
    )


def ports(harness: GatewayHarness, deployment: str) -> set[int]:
    return {fact["settings"]["port"] for fact in harness.facts(deployment, "step_started")}


def bring(harness: GatewayHarness, ref: str, **data: Any) -> str:
    deployment = harness.deploy(ref, strategy="recreate", **data)
    harness.carry_out(deployment)
    return deployment


@on_both_stores
def test_each_application_is_deployed_with_its_own_settings(harness: GatewayHarness) -> None:
    configure(harness)

    shop = bring(harness, harness.release("1.0.0", "shop"))
    desk = bring(harness, harness.release("7.0.0", "desk"))

    assert (ports(harness, shop), ports(harness, desk)) == ({8080}, {8081})
    assert harness.do("deployment.deploy", {"release": "shop@1.0.0", "environment": "staging"})["already_so"]


@on_both_stores
def test_a_change_of_one_application_is_no_change_of_the_other(harness: GatewayHarness) -> None:
    configure(harness)
    bring(harness, harness.release("1.0.0", "shop"))
    desk = bring(harness, harness.release("7.0.0", "desk"))
    configure(harness, shop=8090)

    shop = bring(harness, "shop@1.0.0")

    assert harness.facts(shop, "planned")[0]["plan"]["changes"][0]["differs"] == [
        {"name": "port", "before": "8080", "after": "8090"}
    ]
    again = harness.do("deployment.deploy", {"release": "desk@7.0.0", "environment": "staging"})
    assert (again["deployment"], again["already_so"]) == (desk, True)


def test_an_application_without_settings_there_is_told_what_to_declare(harness: GatewayHarness) -> None:
    configure(harness)
    ref = harness.release("1.0.0", "other")

    refused = harness.ask("deployment.deploy", {"release": ref, "environment": "staging"})

    assert refused.reason is not None
    assert "component web has no target in staging" in refused.reason


def test_two_applications_that_want_one_port_are_refused_naming_who_has_it(harness: GatewayHarness) -> None:
    refused = harness.ask(
        "environment.configure",
        {
            "name": "staging",
            "targets": [
                {
                    "name": "main",
                    "applications": {
                        name: {"components": {"web": {"command": COMMAND, "port": 8080}}} for name in ("shop", "desk")
                    },
                }
            ],
        },
    )

    assert refused.reason == (
        "environment staging, target main, component web of desk: port 8080 is that of component web of shop on target "
        "main of environment staging, and executor local has it once; give one of them another"
    )


def test_wrong_settings_of_an_application_are_refused_naming_it(harness: GatewayHarness) -> None:
    own = {"shop": {"components": {"web": {"command": COMMAND, "port": 99999}}}}
    refused = harness.ask(
        "environment.configure", {"name": "staging", "targets": [{"name": "main", "applications": own}]}
    )

    assert refused.reason is not None
    assert refused.reason.startswith("environment staging, target main, component web of shop: port:")


def test_a_declaration_for_any_application_still_holds(harness: GatewayHarness) -> None:
    harness.environment()

    deployment = bring(harness, harness.release("1.0.0", "shop"))

    assert ports(harness, deployment) == {8080}
    assert "applications" not in harness.records("environment.target_configured")[0]["data"]["target"]


@on_both_stores
def test_a_pipeline_of_another_application_is_refused_naming_it(harness: GatewayHarness) -> None:
    configure(harness)
    harness.do("pipeline.configure", {"application": "shop", "name": "Main Pipeline", "stages": ["staging"]})

    refused = harness.ask("pipeline.configure", {"application": "desk", "name": "main_pipeline", "stages": ["staging"]})

    assert refused.reason == (
        "pipeline main-pipeline: that name is taken by the pipeline of application shop; give the one of application "
        "desk another"
    )
    harness.do("pipeline.configure", {"application": "desk", "name": "desk", "stages": ["staging"]})
    assert harness.do("pipeline.configure", {"application": "shop", "name": "Main Pipeline", "stages": ["staging"]})
