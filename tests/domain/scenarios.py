"""Hypothesis strategies: arbitrary options, places and targets."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from pydantic import JsonValue

from release_management.domain.environment import Target
from release_management.domain.place import Place
from release_management.domain.place_component import ComponentStatus, Occupant
from release_management.domain.plan.strategies import STRATEGIES, StrategyName
from tests.domain.build import (
    component,
    environment,
    release,
)
from tests.domain.deployment_model import Simulation

COMPONENTS = ("api", "web")
SLOTS = ("blue", "green", "red")

replicas = st.integers(1, 5)
short = st.sampled_from([0, 10, "1m"])
common: dict[str, st.SearchStrategy[Any]] = {
    "replicas": replicas,
    "min_ready": short,
    "scale_down_delay": short,
    "abort_scale_down_delay": short,
}
portion = st.integers(0, 5) | st.sampled_from(["0%", "1%", "25%", "50%", "100%"])
weight = st.integers(0, 100)
scale = st.one_of(
    st.fixed_dictionaries({"replicas": st.integers(1, 8)}),
    st.fixed_dictionaries({"weight": weight}),
    st.just({"match_traffic_weight": True}),
)
pause = st.sampled_from([{}, {"duration": 30}, {"duration": "1m"}, {"duration": 0}])
canary_step = st.one_of(
    st.fixed_dictionaries({"set_weight": weight}),
    st.fixed_dictionaries({"pause": pause}),
    st.fixed_dictionaries({"set_scale": scale}),
)


def _has_weight(steps: list[dict[str, Any]]) -> bool:
    return any("set_weight" in step for step in steps)


common_options = st.fixed_dictionaries({}, optional=common)
rolling_options = st.fixed_dictionaries(
    {}, optional=common | {"max_surge": portion, "max_unavailable": portion, "interval": short}
).filter(lambda o: str(o.get("max_surge", 1)).rstrip("%") != "0" or str(o.get("max_unavailable", 1)).rstrip("%") != "0")
blue_green_options = st.fixed_dictionaries(
    {},
    optional=common | {"auto_promotion": st.booleans(), "auto_promotion_seconds": short, "preview_replicas": replicas},
)
canary_options = st.one_of(
    st.fixed_dictionaries(
        {},
        optional=common | {"initial_traffic": st.integers(1, 100), "increment": st.integers(20, 99), "interval": short},
    ),
    st.fixed_dictionaries(
        {"steps": st.lists(canary_step, min_size=1, max_size=6).filter(_has_weight)},
        optional=common,
    ),
)
own_options: dict[StrategyName, st.SearchStrategy[dict[str, Any]]] = {
    "rolling": rolling_options,
    "blue-green": blue_green_options,
    "canary": canary_options,
}
"""A strategy that is not named here is tried with the options that all have."""
strategies: st.SearchStrategy[tuple[StrategyName, dict[str, JsonValue]]] = st.one_of(
    *(st.tuples(st.just(name), own_options.get(name, common_options)) for name in STRATEGIES)
)


@st.composite
def targets(draw: st.DrawFn, name: str) -> Target:
    able = draw(st.lists(st.sampled_from(COMPONENTS), min_size=1, max_size=2, unique=True))
    return Target(
        name=name,
        slots=SLOTS[: draw(st.sampled_from([2, 2, 2, 3, 1]))],
        routes=draw(st.sampled_from([*["any"] * 6, "none", (5, 25, 50)])),
        reversible=draw(st.sampled_from([*[True] * 8, False])),
        components={one: {"replicas": draw(replicas)} for one in able},
    )


@st.composite
def standings(draw: st.DrawFn, target: Target, name: str) -> ComponentStatus:
    """Nothing yet, an earlier version, or already the one that comes."""
    version = draw(st.sampled_from(["1.0.0", "1.0.0", "1.0.0", None, "2.0.0"]))
    if version is None:
        return ComponentStatus()
    slot = draw(st.sampled_from(target.slots))
    return ComponentStatus(slots={slot: Occupant(component(name, version), draw(replicas))}, stable=slot)


@st.composite
def worlds(draw: st.DrawFn) -> Simulation:
    """One or two targets, one or two components, and what stands there before.

    The release names all components, or it is complete and names some of them: the others are given up.
    """
    where = [draw(targets(name)) for name in ("main", "eu")[: draw(st.sampled_from([1, 1, 2]))]]
    names = sorted({name for target in where for name in target.components})
    places: Mapping[str, Place] = {
        target.name: Place(components={name: draw(standings(target, name)) for name in target.components})
        for target in where
    }
    named = draw(st.sampled_from([names, names, names, names[:1], names[-1:]]))
    return Simulation(
        release=replace(release("2.0.0", named), complete=named != names),
        environment=environment(*where),
        places=dict(places),
        simulated_executors={},
        states=draw(st.booleans()),
    )
