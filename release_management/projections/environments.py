"""The environments and their targets."""

from collections.abc import Iterable
from typing import Any

from pydantic import Field
from sqlalchemy import MetaData, Select, Table, func, select

from release_management.domain.environment import (
    EnvironmentConfigured,
    Retired,
    RetirementBegun,
    RetirementCancelled,
    TargetConfigured,
)
from release_management.kernel.aggregate import key_of
from release_management.kernel.names import GivenName
from release_management.kernel.record import Event
from release_management.projections.kit.columns import (
    document,
    key,
    number,
    plain,
    text,
)
from release_management.projections.kit.paging import Continued, Sort
from release_management.projections.kit.projection import (
    Key,
    Projection,
    Rows,
    named,
)
from release_management.projections.kit.query import (
    AnyQuery,
    EveryParams,
    Query,
    by,
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
"""`leaving` are targets that are being retired; `retiring` and `retired` are the times of the environment's own."""


def keys(event: Event) -> Iterable[tuple[Table, Key]]:
    """Yield the environment's row."""
    yield environments, (key_of(event.stream),)


def fold(event: Event, rows: Rows) -> None:
    """Fold one event."""
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
            others = [target_row for target_row in known["targets"] if target_row["name"] != target.name]
            targets = sorted([*others, plain(target)], key=lambda target_row: str(target_row["name"]))
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
                rows.put(
                    environments,
                    name,
                    leaving=[target_row for target_row in _leaving(rows, name) if target_row != target],
                )
        case Retired(target=target):
            if target is None:
                rows.put(environments, name, retiring=None, retired=event.envelope.time)
            else:
                known = rows.get(environments, name) or {"targets": []}
                kept = [target_row for target_row in known["targets"] if target_row["name"] != target]
                rows.put(
                    environments,
                    name,
                    targets=kept,
                    leaving=[target_row for target_row in _leaving(rows, name) if target_row != target],
                )
        case _:
            pass


def _leaving(rows: Rows, name: Key) -> list[str]:
    return list((rows.get(environments, name) or {}).get("leaving") or [])


_CONCERNED = named(EnvironmentConfigured, TargetConfigured, RetirementBegun, RetirementCancelled, Retired)


PROJECTION = Projection("environments", 3, (environments,), _CONCERNED, keys, fold, local=True)


def every(name: str | None = None) -> Select[Any]:
    """Select all environments that are not retired, or the one of this name."""
    query = select(environments)
    if name is None:
        return query.where(environments.c.retired.is_(None))
    return query.where(environments.c.name == name)


class EnvironmentParams(Continued):
    """Selects an environment."""

    name: GivenName = Field(description="the environment")


_ENVIRONMENTS = by(Sort(func.coalesce(environments.c.order, 0), int), Sort(environments.c.name, str))


QUERIES: tuple[AnyQuery, ...] = (
    Query(
        "environments",
        "Every environment, in order.",
        EveryParams,
        (PROJECTION,),
        lambda asked: every(),
        order=_ENVIRONMENTS,
    ),
    Query(
        "environment",
        "One environment; no row where it does not exist.",
        EnvironmentParams,
        (PROJECTION,),
        lambda asked: every(asked.name),
        order=_ENVIRONMENTS,
    ),
)
