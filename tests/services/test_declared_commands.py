"""Commands declare on their class who gives them, whether they need the workers, and whether they are deadlines."""

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import release_management
import release_management.domain
from release_management.domain.agenda import DueCommand
from release_management.domain.deployment.commands import ReportStep
from release_management.domain.observation import ReportCondition
from release_management.domain.registry import Registry
from release_management.kernel.record import Recorded
from release_management.kernel.types import Command, Giver
from release_management.projections.agenda import changes
from release_management.services.use_cases import (
    COMMANDS,
    declaration,
    given_by,
)

GOLDEN = Path(__file__).parents[1] / "domain" / "golden" / "records.jsonl"


def descendants(command: type[Command]) -> Iterator[type[Command]]:
    for child in command.__subclasses__():
        yield child
        yield from descendants(child)


def due_commands() -> Iterator[DueCommand]:
    """Yield the commands that the agenda gives to the orchestrator and the timers, for one record of every kind."""
    for position, line in enumerate(GOLDEN.read_bytes().splitlines(), 1):
        document = json.loads(line)
        recorded = Recorded(position, document["subject"], document["streamversion"], document["type"], line)
        for event in Registry().read(recorded):
            yield from (item for item in changes(event).items.values() if isinstance(item, DueCommand))


def test_every_command_of_the_domain_can_be_given() -> None:
    for module in pkgutil.walk_packages(release_management.domain.__path__, "release_management.domain."):
        importlib.import_module(module.name)
    ours = {each for each in descendants(Command) if each.__module__.startswith("release_management.")}
    assert {each for each in ours if "NAME" in vars(each)} == {model for model, _ in COMMANDS.values()}


@pytest.mark.parametrize("layer", ["projections", "services", "adapters"])
def test_only_its_class_states_the_name_of_a_command(layer: str) -> None:
    names = re.compile("|".join(re.escape(f'"{name}"') for name in COMMANDS))
    files = (Path(release_management.__file__).parent / layer).rglob("*.py")
    assert [str(file) for file in files if names.search(file.read_text())] == []


def test_an_unknown_command_is_one_of_peoples_and_starts_nothing() -> None:
    command = declaration("deployment.levitate")
    assert (command.GIVEN_BY, command.NEEDS_WORKERS, command.IS_DEADLINE) == (Giver.PEOPLE, False, False)


def test_commands_of_the_agenda_are_given_by_the_orchestrator_at_once_and_by_the_timers_later() -> None:
    givers: dict[str, set[Giver]] = {}
    for item in due_commands():
        givers.setdefault(item.command, set()).add(Giver.ORCHESTRATOR if item.due is None else Giver.TIMERS)
    assert {name: {declaration(name).GIVEN_BY} for name in givers} == givers
    assert givers.keys() == set(given_by(Giver.ORCHESTRATOR, Giver.TIMERS))


def test_executors_report_steps_and_conditions() -> None:
    assert set(given_by(Giver.EXECUTORS)) == {ReportStep.NAME, ReportCondition.NAME}


def test_only_the_timers_give_deadlines_and_only_people_need_the_workers_to_be_started() -> None:
    models = [model for model, _ in COMMANDS.values()]
    assert {model.GIVEN_BY for model in models if model.IS_DEADLINE} == {Giver.TIMERS}
    assert {model.GIVEN_BY for model in models if model.NEEDS_WORKERS} == {Giver.PEOPLE}
