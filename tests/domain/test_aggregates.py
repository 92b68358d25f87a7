"""Aggregates declare themselves completely, and no other module repeats a declaration."""

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import ClassVar, get_type_hints

import pytest

import release_management
import release_management.domain
from release_management.domain.aggregates import (
    AGGREGATES,
    AnyAggregate,
    fold,
)
from release_management.domain.approval import APPROVAL
from release_management.domain.deployment.state import DEPLOYMENT
from release_management.domain.environment import ENVIRONMENT
from release_management.domain.environment_index import ESTATE, EnvironmentListed
from release_management.domain.holdings import HOLDINGS
from release_management.domain.incident import INCIDENT
from release_management.domain.pipeline import PIPELINE
from release_management.domain.place import PLACE
from release_management.domain.policy import POLICY
from release_management.domain.registry import FACTS, CommandRefused
from release_management.domain.release import RELEASE
from release_management.kernel.aggregate import (
    Aggregate,
    aggregate_of,
    itself,
    key_of,
)
from release_management.kernel.gathering import gathered
from release_management.kernel.types import Fact

GOLDEN = Path(__file__).parent / "golden" / "records.jsonl"


def modules() -> Iterator[ModuleType]:
    for module in pkgutil.walk_packages(release_management.domain.__path__, "release_management.domain."):
        yield importlib.import_module(module.name)


@dataclass(frozen=True)
class Flag:
    on: bool = False


class FlagRaised(Fact):
    NAME: ClassVar[str] = "flag.raised"


def evolve(state: Flag, event: FlagRaised) -> Flag:
    return Flag(on=True)


FLAG = Aggregate("flag", Flag(), FlagRaised, evolve, itself)


def test_every_aggregate_of_the_domain_is_gathered() -> None:
    declared = {each.name for module in modules() for each in vars(module).values() if isinstance(each, Aggregate)}
    assert declared == AGGREGATES.keys()


def test_every_fact_of_the_domain_can_be_read() -> None:
    facts = {
        each
        for module in modules()
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Fact) and each is not Fact
    }
    assert facts == set(FACTS.values())


def test_two_of_one_name_are_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match=r"two declarations are named flag: 1 and 2"):
        gathered([("flag", 1), ("pole", 1), ("flag", 2)])


@pytest.mark.parametrize("aggregate", AGGREGATES.values(), ids=AGGREGATES)
def test_an_aggregate_folds_its_own_facts_to_its_own_state(aggregate: AnyAggregate) -> None:
    hints = get_type_hints(aggregate.evolve)
    assert hints == {"event": aggregate.events, "state": type(aggregate.initial), "return": type(aggregate.initial)}


def test_no_fact_belongs_to_two_aggregates() -> None:
    facts = [fact for each in AGGREGATES.values() for fact in each.facts]
    assert len(facts) == len(set(facts))
    assert set(FACTS.values()) == {*facts, CommandRefused}


def test_the_streams_have_the_names_that_are_on_disk() -> None:
    streams = [
        ENVIRONMENT.stream("production"),
        ESTATE.stream(),
        HOLDINGS.stream(),
        PIPELINE.stream("main"),
        POLICY.stream("shop"),
        POLICY.stream("shop", "production"),
        RELEASE.stream("shop@1.0.0"),
        PLACE.stream("production", "shop", "eu"),
        *(each.stream("0193a5c2") for each in (APPROVAL, INCIDENT, DEPLOYMENT)),
    ]
    assert streams == [
        "environment:production",
        "estate:main",
        "holdings:main",
        "pipeline:main",
        "policy:shop",
        "policy:shop/production",
        "release:shop@1.0.0",
        "place:production/shop/eu",
        "approval:0193a5c2",
        "incident:0193a5c2",
        "deployment:0193a5c2",
    ]
    assert [aggregate_of(stream) for stream in streams] == [stream.split(":")[0] for stream in streams]
    assert [key_of(stream) for stream in streams] == [stream.split(":")[1] for stream in streams]


def test_recorded_facts_stand_in_streams_of_their_aggregates() -> None:
    subjects = {(record["type"], record["subject"]) for record in map(json.loads, GOLDEN.read_text().splitlines())}
    wrong = [
        (type, subject)
        for type, subject in subjects
        if FACTS[type] is not CommandRefused and FACTS[type] not in AGGREGATES[aggregate_of(subject)].facts
    ]
    assert wrong == []


def test_only_a_declaration_writes_the_name_of_a_stream() -> None:
    written = re.compile(rf'"({"|".join(AGGREGATES)}):[{{"a-z]')
    root = Path(release_management.__file__).parent
    assert [str(file) for file in root.rglob("*.py") if written.search(file.read_text())] == []


def test_an_aggregate_is_absent_until_its_first_fact() -> None:
    stream = ESTATE.stream()
    assert ESTATE.is_absent(fold(stream, []))
    assert not ESTATE.is_absent(fold(stream, [EnvironmentListed(environment="staging", order=1)]))


def test_the_refusal_of_an_unknown_name_says_where_to_look() -> None:
    assert DEPLOYMENT.does_not_exist("7") == ("deployment 7 does not exist; relman deployment list shows those that do")
    assert FLAG.does_not_exist("7") == "flag 7 does not exist"
