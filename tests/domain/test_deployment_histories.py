"""Histories that once broke a law of deployments, as a search at random found them."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import repeat

from release_management.domain.deployment.state import DeploymentPhase
from release_management.domain.environment import Target
from release_management.domain.place import Place
from release_management.domain.place_component import ComponentStatus, Occupant
from tests.domain.build import (
    DEPLOYMENT,
    OTHER,
    THIRD,
    component,
    environment,
    release,
)
from tests.domain.deployment_model import Simulation

SLOTS = ("blue", "green")


def simulation(standings: Mapping[str, ComponentStatus], target: Target | None = None) -> Simulation:
    target = target or Target(slots=SLOTS, components={name: {"replicas": 1} for name in standings})
    places = {"main": Place(components=dict(standings))}
    return Simulation(
        release=release("2.0.0", sorted(standings)),
        environment=environment(target),
        places=places,
        simulated_executors={},
    )


def stable(name: str, slot: str, version: str = "1.0.0", replicas: int = 1) -> ComponentStatus:
    return ComponentStatus(slots={slot: Occupant(component(name, version), replicas)}, stable=slot)


def fall_ill_once_it_was_healthy(known: Simulation) -> None:
    """The candidate of api in green is started and found healthy; by the time of the report it is not any more."""
    known.deliver_order(0, "done", keep=False)
    known.deliver_report(0, keep=False)
    known.deliver_order(0, "done", keep=False)
    known.simulated_executors["main", "api"].ill.add("green")


def test_a_version_interrupted_while_starting_is_stopped_by_the_next_rollback_however_early() -> None:
    known = simulation({"api": ComponentStatus(), "web": stable("web", "green")})
    known.begin(DEPLOYMENT, "rolling", {"scale_down_delay": 0})
    known.finish("honest")
    known.release = release("3.0.0", ["api", "web"])
    known.begin(OTHER, "rolling", {})
    known.break_down(repeat("errored midway"))
    known.release = release("4.0.0", ["api", "web"])
    known.begin(THIRD, "recreate", {})
    known.abort()

    known.finish("honest")

    assert known.state.phase is DeploymentPhase.ROLLED_BACK
    known.check_end()


def test_a_version_interrupted_while_stopping_is_started_before_a_rollback_relies_on_it() -> None:
    known = simulation({"web": stable("web", "green")}, Target(slots=SLOTS, routes="none", components={"web": {}}))
    known.begin(DEPLOYMENT, "recreate", {})
    known.deliver_order(0, "errored after", keep=False)
    known.deliver_report(0, keep=False)
    known.abort()
    known.break_down(repeat("errored before"))
    known.release = release("3.0.0", ["web"])
    known.begin(OTHER, "rolling", {})
    known.abort()

    known.finish("honest")

    assert known.state.phase is DeploymentPhase.ROLLED_BACK
    known.check_end()


def test_an_ill_new_version_can_be_rolled_back_while_the_old_one_was_not_touched() -> None:
    known = simulation({"api": stable("api", "blue")}, Target(slots=SLOTS, routes="none", components={"api": {}}))
    known.begin(DEPLOYMENT, "rolling", {})
    fall_ill_once_it_was_healthy(known)

    known.finish("honest")

    assert known.state.phase is DeploymentPhase.ROLLED_BACK
    known.check_end()


def test_a_person_must_look_at_an_ill_version_once_others_have_begun_to_be_stopped() -> None:
    unrouted = Target(slots=SLOTS, routes="none", components={"api": {}})
    known = Simulation(
        release=replace(release("2.0.0", ["api"]), complete=True),  # web is given up
        environment=environment(unrouted, Target(name="eu", slots=SLOTS, components={"web": {}})),
        places={
            "main": Place(components={"api": stable("api", "blue")}),
            "eu": Place(components={"web": stable("web", "blue")}),
        },
        simulated_executors={},
    )
    known.begin(DEPLOYMENT, "rolling", {})
    fall_ill_once_it_was_healthy(known)

    known.finish("honest")

    assert known.state.phase is DeploymentPhase.HALTED
    known.check_end()
