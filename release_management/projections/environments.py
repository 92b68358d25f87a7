"""The environments and their targets."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import MetaData, Select, Table, select

from release_management.domain.environment import EnvironmentConfigured, TargetConfigured
from release_management.domain.record import Event
from release_management.projections.columns import document, key, number, plain, tail, text
from release_management.projections.projection import Key, Projection, Rows, named

environments = Table(
    "environments",
    MetaData(),
    key("name"),
    text("label"),
    text("tier"),
    number("order"),
    document("approval"),
    document("variables"),
    document("targets"),
    text("configured"),
)


def keys(event: Event) -> Iterable[tuple[Table, Key]]:
    """The environment's row."""
    yield environments, (tail(event.stream),)


def fold(event: Event, rows: Rows) -> None:
    """Take in one event."""
    name = (tail(event.stream),)
    match event.fact:
        case EnvironmentConfigured() as fact:
            known = rows.get(environments, name) or {"targets": []}
            rows.put(
                environments,
                name,
                label=fact.label,
                tier=fact.tier,
                order=fact.order,
                approval=plain(fact.approval),
                variables=fact.variables,
                targets=known["targets"],
                configured=event.envelope.time,
            )
        case TargetConfigured(target=target):
            known = rows.get(environments, name) or {"targets": []}
            others = [it for it in known["targets"] if it["name"] != target.name]
            targets = sorted([*others, plain(target)], key=lambda it: str(it["name"]))
            rows.put(environments, name, targets=targets, configured=event.envelope.time)
        case _:
            pass


PROJECTION = Projection(
    "environments", 1, (environments,), named(EnvironmentConfigured, TargetConfigured), keys, fold, local=True
)


def every(name: str | None = None) -> Select[Any]:
    """All environments in their order, or the one of this name."""
    query = select(environments).order_by(environments.c.order, environments.c.name)
    return query if name is None else query.where(environments.c.name == name)
