"""The environments and their targets."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import MetaData, Select, Table, select

from release_management.domain.environment import (
    EnvironmentConfigured,
    Retired,
    RetirementBegun,
    RetirementCancelled,
    TargetConfigured,
)
from release_management.kernel.aggregate import key_of
from release_management.kernel.record import Event
from release_management.projections.kit.columns import (
    document,
    key,
    number,
    plain,
    text,
)
from release_management.projections.kit.projection import (
    Key,
    Projection,
    Rows,
    named,
)

environments = Table(
    "environments",
    MetaData(),
    key("name"),
    text("label"),
    text("tier"),
    text("tier_source"),
    number("order"),
    document("approval"),
    document("variables"),
    document("targets"),
    text("configured"),
    document("leaving"),
    text("retiring"),
    text("retired"),
)
"""`leaving` are targets that are being retired; `retiring` and `retired` are since when the environment is."""


def keys(event: Event) -> Iterable[tuple[Table, Key]]:
    """The environment's row."""
    yield environments, (key_of(event.stream),)


def fold(event: Event, rows: Rows) -> None:
    """Take in one event."""
    name = (key_of(event.stream),)
    match event.fact:
        case EnvironmentConfigured() as fact:
            known = rows.get(environments, name) or {"targets": []}
            rows.put(
                environments,
                name,
                label=fact.label,
                tier=fact.tier,
                tier_source=fact.tier_source,
                order=fact.order,
                approval=plain(fact.approval),
                variables=fact.variables,
                targets=known["targets"],
                configured=event.envelope.time,
                leaving=_leaving(rows, name),
            )
        case TargetConfigured(target=target):
            known = rows.get(environments, name) or {"targets": []}
            others = [it for it in known["targets"] if it["name"] != target.name]
            targets = sorted([*others, plain(target)], key=lambda it: str(it["name"]))
            rows.put(environments, name, targets=targets, configured=event.envelope.time)
        case RetirementBegun(target=target):
            if target is None:
                rows.put(environments, name, retiring=event.envelope.time)
            else:
                rows.put(environments, name, leaving=[*_leaving(rows, name), target])
        case RetirementCancelled(target=target):
            if target is None:
                rows.put(environments, name, retiring=None, retired=None)
            else:
                rows.put(environments, name, leaving=[it for it in _leaving(rows, name) if it != target])
        case Retired(target=target):
            if target is None:
                rows.put(environments, name, retiring=None, retired=event.envelope.time)
            else:
                known = rows.get(environments, name) or {"targets": []}
                kept = [it for it in known["targets"] if it["name"] != target]
                rows.put(environments, name, targets=kept, leaving=[it for it in _leaving(rows, name) if it != target])
        case _:
            pass


def _leaving(rows: Rows, name: Key) -> list[str]:
    return list((rows.get(environments, name) or {}).get("leaving") or [])


_CONCERNED = named(EnvironmentConfigured, TargetConfigured, RetirementBegun, RetirementCancelled, Retired)


PROJECTION = Projection("environments", 3, (environments,), _CONCERNED, keys, fold, local=True)


def every(name: str | None = None) -> Select[Any]:
    """All environments that are not retired, or the one of this name."""
    query = select(environments)
    if name is None:
        return query.where(environments.c.retired.is_(None))
    return query.where(environments.c.name == name)
