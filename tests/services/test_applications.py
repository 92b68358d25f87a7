"""Components' settings belong to an application: two applications may each have a `web` on one target."""

from typing import Any

from tests.services.gateway_harness import (
    COMMAND,
    Office,
    on_both_stores,
)


def configure(office: Office, shop: int = 8080, desk: int = 8081) -> None:
    """Both applications have a `web` on target main of staging, each with its port."""
    applications = {
        name: {"components": {"web": {"command": COMMAND, "port": port}}}
        for name, port in {"shop": shop, "desk": desk}.items()
    }
    office.do("environment.configure", {"name": "staging", "targets": [{"name": "main", "applications": applications}]})


def ports(office: Office, deployment: str) -> set[int]:
    return {fact["settings"]["port"] for fact in office.facts(deployment, "step_started")}


def bring(office: Office, ref: str, **data: Any) -> str:
    deployment = office.deploy(ref, strategy="recreate", **data)
    office.carry_out(deployment)
    return deployment


@on_both_stores
def test_each_application_is_deployed_with_its_own_settings(office: Office) -> None:
    configure(office)

    shop = bring(office, office.release("1.0.0", "shop"))
    desk = bring(office, office.release("7.0.0", "desk"))

    assert (ports(office, shop), ports(office, desk)) == ({8080}, {8081})
    assert office.do("deployment.deploy", {"release": "shop@1.0.0", "environment": "staging"})["already_so"]


@on_both_stores
def test_a_change_of_one_application_is_no_change_of_the_other(office: Office) -> None:
    configure(office)
    bring(office, office.release("1.0.0", "shop"))
    desk = bring(office, office.release("7.0.0", "desk"))
    configure(office, shop=8090)

    shop = bring(office, "shop@1.0.0")

    assert office.facts(shop, "planned")[0]["plan"]["changes"][0]["differs"] == [
        {"name": "port", "before": "8080", "after": "8090"}
    ]
    again = office.do("deployment.deploy", {"release": "desk@7.0.0", "environment": "staging"})
    assert (again["deployment"], again["already_so"]) == (desk, True)


def test_an_application_without_settings_there_is_told_what_to_declare(office: Office) -> None:
    configure(office)
    ref = office.release("1.0.0", "other")

    refused = office.ask("deployment.deploy", {"release": ref, "environment": "staging"})

    assert refused.reason is not None
    assert "component web has no target in staging" in refused.reason


def test_two_applications_that_want_one_port_are_refused_naming_who_has_it(office: Office) -> None:
    refused = office.ask(
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


def test_wrong_settings_of_an_application_are_refused_naming_it(office: Office) -> None:
    own = {"shop": {"components": {"web": {"command": COMMAND, "port": 99999}}}}
    refused = office.ask(
        "environment.configure", {"name": "staging", "targets": [{"name": "main", "applications": own}]}
    )

    assert refused.reason is not None
    assert refused.reason.startswith("environment staging, target main, component web of shop: port:")


def test_a_declaration_for_any_application_still_holds(office: Office) -> None:
    office.environment()

    deployment = bring(office, office.release("1.0.0", "shop"))

    assert ports(office, deployment) == {8080}
    assert "applications" not in office.records("environment.target_configured")[0]["data"]["target"]


@on_both_stores
def test_a_pipeline_of_another_application_is_refused_naming_it(office: Office) -> None:
    configure(office)
    office.do("pipeline.configure", {"application": "shop", "name": "Main Pipeline", "stages": ["staging"]})

    refused = office.ask("pipeline.configure", {"application": "desk", "name": "main_pipeline", "stages": ["staging"]})

    assert refused.reason == (
        "pipeline main-pipeline: that name is taken by the pipeline of application shop; give the one of application "
        "desk another"
    )
    office.do("pipeline.configure", {"application": "desk", "name": "desk", "stages": ["staging"]})
    assert office.do("pipeline.configure", {"application": "shop", "name": "Main Pipeline", "stages": ["staging"]})
