"""The releases, with everything that is known of each."""

from collections.abc import Iterable
from typing import Any, assert_never, cast

from sqlalchemy import MetaData, Select, Table, select

from release_management.domain.record import Event
from release_management.domain.release import (
    ReleaseAttested,
    ReleaseBlocked,
    ReleaseCanaryConfigured,
    ReleaseCreated,
    ReleaseDeploymentPlanned,
    ReleaseEvent,
    ReleasePublished,
    ReleaseSucceeded,
    ReleaseUnblocked,
    ReleaseWithdrawn,
)
from release_management.projections.columns import document, key, number, plain, position, tail, text
from release_management.projections.projection import Key, Projection, Row, Rows, named

releases = Table(
    "releases",
    MetaData(),
    key("ref"),
    text("application", index=True),
    text("label"),
    text("version"),
    text("author"),
    text("created"),
    text("published"),
    text("blocked"),
    document("block_reason"),
    document("components"),
    document("changes"),
    document("changelog"),
    text("pipeline"),
    document("stages"),
    number("initial_traffic"),
    document("attestations"),
    document("planned"),
    document("succeeded_in"),
    text("content"),
    position(index=True),
)

_EMPTY: Row = {"attestations": {}, "planned": {}, "succeeded_in": {}}


def keys(event: Event) -> Iterable[tuple[Table, Key]]:
    """The release's row."""
    yield releases, (tail(event.stream),)


def fold(event: Event, rows: Rows) -> None:
    """Take in one event."""
    ref = (tail(event.stream),)
    row = rows.get(releases, ref)
    if row is None:
        row = _EMPTY
        rows.put(releases, ref, **_EMPTY)
    rows.put(releases, ref, **_changed(cast(ReleaseEvent, event.fact), row, event))


def _changed(fact: ReleaseEvent, row: Row, event: Event) -> dict[str, Any]:
    time = event.envelope.time
    match fact:
        case ReleaseCreated():
            return {
                "application": fact.application,
                "label": fact.label or fact.application,
                "version": fact.version,
                "author": fact.author,
                "created": time,
                "components": [_labelled(plain(component), fact) for component in fact.components],
                "changes": [plain(change) for change in fact.changes],
                "changelog": [plain(line) for line in fact.changelog],
                "pipeline": fact.pipeline,
                "stages": [plain(stage) for stage in fact.stages],
                "content": fact.content,
                "position": event.position,
            }
        case ReleasePublished():
            return {"published": time}
        case ReleaseAttested(gate=gate):
            said = {**plain(fact), "at": time}
            return {"attestations": {**row["attestations"], gate: said}}
        case ReleaseBlocked(reason=reason):
            return {"blocked": time, "block_reason": plain(reason)}
        case ReleaseUnblocked():
            return {"blocked": None, "block_reason": None}
        case ReleaseCanaryConfigured(initial_traffic=share):
            return {"initial_traffic": share}
        case ReleaseDeploymentPlanned(environment=environment, deployment=deployment):
            return {"planned": {**row["planned"], environment: deployment}}
        case ReleaseSucceeded(environment=environment, deployment=deployment):
            return {"succeeded_in": {**row["succeeded_in"], environment: deployment}}
        case ReleaseWithdrawn(environment=environment):
            kept = {name: it for name, it in row["succeeded_in"].items() if name != environment}
            return {"succeeded_in": kept}
        case _:
            assert_never(fact)


def _labelled(component: dict[str, Any], fact: ReleaseCreated) -> dict[str, Any]:
    label = (fact.component_labels or {}).get(component["name"])
    return component | ({} if label is None else {"label": label})


PROJECTION = Projection("releases", 2, (releases,), named(ReleaseEvent), keys, fold, local=True)


def newest(application: str | None = None, limit: int = 100) -> Select[Any]:
    """Releases, newest first."""
    query = select(releases).order_by(releases.c.position.desc()).limit(limit)
    return query if application is None else query.where(releases.c.application == application)


def one(ref: str) -> Select[Any]:
    """The release `application@version`."""
    return select(releases).where(releases.c.ref == ref)
