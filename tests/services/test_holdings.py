"""Two things that claim one port are refused when planned, naming who has it: what runs counts, declared or not."""

from typing import Any

import pytest

from release_management.domain.orders import ATTEMPTS
from release_management.services.ports.bus import QueryNotUnderstood
from tests.services.gateway_harness import (
    COMMAND,
    GatewayHarness,
    on_both_stores,
)


def declare(harness: GatewayHarness, environment: str = "staging", **ports: int) -> None:
    """Each application's `web` on target main, by the application's name, with its port."""
    applications = {name: {"components": {"web": {"command": COMMAND, "port": port}}} for name, port in ports.items()}
    target = {"name": "main", "applications": applications}
    harness.do("environment.configure", {"name": environment, "targets": [target]})


def bring(harness: GatewayHarness, ref: str, environment: str = "staging", **data: Any) -> str:
    deployment = harness.deploy(ref, environment, strategy="recreate", **data)
    harness.carry_out(deployment)
    return deployment


def give_up(harness: GatewayHarness, deployment: str) -> None:
    """The step that is out errors as often as it is tried."""
    started = harness.facts(deployment, "step_started")[-1]
    leg, step = started["leg"], started["step"]
    for attempt in range(started["attempt"], ATTEMPTS[leg] + 1):
        harness.report(deployment, step, "errored", attempt, leg=leg, reason="no answer")
        harness.clock.advance(60)
        harness.do("deployment.retry_step", {"deployment": deployment, "leg": leg, "step": step, "attempt": attempt})


def holds(harness: GatewayHarness) -> list[tuple[str, str, list[str]]]:
    changed = [record["data"] for record in harness.records("holdings.changed")]
    return [(data["environment"], data["application"], data.get("things", [])) for data in changed]


def taken(who: str, where: str = "staging") -> str:
    return (
        f"port 8080 is that of component web of {who} on target main of environment {where}, and executor local has it "
        "once; give one of them another, and deploy that first"
    )


@pytest.fixture
def moved(harness: GatewayHarness) -> GatewayHarness:
    """`shop` runs on 8080 and is declared for 8090; `desk`, which runs nowhere, is declared for 8080."""
    declare(harness, shop=8080)
    bring(harness, harness.release("1.0.0", "shop"))
    declare(harness, shop=8090, desk=8080)
    harness.release("7.0.0", "desk")
    return harness


@on_both_stores
@pytest.mark.parametrize("command", ["deployment.plan", "deployment.deploy"])
def test_a_port_on_which_another_component_still_runs_is_refused_when_planned(
    moved: GatewayHarness, command: str
) -> None:
    refused = moved.ask(command, {"release": "desk@7.0.0", "environment": "staging"})

    assert refused.reason == f"web on main in staging: {taken('shop')}"
    with pytest.raises(QueryNotUnderstood) as previewed:
        moved.preview(release="desk@7.0.0", environment="staging")
    assert (str(previewed.value), previewed.value.code) == (refused.reason, refused.code)


@on_both_stores
def test_a_port_that_was_left_is_free_once_the_deployment_that_leaves_it_has_ended(moved: GatewayHarness) -> None:
    leaving = moved.deploy("shop@1.0.0", strategy="recreate")
    assert moved.ask("deployment.plan", {"release": "desk@7.0.0", "environment": "staging"}).reason is not None

    moved.carry_out(leaving)

    assert moved.facts(bring(moved, "desk@7.0.0"), "succeeded")
    assert holds(moved) == [
        ("staging", "shop", ["port 8080"]),
        ("staging", "shop", ["port 8080", "port 8090"]),
        ("staging", "shop", ["port 8090"]),
        ("staging", "desk", ["port 8080"]),
    ]


def test_a_way_back_to_a_port_that_another_has_taken_since_is_refused_naming_it(moved: GatewayHarness) -> None:
    newest = bring(moved, "shop@1.0.0")
    bring(moved, "desk@7.0.0")

    refused = moved.ask("deployment.rollback", {"deployment": newest})

    assert refused.reason == f"web on main in staging: {taken('desk')}"


