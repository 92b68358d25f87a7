"""Everything that decides is in the domain, in one shape: `decide(command, state, facts)` for every aggregate."""

import ast
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import release_management
from release_management.domain import (
    approval,
    environment_decisions,
    environment_index,
    holdings,
    incident,
    pipeline,
    place_decisions,
    policy,
    release_decisions,
)
from release_management.domain.aggregates import AGGREGATES
from release_management.domain.deployment import decide
from release_management.domain.registry import FACTS

DECISIONS: dict[str, ModuleType] = {
    "approval": approval,
    "deployment": decide,
    "environment": environment_decisions,
    "estate": environment_index,
    "holdings": holdings,
    "incident": incident,
    "pipeline": pipeline,
    "place": place_decisions,
    "policy": policy,
    "release": release_decisions,
}
PACKAGE = Path(release_management.__file__).parent
FACT_NAMES = {fact.__name__ for fact in FACTS.values()}


def facts_made_in(source: str) -> Iterator[str]:
    """The facts whose classes are called, however they are reached."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Attribute) and called.attr in ("model_validate", "model_construct"):
                called = called.value
            name = (
                called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
            )
            if name in FACT_NAMES:
                yield name


def test_facts_are_made_in_the_domain_alone() -> None:
    elsewhere = {
        f"{path.relative_to(PACKAGE)}: {name}"
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] != "domain"
        for name in facts_made_in(path.read_text())
    }

    assert elsewhere == set()


def test_a_fact_that_is_made_is_found_however_its_class_is_reached() -> None:
    source = (
        "PlaceLocked(deployment=id)\nplaces.PlaceQueued(**x)\nevents.DeploymentAborting.model_validate({})\nf(Retired)"
    )

    assert list(facts_made_in(source)) == ["PlaceLocked", "PlaceQueued", "DeploymentAborting"]


def test_every_aggregate_has_its_decisions() -> None:
    assert set(DECISIONS) == set(AGGREGATES)


@pytest.mark.parametrize("name", DECISIONS)
def test_every_aggregate_is_decided_on_in_the_same_shape(name: str) -> None:
    decide: Callable[..., Any] = DECISIONS[name].decide

    parameters = inspect.signature(decide).parameters

    assert list(parameters) == ["command", "state", "facts"]
    assert parameters["state"].annotation is type(AGGREGATES[name].initial)
