"""Going back by component and by place, configuration included."""

from collections.abc import Mapping

from tests.services.gateway_harness import (
    COMMAND,
    GatewayHarness,
    on_both_stores,
)

WEB = {"command": COMMAND, "port": 8080}
API = {"command": COMMAND, "port": 8081}


def configure(
    harness: GatewayHarness, *, targets: Mapping[str, Mapping[str, object]] | None = None, **attributes: object
) -> None:
    """Environment staging, with `web` and `api` on target main unless said otherwise."""
    stated = [
        {"name": name, "components": components}
        for name, components in (targets or {"main": {"web": WEB, "api": API}}).items()
    ]
    harness.do("environment.configure", {"name": "staging", "targets": stated, **attributes})


def release(harness: GatewayHarness, version: str, *components: str, partial: bool = True) -> str:
    return harness.release(version, components=[{"name": name} for name in components], partial=partial)


def succeed(harness: GatewayHarness, version: str, *components: str, partial: bool = True) -> str:
    deployment = harness.deploy(release(harness, version, *components, partial=partial), strategy="recreate")
    harness.walk(deployment)
    return deployment


def go_back(harness: GatewayHarness, deployment: str) -> str:
    back = str(harness.do("deployment.rollback", {"deployment": deployment})["deployment"])
    harness.walk(back)
    return back


def brought(harness: GatewayHarness, deployment: str) -> list[tuple[str, str, str | None]]:
    """(target, component, version) of what a deployment brought; None for what it gave up."""
    [started] = harness.facts(deployment, "started")
    return [
        (each["target"], each["component"], each.get("candidate", {}).get("version")) for each in started["bindings"]
    ]


@on_both_stores
def test_a_release_that_brought_only_web_goes_back_to_the_web_from_before(harness: GatewayHarness) -> None:
    configure(harness)
    succeed(harness, "1.0.0", "web")
    succeed(harness, "1.1.0", "api")
    newest = succeed(harness, "1.2.0", "web")

    back = go_back(harness, newest)

    assert brought(harness, back) == [("main", "web", "1.0.0")]
    assert harness.facts(back, "planned")[0]["reverts"] == newest


def test_on_each_target_a_component_goes_back_to_what_succeeded_there(harness: GatewayHarness) -> None:
    here = {"web": WEB}
    configure(harness, targets={"main": here})
    succeed(harness, "1.0.0", "web")
    configure(harness, targets={"main": here, "eu": {"web": {**WEB, "port": 8082}}})
    succeed(harness, "1.1.0", "web")
    configure(harness, targets={"eu": {}})
    succeed(harness, "1.2.0", "web")
    configure(harness, targets={"eu": {"web": {**WEB, "port": 8082}}})
    newest = succeed(harness, "1.3.0", "web")

    back = go_back(harness, newest)

    assert brought(harness, back) == [("main", "web", "1.2.0"), ("eu", "web", "1.1.0")]


@on_both_stores
def test_a_rollback_returns_to_the_configuration_that_ran(harness: GatewayHarness) -> None:
    configure(harness, variables={"GREETING": "hello"})
    succeed(harness, "1.0.0", "web")
    configure(harness, variables={"GREETING": "good morning"})
    again = succeed(harness, "1.0.0", "web")
    [planned] = harness.facts(again, "planned")
    assert planned["plan"]["changes"][0]["differs"] == [
        {"name": "GREETING", "before": "hello", "after": "good morning"}
    ]

    back = go_back(harness, again)

    [started] = harness.facts(back, "started")
    assert started["bindings"][0]["configuration"]["variables"] == {"GREETING": "hello"}


def test_a_rollback_goes_past_a_blocked_release_to_the_next_good_one(harness: GatewayHarness) -> None:
    configure(harness)
    succeed(harness, "1.0.0", "web")
    succeed(harness, "1.1.0", "web")
    newest = succeed(harness, "1.2.0", "web")
    harness.do("release.block", {"release": "shop@1.1.0", "reason": "it leaks"})

    assert brought(harness, go_back(harness, newest)) == [("main", "web", "1.0.0")]


@on_both_stores
def test_a_component_missing_from_a_complete_release_is_stopped_and_a_rollback_brings_it_back(
    harness: GatewayHarness,
) -> None:
    configure(harness)
    succeed(harness, "1.0.0", "web", "api", partial=False)
    newest = succeed(harness, "2.0.0", "web", partial=False)
    assert brought(harness, newest) == [("main", "web", "2.0.0"), ("main", "api", None)]
    retired = [fact["action"]["verb"] for fact in harness.facts(newest, "step_started") if fact["component"] == "api"]
    assert retired == ["route", "retire"]

    assert brought(harness, go_back(harness, newest)) == [("main", "web", "1.0.0"), ("main", "api", "1.0.0")]


def test_a_component_first_brought_by_a_partial_release_is_stopped_by_its_rollback(harness: GatewayHarness) -> None:
    configure(harness)
    succeed(harness, "1.0.0", "web")
    newest = succeed(harness, "1.1.0", "web", "api")

    assert brought(harness, go_back(harness, newest)) == [("main", "web", "1.0.0"), ("main", "api", None)]


def test_a_component_that_another_deployment_has_replaced_since_is_not_rolled_back(harness: GatewayHarness) -> None:
    configure(harness)
    succeed(harness, "1.0.0", "web", "api")
    older = succeed(harness, "1.1.0", "web", "api")
    succeed(harness, "1.2.0", "web")

    refused = harness.ask("deployment.rollback", {"deployment": older})

    assert refused.reason is not None
    assert refused.reason.startswith(f"web of deployment {older} is not what runs on main in staging any more")
