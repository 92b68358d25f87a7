"""The releases, with everything that is known of each."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, assert_never, cast

from pydantic import Field
from sqlalchemy import MetaData, Select, Table, select

from release_management.domain.release import (
    Change,
    ReleaseAttested,
    ReleaseBlocked,
    ReleaseCanaryConfigured,
    ReleaseChangesAdded,
    ReleaseCreated,
    ReleaseDeploymentPlanned,
    ReleaseEvent,
    ReleasePublished,
    ReleaseSucceeded,
    ReleaseUnblocked,
    ReleaseWithdrawn,
)
from release_management.kernel.aggregate import key_of
from release_management.kernel.names import GivenName, GivenRef
from release_management.kernel.record import Event
from release_management.projections.kit.columns import (
    document,
    key,
    number,
    plain,
    position,
    text,
)
from release_management.projections.kit.paging import Continued, Paged
from release_management.projections.kit.projection import (
    Key,
    Projection,
    Row,
    Rows,
    named,
)
from release_management.projections.kit.query import (
    AnyQuery,
    Calculation,
    Query,
    newest,
)

Ask = Callable[[Select[Any]], Sequence[Row]]
METADATA = MetaData()

releases = Table(
    "releases",
    METADATA,
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
    number("change_count"),
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

changes = Table(
    "releases_changes",
    METADATA,
    key("ref"),
    key("commit"),
    text("committed_at"),
    document("author"),
    document("message"),
    position(),
    number("number"),
)
"""One row for each change, in the order of `position` and `number`."""

_EMPTY: Row = {"attestations": {}, "planned": {}, "succeeded_in": {}}


def keys(event: Event) -> Iterable[tuple[Table, Key]]:
    """Yield the release's row, and those of its new changes."""
    ref = key_of(event.stream)
    yield releases, (ref,)
    if isinstance(event.fact, ReleaseCreated | ReleaseChangesAdded):
        for change in event.fact.changes:
            yield changes, (ref, change.commit)


def fold(event: Event, rows: Rows) -> None:
    """Fold one event."""
    ref = (key_of(event.stream),)
    row = rows.get(releases, ref)
    if row is None:
        row = _EMPTY
        rows.put(releases, ref, **_EMPTY)
    fact = cast(ReleaseEvent, event.fact)
    if isinstance(fact, ReleaseCreated | ReleaseChangesAdded):
        rows.put(releases, ref, change_count=(row.get("change_count") or 0) + _add(rows, ref[0], fact.changes, event))
    rows.put(releases, ref, **_changed(fact, row, event))


def _add(rows: Rows, ref: str, added: Sequence[Change], event: Event) -> int:
    """Write the changes that are new; return their number."""
    count = 0
    for number_, change in enumerate(added):
        if rows.get(changes, (ref, change.commit)) is None:
            stated = {"author": None, "message": None, **plain(change)}
            stated.pop("commit")
            rows.put(changes, (ref, change.commit), position=event.position, number=number_, **stated)
            count += 1
    return count


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
                "changelog": [plain(line) for line in fact.changelog],
                "pipeline": fact.pipeline,
                "stages": [plain(stage) for stage in fact.stages],
                "content": fact.content,
                "position": event.position,
            }
        case ReleaseChangesAdded():
            return {}
        case ReleasePublished():
            return {"published": time}
        case ReleaseAttested(gate=gate):
            attestation = {**plain(fact), "at": time}
            return {"attestations": {**row["attestations"], gate: attestation}}
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
            kept = {name: deployment_ for name, deployment_ in row["succeeded_in"].items() if name != environment}
            return {"succeeded_in": kept}
        case _:
            assert_never(fact)


def _labelled(component: dict[str, Any], fact: ReleaseCreated) -> dict[str, Any]:
    label = (fact.component_labels or {}).get(component["name"])
    return component | ({} if label is None else {"label": label})


PROJECTION = Projection("releases", 3, (releases, changes), named(ReleaseEvent), keys, fold, local=True)


def every(application: str | None = None) -> Select[Any]:
    """Select all releases, or an application's."""
    query = select(releases)
    return query if application is None else query.where(releases.c.application == application)


COLUMNS = (*(str(column.name) for column in releases.c), "changes")


def one(ref: str, ask: Ask) -> list[dict[str, Any]]:
    """Return the release `application@version`, with its changes."""
    found = ask(select(releases).where(releases.c.ref == ref))
    if not found:
        return []
    order = (changes.c.position, changes.c.number)
    rows = ask(select(changes).where(changes.c.ref == ref).order_by(*order))
    return [{**found[0], "changes": [_shown(row) for row in rows]}]


def _shown(row: Row) -> dict[str, Any]:
    names = ("commit", "committed_at", "author", "message")
    return {name: row[name] for name in names if row[name] is not None}


class ReleasesParams(Paged):
    """Selects releases."""

    application: GivenName | None = Field(None, description="only this application")


class ReleaseParams(Continued):
    """Selects a release: `application@version`."""

    ref: GivenRef = Field(description="`application@version`")


def _content(release: dict[str, Any]) -> Any:
    """A release never changes what it has, and gets more behind it."""
    return release["content"]


QUERIES: tuple[AnyQuery, ...] = (
    Query(
        "releases",
        "Releases, newest first.",
        ReleasesParams,
        (PROJECTION,),
        lambda asked: every(asked.application),
        order=newest(releases.c.position),
        stable=_content,
    ),
    Calculation(
        "release",
        "One release; no row where it does not exist.",
        ReleaseParams,
        (PROJECTION,),
        lambda asked, ask: one(asked.ref, ask),
        COLUMNS,
        stable=_content,
    ),
)
