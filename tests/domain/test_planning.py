"""From a release and what stands at the places to a plan and its slots."""

from dataclasses import replace

import pytest
from pydantic import JsonValue, ValidationError

from release_management.domain.configuration import Configuration, resolve
from release_management.domain.deployment.events import DeploymentStepStarted
from release_management.domain.environment import Target
from release_management.domain.orders import Report
from release_management.domain.place import Place
from release_management.domain.place_component import ComponentStatus, Occupant
from release_management.domain.plan.planning import choose, draft
from release_management.domain.plan.steps.provision import Provision
from release_management.domain.plan.steps.retire import RetireSlot
from release_management.domain.plan.steps.route import RouteSlots
from release_management.domain.policy import Policy
from release_management.kernel.types import Refused, explain
from tests.domain.build import (
    DEPLOYMENT,
    NOW,
    component,
    environment,
    release,
    report_step,
    target,
)
from tests.domain.deployment_model import Simulation

SERVING = Place(
    components={"api": ComponentStatus(slots={"blue": Occupant(component("api", "1.0.0"), 6)}, stable="blue")}
)


# Which strategy


def test_rolling_is_what_nobody_chose() -> None:
    assert choose(release(), [], None, {}) == ("rolling", {})


def test_the_nearer_scope_wins() -> None:
    wide = Policy(default="canary", strategies={"canary": {"interval": 60, "min_ready": 5}})
    near = Policy(default="blue-green", strategies={"canary": {"interval": 10}, "blue-green": {}})

    assert choose(release(), [wide], None, {}) == ("canary", {"interval": 60, "min_ready": 5})
    assert choose(release(), [wide, near], None, {}) == ("blue-green", {})
    assert choose(release(), [wide, near], "canary", {"min_ready": 1}) == ("canary", {"interval": 10, "min_ready": 1})


def test_a_release_with_its_own_initial_traffic_is_a_canary() -> None:
    own = replace(release(), initial_traffic=20)

    assert choose(own, [Policy(default="rolling", strategies={"rolling": {}})], None, {}) == (
        "canary",
        {"initial_traffic": 20},
    )
    assert choose(own, [], "recreate", {}) == ("recreate", {})


STEPS: JsonValue = [{"set_weight": 50}]


@pytest.mark.parametrize(
    ("wide", "near", "own", "given", "merged"),
    [
        ({"steps": STEPS}, {"increment": 20}, None, {}, {"increment": 20}),
        ({"initial_traffic": 1, "increment": 2}, {"steps": STEPS}, None, {}, {"steps": STEPS}),
        ({"steps": STEPS}, {}, 20, {}, {"initial_traffic": 20}),
        ({"initial_traffic": 1}, {}, 20, {"steps": STEPS}, {"steps": STEPS}),
        ({"steps": STEPS}, {}, None, {"initial_traffic": 7}, {"initial_traffic": 7}),
    ],
)
def test_steps_and_shares_replace_one_another(
    wide: dict[str, JsonValue],
    near: dict[str, JsonValue],
    own: int | None,
    given: dict[str, JsonValue],
    merged: dict[str, JsonValue],
) -> None:
    policies = [Policy(strategies={"canary": wide}), Policy(strategies={"canary": near})]

    assert choose(replace(release(), initial_traffic=own), policies, "canary", given) == ("canary", merged)


# Which slots


def test_the_candidate_gets_the_slot_that_the_stable_version_leaves_free() -> None:
    drafted = draft(release(), environment(), {"main": SERVING}, "canary", {})

    (bound,) = drafted.bindings
    assert (bound.stable_slot, bound.candidate_slot) == ("blue", "green")
    assert bound.stable == component("api", "1.0.0")
    assert drafted.targets == ("main",)


def test_with_one_slot_the_candidate_takes_the_stable_versions() -> None:
    small = environment(Target(slots=("blue",), components={"api": {}}))

    (bound,) = draft(release(), small, {"main": SERVING}, "recreate", {}).bindings

    assert (bound.stable_slot, bound.candidate_slot) == ("blue", "blue")


def test_the_way_back_restores_as_many_replicas_as_stood_before() -> None:
    drafted = draft(release(), environment(), {"main": SERVING}, "recreate", {})

    assert [step.replicas for step in drafted.plan.forward if isinstance(step, Provision)] == [4]
    assert [step.replicas for step in drafted.plan.rollback if isinstance(step, Provision)] == [6]


def test_a_component_that_runs_already_is_left_alone_and_it_says_so() -> None:
    running = ComponentStatus(slots={"blue": Occupant(component(), 4)}, stable="blue")

    drafted = draft(
        release(components=("api", "web")),
        environment(target(components=("api", "web"))),
        {"main": Place(components={"api": running})},
        "rolling",
        {},
    )

    assert [binding.component for binding in drafted.bindings] == ["web"]
    assert drafted.plan.notes[0] == "api 2.0.0 on main is unchanged"


