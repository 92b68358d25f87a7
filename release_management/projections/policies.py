"""The policies of every scope, and the pipelines."""

from collections.abc import Iterable
from typing import Any, cast

from sqlalchemy import MetaData, Select, Table, select

from release_management.domain.pipeline import PipelineConfigured
from release_management.domain.policy import (
    PolicyEvent,
    PolicyGatesConfigured,
    PolicyPipelineChosen,
    PolicyRollbackWindowConfigured,
    PolicyStrategyConfigured,
    PolicyTriggersConfigured,
    PolicyVersionsConfigured,
)
from release_management.kernel.aggregate import key_of
from release_management.kernel.record import Event
from release_management.projections.kit.columns import (
    decimal,
    document,
    key,
    plain,
    text,
)
from release_management.projections.kit.paging import Sort
from release_management.projections.kit.projection import (
    Key,
    Projection,
    Row,
    Rows,
    named,
)
from release_management.projections.kit.query import (
    AnyQuery,
    EveryParams,
    Query,
    by,
)

METADATA = MetaData()

policies = Table(
    "policies",
    METADATA,
    key("scope"),
    text("application"),
    text("environment"),
    text("default"),
    document("strategies"),
    document("triggers"),
    document("gates"),
    text("pipeline"),
    text("versions"),
    decimal("rollback_window"),
    text("configured"),
)

pipelines = Table(
    "policies_pipelines",
    METADATA,
    key("name"),
    text("application"),
    document("stages"),
    text("label"),
    text("configured"),
)


def keys(event: Event) -> Iterable[tuple[Table, Key]]:
    """Yield the scope's row, or the pipeline's."""
    if isinstance(event.fact, PipelineConfigured):
        yield pipelines, (event.fact.name,)
    else:
        yield policies, (key_of(event.stream),)


def fold(event: Event, rows: Rows) -> None:
    """Fold one event."""
    if isinstance(event.fact, PipelineConfigured):
        rows.put(
            pipelines,
            (event.fact.name,),
            application=event.fact.application,
            stages=[plain(stage) for stage in event.fact.stages],
            label=event.fact.label or event.fact.name,
            configured=event.envelope.time,
        )
        return
    scope = key_of(event.stream)
    row = rows.get(policies, (scope,)) or _fresh(scope)
    changed = _changed(cast(PolicyEvent, event.fact), row)
    rows.put(policies, (scope,), **{**row, **changed, "configured": event.envelope.time})


def _fresh(scope: str) -> dict[str, Any]:
    application, _, environment = scope.partition("/")
    return {
        "application": application,
        "environment": environment or None,
        "strategies": {},
        "triggers": [],
        "gates": {},
    }


def _changed(fact: PolicyEvent, row: Row) -> dict[str, Any]:
    match fact:
        case PolicyStrategyConfigured():
            return {"default": fact.strategy, "strategies": {**row["strategies"], fact.strategy: fact.options}}
        case PolicyTriggersConfigured():
            return {"triggers": [plain(condition) for condition in fact.conditions]}
        case PolicyGatesConfigured():
            return {"gates": {name: plain(gate) for name, gate in fact.gates.items()}}
        case PolicyVersionsConfigured(versions=versions):
            return {"versions": versions}
        case PolicyPipelineChosen():
            return {"pipeline": fact.pipeline}
        case PolicyRollbackWindowConfigured():
            return {"rollback_window": fact.seconds}


PROJECTION = Projection(
    "policies", 3, (policies, pipelines), named(PolicyEvent, PipelineConfigured), keys, fold, local=True
)


def every() -> Select[Any]:
    """Select all policies; `default` is the strategy that is used if none is named."""
    return select(policies)


def every_pipeline() -> Select[Any]:
    """Select all pipelines."""
    return select(pipelines)


QUERIES: tuple[AnyQuery, ...] = (
    Query(
        "policies",
        "Every policy.",
        EveryParams,
        (PROJECTION,),
        lambda asked: every(),
        order=by(Sort(policies.c.scope, str)),
    ),
    Query(
        "pipelines",
        "Every pipeline.",
        EveryParams,
        (PROJECTION,),
        lambda asked: every_pipeline(),
        order=by(Sort(pipelines.c.name, str)),
    ),
)