def test_a_port_is_refused_across_environments(moved: GatewayHarness) -> None:
    declare(moved, shop=8090)
    declare(moved, "qa", desk=8080)

    refused = moved.ask("deployment.plan", {"release": "desk@7.0.0", "environment": "qa"})

    assert refused.reason == f"web on main in qa: {taken('shop')}"


def test_a_deployment_that_waits_is_rejected_where_another_has_taken_its_port_meanwhile(
    harness: GatewayHarness,
) -> None:
    declare(harness, shop=8080)
    ahead = harness.deploy(harness.release("1.0.0", "shop"), strategy="recreate")
    queued = harness.deploy(harness.release("1.1.0", "shop"), strategy="recreate")
    declare(harness, shop=8090)
    harness.carry_out(ahead)
    declare(harness, shop=8091, desk=8090)
    bring(harness, harness.release("7.0.0", "desk"))
    declare(harness, shop=8092, desk=8091)
    declare(harness, shop=8090, desk=8091)

    harness.do("deployment.proceed", {"deployment": queued})

    [rejected] = harness.facts(queued, "rejected")
    assert rejected["reason"].startswith("web on main in staging: port 8090 is that of component web of desk on target")


@on_both_stores
def test_a_rolled_back_deployment_releases_its_claims(harness: GatewayHarness) -> None:
    declare(harness, shop=8080)
    failed = harness.deploy(harness.release("1.0.0", "shop"), strategy="recreate")
    harness.do("deployment.abort", {"deployment": failed})
    for _ in range(10):
        for fact in harness.facts(failed, "step_started"):
            harness.report(failed, fact["step"], attempt=fact["attempt"], leg=fact["leg"])

    assert harness.facts(failed, "rolled_back")
    assert holds(harness) == [("staging", "shop", ["port 8080"]), ("staging", "shop", [])]


def test_a_component_keeps_its_own_port_through_deployments_and_writes_nothing_of_it(harness: GatewayHarness) -> None:
    declare(harness, shop=8080)
    bring(harness, harness.release("1.0.0", "shop"))
    bring(harness, harness.release("1.1.0", "shop"))

    assert holds(harness) == [("staging", "shop", ["port 8080"])]


def test_a_shared_resource_of_an_executor_is_not_held(harness: GatewayHarness) -> None:
    command = {verb: ["true"] for verb in ("provision", "await_healthy", "retire", "route")}
    target = {"name": "main", "executor": "command", "components": {"web": {"commands": command}}}
    harness.do("environment.configure", {"name": "staging", "targets": [target]})
    bring(harness, harness.release("1.0.0"))

    assert holds(harness) == []


PROGRAMS = {verb: ["true"] for verb in ("provision", "await_healthy", "retire", "route")}


def declare_programs(
    harness: GatewayHarness, environment: str = "staging", executor: str = "command", **claims: Any
) -> None:
    """Each application's `web` on target main, by the application's name, with what it claims."""
    applications = {
        name: {"components": {"web": {"commands": PROGRAMS, "claims": claimed}}} for name, claimed in claims.items()
    }
    target = {"name": "main", "executor": executor, "applications": applications}
    harness.do("environment.configure", {"name": environment, "targets": [target]})


CLAIMED = pytest.mark.parametrize(
    ("first", "second", "thing"),
    [
        ({"ports": [8080]}, {"ports": [9090, 8080]}, "port 8080"),
        ({"paths": ["/srv/shop"]}, {"paths": ["/srv/./shop/"]}, "path /srv/shop"),
        ({"names": ["shop-web"]}, {"names": ["shop-web"]}, "name shop-web"),
    ],
)