def test_another_configuration_of_the_same_version_is_a_change() -> None:
    running = ComponentStatus(slots={"blue": Occupant(component(config={"LOG": "debug"}), 4)}, stable="blue")

    drafted = draft(release(), environment(), {"main": Place(components={"api": running})}, "rolling", {})

    assert [binding.component for binding in drafted.bindings] == ["api"]


def test_a_component_without_a_target_is_planned_as_on_the_first_one_and_a_note_says_so() -> None:
    shop = release(components=("api", "web"))

    drafted = draft(shop, environment(), {"main": Place()}, "rolling", {})

    assert [(step.component, step.target) for step in drafted.plan.forward if isinstance(step, Provision)] == [
        ("api", "main"),
        ("web", "main"),
    ]
    assert "this assumes that target main of production runs component web, which nobody has declared yet" in (
        drafted.plan.notes
    )


def test_without_any_target_the_plan_is_the_one_of_a_new_target_main() -> None:
    shop, parts = release(components=("api", "web")), ("api", "web")
    bare, declared = replace(environment(), targets={}), environment(target(components=parts, replicas=1))

    assumed = draft(shop, bare, {}, "canary", {})
    complete = draft(shop, declared, {"main": Place()}, "canary", {})

    assert assumed.plan.forward == complete.plan.forward
    assert assumed.plan.digest != complete.plan.digest  # what was approved of one is not approved of the other


@pytest.mark.parametrize("wrong", [0, -1, 101, True, "3", 2.0, None])
def test_replicas_that_are_no_small_whole_number_are_refused(wrong: JsonValue) -> None:
    odd = environment(Target(components={"api": {"replicas": wrong}}))

    with pytest.raises(Refused) as refusal:
        draft(release(), odd, {"main": Place()}, "rolling", {})
    assert str(refusal.value) == f"api on target main: replicas is {wrong!r}; write a whole number from 1 to 100"


# Orders and reports


def test_the_weights_of_an_order_are_whole() -> None:
    assert RouteSlots(weights={"blue": 0, "green": 0}).weights == {"blue": 0, "green": 0}
    with pytest.raises(ValidationError) as refusal:
        RouteSlots(weights={"blue": 95, "green": 15})
    assert "weights sum to 110; they must sum to 100, or all be 0" in explain(refusal.value)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("2026-11-23T09:30:00Z", NOW),
        ("2026-11-23T09:30:00.000000Z", NOW),
        ("2026-11-23T10:30:00+01:00", NOW),
        ("2026-11-23T09:30:00.5Z", "2026-11-23T09:30:00.500000Z"),
    ],
)
def test_the_time_of_a_report_is_kept_so_that_it_compares_as_text(text: str, kept: str) -> None:
    assert report_step(0, at=text).observedat == kept


