"""Every public field says on itself what it means; the reference pages and AsyncAPI take it from there."""

import typing
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

import pytest
from pydantic import BaseModel, Field

from docs.reference.fields import SHAPES, fields_table
from docs.reference.pages.relman_yaml import is_part
from release_management.adapters.executors.command.answer import ProgramAnswer
from release_management.adapters.executors.command.observing import Observed
from release_management.adapters.executors.command.settings import CommandSettings
from release_management.adapters.executors.local.settings import ComponentSettings
from release_management.adapters.nats import asyncapi
from release_management.adapters.nats.dead_letters.pages import LettersQuestion
from release_management.adapters.nats.queues.commands import (
    ContentQuestion,
    OutcomeQuestion,
    ReplayQuestion,
)
from release_management.adapters.nats.requests.queries import Question
from release_management.domain.orders import Order, Report
from release_management.domain.plan.strategies import STRATEGIES
from release_management.domain.registry import FACTS
from release_management.kernel.record import Envelope
from release_management.kernel.types import Value
from release_management.services.envelope import Outcome
from release_management.services.manifest import models as manifest
from release_management.services.observations.looks import Looks
from release_management.services.queries import QUERIES
from release_management.services.use_cases import COMMANDS
from tests.docs.markdown import ROOT

ROOTS: tuple[type[BaseModel], ...] = (
    *(model for model, _ in COMMANDS.values()),
    *FACTS.values(),
    *(query.params for query in QUERIES.values()),
    *STRATEGIES.values(),
    *SHAPES,
    *(Envelope, Outcome, Order, Report, Looks),
    *(Question, OutcomeQuestion, ContentQuestion, LettersQuestion, ReplayQuestion),
    *(ComponentSettings, CommandSettings, ProgramAnswer, Observed),
    *(manifest.Manifest, *filter(is_part, vars(manifest).values())),
)


def models_in(hint: Any) -> Iterator[type[BaseModel]]:
    """The models that a type speaks of."""
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        yield hint
    for part in typing.get_args(hint):
        yield from models_in(part)


@cache
def public() -> frozenset[type[BaseModel]]:
    """Every model that people meet: on the bus, in files, in records; and those inside them."""
    found: set[type[BaseModel]] = set()
    waiting = list(ROOTS)
    while waiting:
        model = waiting.pop()
        if model not in found:
            found.add(model)
            waiting += [each for field in model.model_fields.values() for each in models_in(field.annotation)]
    return frozenset(found)


def without_meaning(models: Iterable[type[BaseModel]]) -> list[str]:
    return sorted(
        f"{model.__module__}.{model.__name__}.{name}"
        for model in models
        for name, field in model.model_fields.items()
        if not field.description
    )


def test_every_public_field_says_what_it_means() -> None:
    assert without_meaning(public()) == []


def test_a_forgotten_meaning_is_named() -> None:
    class Forgetful(Value):
        text: str = Field(description="what it is")
        forgotten: str

    assert without_meaning([Forgetful]) == [f"{__name__}.Forgetful.forgotten"]
    with pytest.raises(LookupError, match=r"Forgetful\.forgotten has no meaning: write Field\(description=…\)"):
        fields_table(Forgetful)


@pytest.mark.parametrize(
    ("prefix", "models"),
    [
        ("Data", {name: model for name, (model, _) in COMMANDS.items()}),
        ("Fact", FACTS),
        ("Params", {name: query.params for name, query in QUERIES.items()}),
    ],
    ids=["commands", "events", "queries"],
)
def test_a_payload_of_asyncapi_says_the_meanings_of_its_fields(prefix: str, models: dict[str, type[BaseModel]]) -> None:
    schemas = asyncapi.document("1.2.3")["components"]["schemas"]
    for name, model in models.items():
        schema = schemas[f"{prefix}.{name}"]
        while "$ref" in schema:
            schema = schemas[schema["$ref"].rpartition("/")[2]]
        for field, text in model.model_fields.items():
            shown = schema["properties"][text.alias or field]["description"]
            assert shown.startswith(str(text.description)), f"{name}.{field}"


def references_with_company(part: Any) -> Iterator[Any]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str) and len(part) > 1:
            yield part
        for each in part.values():
            yield from references_with_company(each)
    elif isinstance(part, list):
        for each in part:
            yield from references_with_company(each)


def test_nothing_stands_beside_a_reference_where_draft_07_does_not_read_it() -> None:
    assert list(references_with_company(asyncapi.document("1.2.3"))) == []


def test_a_query_says_in_asyncapi_and_on_its_page_what_it_is_for() -> None:
    schemas = asyncapi.document("1.2.3")["components"]["schemas"]
    page = (ROOT / "docs" / "reference" / "queries.md").read_text()
    text = " ".join(page.replace("[DORA five](../discussions/dora.md)", "DORA five").split())
    for name, query in QUERIES.items():
        assert schemas[f"query.{name}"]["description"] == query.meaning
        assert f"## {name} {query.meaning}" in text