@CLAIMED
def test_a_port_a_path_or_a_name_is_declared_for_one_component(
    harness: GatewayHarness, first: dict[str, Any], second: dict[str, Any], thing: str
) -> None:
    declare_programs(harness, shop=first)
    own = {"desk": {"components": {"web": {"commands": PROGRAMS, "claims": second}}}}
    target = {"name": "main", "executor": "command", "applications": own}

    refused = harness.ask("environment.configure", {"name": "qa", "targets": [target]})

    assert refused.reason == (
        f"environment qa, target main, component web of desk: {thing} is that of component web of shop on target main "
        "of environment staging, and executor command has it once; give one of them another"
    )


@on_both_stores
@CLAIMED
def test_a_port_a_path_or_a_name_with_which_another_runs_is_refused_when_planned(
    harness: GatewayHarness, first: dict[str, Any], second: dict[str, Any], thing: str
) -> None:
    declare_programs(harness, shop=first)
    bring(harness, harness.release("1.0.0", "shop"))
    declare_programs(harness, shop={}, desk=second)

    refused = harness.ask("deployment.plan", {"release": harness.release("7.0.0", "desk"), "environment": "staging"})

    assert refused.reason == (
        f"web on main in staging: {thing} is that of component web of shop on target main of environment staging, and "
        "executor command has it once; give one of them another, and deploy that first"
    )


def test_a_claim_declared_for_any_application_belongs_to_the_first_that_runs_with_it(harness: GatewayHarness) -> None:
    harness.environment()
    bring(harness, harness.release("1.0.0", "shop"))

    refused = harness.ask("deployment.plan", {"release": harness.release("7.0.0", "desk"), "environment": "staging"})

    assert refused.reason == f"web on main in staging: {taken('shop')}"


def test_another_executor_may_have_the_same(harness: GatewayHarness) -> None:
    declare(harness, shop=8080)
    bring(harness, harness.release("1.0.0", "shop"))
    declare_programs(harness, "qa", desk={"ports": [8080]})

    assert harness.facts(bring(harness, harness.release("7.0.0", "desk"), "qa"), "succeeded")


def test_two_components_of_one_plan_that_exchange_their_ports_are_refused(harness: GatewayHarness) -> None:
    def both(web: int, api: int) -> None:
        own = {"web": {"command": COMMAND, "port": web}, "api": {"command": COMMAND, "port": api}}
        target = {"name": "main", "applications": {"shop": {"components": own}}}
        harness.do("environment.configure", {"name": "staging", "targets": [target]})

    both(8080, 8081)
    ref = harness.release("1.0.0", "shop", components=[{"name": "web"}, {"name": "api"}])
    harness.walk(harness.deploy(ref, strategy="recreate"))
    both(8081, 8080)

    refused = harness.ask("deployment.plan", {"release": ref, "environment": "staging"})

    assert refused.reason is not None
    assert "is that of component" in refused.reason
    assert "of shop on target main of environment staging" in refused.reason


@on_both_stores
def test_a_component_that_is_given_up_releases_its_claims(moved: GatewayHarness) -> None:
    [retiring] = moved.do("environment.retire", {"name": "staging"})["deployments"]
    assert holds(moved)[-1] == ("staging", "shop", ["port 8080"])

    moved.walk(retiring)

    assert holds(moved)[-1] == ("staging", "shop", [])


@on_both_stores
def test_a_component_that_may_still_run_keeps_its_claims(harness: GatewayHarness) -> None:
    declare(harness, shop=8080)
    broken = harness.deploy(harness.release("1.0.0", "shop"), strategy="recreate")
    while not harness.facts(broken, "rollback_failed"):
        give_up(harness, broken)

    assert holds(harness) == [("staging", "shop", ["port 8080"])]
    declare(harness, shop=8090, desk=8080)
    refused = harness.ask("deployment.plan", {"release": harness.release("7.0.0", "desk"), "environment": "staging"})
    assert refused.reason == f"web on main in staging: {taken('shop')}"