@pytest.mark.parametrize("text", ["", "soon", "2026-11-23T09:30:00", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+14"])
def test_a_report_without_a_time_is_refused(text: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        Report(deployment="d", leg="forward", step=0, attempt=1, fence=1, result="succeeded", observedat=text)
    assert "is no time with a zone; write RFC 3339, such as 2026-11-23T09:30:00.5Z" in explain(refusal.value)


# Configuration, and what is given up

CONFIGURED = Occupant(component(), 4, Configuration(settings={"port": 8080}, variables={"GREETING": "hello"}))


def running_configured() -> dict[str, Place]:
    return {"main": Place(components={"api": ComponentStatus(slots={"blue": CONFIGURED}, stable="blue")})}


def configured_target(port: int = 8080) -> Target:
    return Target(name="main", components={"api": {"replicas": 4, "port": port}})


def test_the_same_version_with_the_same_configuration_is_left_alone() -> None:
    greeting = replace(environment(configured_target()), variables={"GREETING": "hello"})

    assert draft(release(), greeting, running_configured(), "rolling", {}).bindings == ()


def test_a_changed_variable_or_setting_is_another_plan_that_names_what_differs() -> None:
    greeting = replace(environment(configured_target(port=9090)), variables={"GREETING": "good morning"})

    drafted = draft(release(), greeting, running_configured(), "rolling", {})

    assert drafted.plan.changes is not None
    assert [str(each) for each in drafted.plan.changes[0].differs] == [
        "port: 8080 → 9090",
        "GREETING: hello → good morning",
    ]
    assert str(drafted.plan.changes[0]) == "api on main: 2.0.0 again; configuration differs: port, GREETING"
    [binding] = drafted.bindings
    assert binding.configured("stable").variables == {"GREETING": "hello"}
    assert binding.configured("candidate").variables == {"GREETING": "good morning"}
    other = replace(greeting, variables={"GREETING": "good evening"})
    assert draft(release(), other, running_configured(), "rolling", {}).plan.digest != drafted.plan.digest


@pytest.mark.parametrize("variables", [{"A=B": "1"}, {"A": "\0"}, {"A": "x" * 100_001}])
def test_variables_that_were_recorded_and_that_no_process_can_have_are_refused_when_planned(
    variables: dict[str, str],
) -> None:
    bad = replace(environment(configured_target(port=9090)), variables=variables)

    with pytest.raises(Refused, match="the variables of environment production cannot be used: "):
        draft(release(), bad, running_configured(), "rolling", {})


def test_each_role_is_ordered_with_its_own_configuration_and_traffic_with_that_of_where_it_goes() -> None:
    greeting = replace(environment(configured_target(port=9090)), variables={"GREETING": "good morning"})
    drafted = draft(release(), greeting, running_configured(), "rolling", {"max_surge": 0, "max_unavailable": 2})
    simulation = Simulation(release(), greeting, running_configured(), {})
    simulation.begin(DEPLOYMENT, "rolling", {"max_surge": 0, "max_unavailable": 2})
    simulation.finish("honest")

    ordered = [fact for fact in simulation.log if isinstance(fact, DeploymentStepStarted)]
    ports = {(fact.action.verb, getattr(fact.action, "slot", None)): fact.settings["port"] for fact in ordered}
    assert ports == {
        ("route", None): 9090,
        ("provision", "blue"): 8080,
        ("provision", "green"): 9090,
        ("await_healthy", "green"): 9090,
        ("retire", "blue"): 8080,
    }
    assert drafted.bindings[0].stable_slot == "blue"


def test_a_setting_of_none_is_no_setting() -> None:
    none = environment(Target(name="main", components={"api": {"replicas": 4, "cwd": None, "env": {"A": None}}}))

    assert resolve(none, none.targets["main"], "shop", "api") == Configuration(settings={"env": {}})


def test_a_component_that_a_complete_release_does_not_name_is_given_up_after_the_bake() -> None:
    where = environment(target(components=("api", "web")))
    status = ComponentStatus(slots={"blue": Occupant(component("web", "1.0.0"), 2)}, stable="blue")
    places = {"main": Place(components={"web": status})}

    kept = draft(release(components=("api",)), where, places, "canary", {"interval": 1})
    drafted = draft(replace(release(components=("api",)), complete=True), where, places, "canary", {"interval": 1})

    assert [binding.component for binding in kept.bindings] == ["api"]
    assert [(b.component, b.candidate and b.candidate.version) for b in drafted.bindings] == [
        ("api", "2.0.0"),
        ("web", None),
    ]
    assert [step.describe() for step in drafted.plan.forward][-4:] == [
        "bake 30 s (before the old version is stopped)",
        "ask again whether 4 of api (candidate) on main are healthy",
        "route web on main: 0 % stable",
        "stop the stable version of web on main",
    ]
    assert drafted.plan.changes is not None
    assert str(drafted.plan.changes[1]) == "web on main: 1.0.0 is given up, and is stopped"


def test_a_component_that_its_target_has_no_more_is_given_up_there() -> None:
    where = environment(target("main"), target("eu", components=()))
    status = ComponentStatus(slots={"blue": Occupant(component("api", "1.0.0"), 2)}, stable="blue")
    places = {"main": Place(components={"api": status}), "eu": Place(components={"api": status})}

    drafted = draft(release(), where, places, "recreate", {})

    assert [(b.target, b.candidate is None) for b in drafted.bindings] == [("main", False), ("eu", True)]


def ordered_settings(where: Target) -> list[tuple[object, dict[str, JsonValue]]]:
    """Every order of a rolling deployment over `CONFIGURED` by its action, and the settings that it carries."""
    greeting = replace(environment(where), variables={"GREETING": "good morning"})
    simulation = Simulation(release(), greeting, running_configured(), {})
    simulation.begin(DEPLOYMENT, "rolling", {"max_surge": 2})
    simulation.finish("honest")
    return [(fact.action, fact.settings) for fact in simulation.log if isinstance(fact, DeploymentStepStarted)]


def test_traffic_that_goes_to_the_stable_version_alone_is_ordered_with_its_configuration() -> None:
    broken = ComponentStatus(
        slots={"blue": CONFIGURED, "green": replace(CONFIGURED, content=component(version="1.5.0"))},
        stable="blue",
        intended={"blue": 50, "green": 50},
        certain=False,
    )
    greeting = environment(configured_target(port=9090))
    simulation = Simulation(release(), greeting, {"main": Place(components={"api": broken})}, {})
    simulation.begin(DEPLOYMENT, "blue-green", {})
    simulation.finish("honest")

    routes = [
        (dict(fact.action.weights), fact.settings["port"])
        for fact in simulation.log
        if isinstance(fact, DeploymentStepStarted) and isinstance(fact.action, RouteSlots)
    ]
    assert routes == [({"blue": 100, "green": 0}, 8080), ({"blue": 0, "green": 100}, 9090)]


def test_orders_name_the_slot_in_which_the_old_version_stands_though_the_target_has_it_no_more() -> None:
    renamed = Target(name="main", slots=("a", "b"), components={"api": {"replicas": 4, "port": 8080}})

    ordered = ordered_settings(renamed)

    assert {str(settings["slots"]) for _, settings in ordered} == {"['a', 'b', 'blue']"}
    assert ordered[-1][0] == RetireSlot(slot="blue", healthy={"a": 4})
