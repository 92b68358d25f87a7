"""Going back by component and by place, configuration included."""

from collections.abc import Mapping

from tests.services.gateway_harness import (
    COMMAND,
    Office,
    on_both_stores,
)

WEB = {"command": COMMAND, "port": 8080}
API = {"command": COMMAND, "port": 8081}


def configure(
    office: Office, *, targets: Mapping[str, Mapping[str, object]] | None = None, **attributes: object
) -> None:
    """Environment staging, with `web` and `api` on target main unless said otherwise."""
    stated = [
        {"name": name, "components": components}
        for name, components in (targets or {"main": {"web": WEB, "api": API}}).items()
    ]
    office.do("environment.configure", {"name": "staging", "targets": stated, **attributes})


def release(office: Office, version: str, *components: str, partial: bool = True) -> str:
    return office.release(version, components=[{"name": name} for name in components], partial=partial)


def succeed(office: Office, version: str, *components: str, partial: bool = True) -> str:
    deployment = office.deploy(release(office, version, *components, partial=partial), strategy="recreate")
    office.walk(deployment)
    return deployment


def go_back(office: Office, deployment: str) -> str:
    back = str(office.do("deployment.rollback", {"deployment": deployment})["deployment"])
    office.walk(back)
    return back


def brought(office: Office, deployment: str) -> list[tuple[str, str, str | None]]:
    """(target, component, version) of what a deployment brought; None for what it gave up."""
    [started] = office.facts(deployment, "started")
    return [
        (each["target"], each["component"], each.get("candidate", {}).get("version")) for each in started["bindings"]
    ]


@on_both_stores
def test_a_release_that_brought_only_web_goes_back_to_the_web_from_before(office: Office) -> None:
    configure(office)
    succeed(office, "1.0.0", "web")
    succeed(office, "1.1.0", "api")
    newest = succeed(office, "1.2.0", "web")

    back = go_back(office, newest)

    assert brought(office, back) == [("main", "web", "1.0.0")]
    assert office.facts(back, "planned")[0]["reverts"] == newest


def test_on_each_target_a_component_goes_back_to_what_succeeded_there(office: Office) -> None:
    here = {"web": WEB}
    configure(office, targets={"main": here})
    succeed(office, "1.0.0", "web")
    configure(office, targets={"main": here, "eu": {"web": {**WEB, "port": 8082}}})
    succeed(office, "1.1.0", "web")
    configure(office, targets={"eu": {}})
    succeed(office, "1.2.0", "web")
    configure(office, targets={"eu": {"web": {**WEB, "port": 8082}}})
    newest = succeed(office, "1.3.0", "web")

    back = go_back(office, newest)

    assert brought(office, back) == [("main", "web", "1.2.0"), ("eu", "web", "1.1.0")]


@on_both_stores
def test_a_rollback_returns_to_the_configuration_that_ran(office: Office) -> None:
    configure(office, variables={"GREETING": "hello"})
    succeed(office, "1.0.0", "web")
    configure(office, variables={"GREETING": "good morning"})
    again = succeed(office, "1.0.0", "web")
    [planned] = office.facts(again, "planned")
    assert planned["plan"]["changes"][0]["differs"] == [
        {"name": "GREETING", "before": "hello", "after": "good morning"}
    ]

    back = go_back(office, again)

    [started] = office.facts(back, "started")
    assert started["bindings"][0]["configuration"]["variables"] == {"GREETING": "hello"}


def test_a_rollback_goes_past_a_blocked_release_to_the_next_good_one(office: Office) -> None:
    configure(office)
    succeed(office, "1.0.0", "web")
    succeed(office, "1.1.0", "web")
    newest = succeed(office, "1.2.0", "web")
    office.do("release.block", {"release": "shop@1.1.0", "reason": "it leaks"})

    assert brought(office, go_back(office, newest)) == [("main", "web", "1.0.0")]


@on_both_stores
def test_a_component_missing_from_a_complete_release_is_stopped_and_a_rollback_brings_it_back(office: Office) -> None:
    configure(office)
    succeed(office, "1.0.0", "web", "api", partial=False)
    newest = succeed(office, "2.0.0", "web", partial=False)
    assert brought(office, newest) == [("main", "web", "2.0.0"), ("main", "api", None)]
    retired = [fact["action"]["verb"] for fact in office.facts(newest, "step_started") if fact["component"] == "api"]
    assert retired == ["route", "retire"]

    assert brought(office, go_back(office, newest)) == [("main", "web", "1.0.0"), ("main", "api", "1.0.0")]


def test_a_component_first_brought_by_a_partial_release_is_stopped_by_its_rollback(office: Office) -> None:
    configure(office)
    succeed(office, "1.0.0", "web")
    newest = succeed(office, "1.1.0", "web", "api")

    assert brought(office, go_back(office, newest)) == [("main", "web", "1.0.0"), ("main", "api", None)]


def test_a_component_that_another_deployment_has_replaced_since_is_not_rolled_back(office: Office) -> None:
    configure(office)
    succeed(office, "1.0.0", "web", "api")
    older = succeed(office, "1.1.0", "web", "api")
    succeed(office, "1.2.0", "web")

    refused = office.ask("deployment.rollback", {"deployment": older})

    assert refused.reason is not None
    assert refused.reason.startswith(f"web of deployment {older} is not what runs on main in staging any more")
