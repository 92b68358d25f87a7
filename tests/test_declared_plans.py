"""Every kind of step and every strategy is one file, and none of the files is forgotten in the lists."""

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import get_type_hints

import pytest

from release_management.cli.reference import commands
from release_management.domain.deployment.steps import StepStatus
from release_management.domain.plan import (
    ACTIONS,
    STEPS,
    OrderedStep,
    PlaceStep,
    Step,
    steps,
    strategies,
)
from release_management.domain.plan.step import StepAction
from release_management.domain.plan.strategies import STRATEGIES
from release_management.domain.plan.strategy import Strategy
from release_management.facade.summaries import MARKS
from release_management.projections.steps import PENDING, SKIPPED


def declared(package: ModuleType, kind: type) -> Iterator[tuple[str, type]]:
    """The classes of a kind that the files of a package declare, with the file's name."""
    for file in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{file.name}")
        for made in vars(module).values():
            if isinstance(made, type) and issubclass(made, kind) and made.__module__ == module.__name__:
                yield file.name, made


def test_every_step_of_a_file_is_listed_under_the_verb_that_names_the_file() -> None:
    assert set(declared(steps, Step)) == set(STEPS.items())
    assert set(declared(steps, StepAction)) == set(ACTIONS.items())


def test_every_ordered_step_becomes_an_action_of_the_same_verb() -> None:
    ordered = {verb: step for verb, step in STEPS.items() if issubclass(step, OrderedStep)}
    assert {verb: get_type_hints(step.action)["return"] for verb, step in ordered.items()} == ACTIONS


@pytest.mark.parametrize("verb", [verb for verb, step in STEPS.items() if issubclass(step, PlaceStep)])
def test_every_step_for_a_place_has_words_for_many_of_it(verb: str) -> None:
    first = {"verb": verb, "role": "candidate", "weights": {"stable": 40, "candidate": 60}}

    words = STEPS[verb].describe_alike(first, "3 components on 2 targets")

    assert "3 components on 2 targets" in words
    assert "describe_alike" in vars(STEPS[verb]), f"{verb} says no more than its verb"


def test_every_strategy_of_a_file_is_listed_under_the_name_of_the_file() -> None:
    found = {(file.replace("_", "-"), strategy) for file, strategy in declared(strategies, Strategy)}
    assert found == set(STRATEGIES.items())


def test_the_help_of_deploy_names_every_strategy() -> None:
    [deploy] = [command for name, command in commands() if name == "relman deploy"]
    [option] = [each for each in deploy.params if each.name == "strategy"]
    *others, last = sorted(STRATEGIES)
    assert option.help.startswith(f"{', '.join(others)} or {last};")


def test_every_status_of_a_step_has_a_mark() -> None:
    assert set(MARKS) == {*map(str, StepStatus), PENDING, SKIPPED}
