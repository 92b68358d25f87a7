"""The metrics of any history are those that one gets by reading its events one after the other."""

from datetime import datetime, timedelta
from statistics import quantiles
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from semver import Version

from release_management.adapters.read_model import Projector, ReadStore
from release_management.domain.deployment import events
from release_management.domain.incident import (
    IncidentAttributed,
    IncidentOpened,
    IncidentResolved,
)
from release_management.domain.release import ReleaseCreated
from release_management.projections.dora.formulas import ITEMS
from release_management.projections.dora.query import NEEDED
from tests.profiles import times
from tests.projections.dora_script import (
    ENDS,
    Timeline,
    day,
)
from tests.projections.event_script import REGISTRY

WINDOWS = st.tuples(st.integers(0, 9), st.integers(1, 12)).map(lambda it: (it[0], sum(it)))
VERSIONS = ("1.0.0", "1.0.1", "1.1.0-rc.2", "1.1.0-rc.10", "1.1.0", "2.0.0")
COMPONENTS: tuple[dict[str, str] | tuple[str, ...], ...] = (
    ("web",),
    ("web",),
    ("api", "web"),
    ("api",),
    {"api": "1.1.0", "web": "1.0.0"},
)
TURNS = st.lists(
    st.tuples(
        st.sampled_from(["release", "release", "deploy", "deploy", "deploy", "back", "back", "incident", "incident"]),
        st.sampled_from([0.0, 0.25, 1.0, 3.0]),
        st.sampled_from(sorted(ENDS)),
        st.booleans(),
        st.integers(0, 9),
        st.integers(0, 9),
    ),
    min_size=6,
    max_size=24,
)


def history(turns: list[tuple[str, float, str, bool, int, int]]) -> Timeline:
    timeline = Timeline()
    now, known, releases = 0.0, [""], ["1.0.0"]
    for application in ("shop", "till"):
        timeline.release("1.0.0", {"aaaa0": -1.0}, application=application)
    for number, (what, later, outcome, flag, one, other) in enumerate(turns):
        now += later
        chosen = known[one % len(known)] or None
        if what == "release":
            version = VERSIONS[one % len(VERSIONS)]
            if version not in releases:
                commits = {f"aaaa{commit}": now - 2 for commit in {one, other} if commit > 2}
                timeline.release(
                    version, commits, at=now, components=COMPONENTS[other % len(COMPONENTS)], complete=flag
                )
                timeline.release(version, at=now, application="till")
                releases.append(version)
        elif what == "incident":
            remedy = known[other % len(known)] or None
            blames: dict[str, Any] = {"cause": chosen} if flag else {}
            timeline.incident(
                f"i-{number}",
                now - one + 2,
                resolved=now + 2 + other if other < 6 else None,
                remedy=remedy,
                attributed=[None] if other == 5 else [],
                application="till" if one == 9 else "shop",
                **blames,
            )
        else:
            began, now = now, now + (other % 3) / 2
            result = None if what == "back" and other > 7 else outcome if one > 4 else "Succeeded"
            returned = result in ("RolledBack", "RollbackFailed") and flag
            known.append(
                timeline.deploy(
                    f"d-{number}",
                    now,
                    releases[other % len(releases)],
                    result,
                    began=began,
                    back=now - 0.125 if returned and now > began else None,
                    failing=began if returned and now > began else None,
                    reached=flag or other > 2,
                    cause="superseded" if one == 5 else "failed",
                    reverts=chosen if what == "back" else None,
                    application="till" if one == 8 else "shop",
                )
            )
    return timeline


def by_hand(timeline: Timeline, since: int, until: int) -> dict[str, Any]:
    """The same numbers, from the events alone: slowly, one question after the other."""
    runs: dict[str, dict[str, Any]] = {}
    troubles: dict[str, dict[str, Any]] = {}
    releases: dict[str, dict[str, Any]] = {}
    for recorded in timeline.log.records:
        [event] = REGISTRY.read(recorded)
        fact, time = event.fact, event.envelope.time
        run = runs.setdefault(event.stream.partition(":")[2], {})
        trouble = troubles.setdefault(event.stream.partition(":")[2], {})
        match fact:
            case ReleaseCreated():
                parts = {part.name: Version.parse(part.version) for part in fact.components}
                commits = {it.commit: it.committed_at for it in fact.changes}
                name = f"{fact.application}@{fact.version}"
                made = {"made": event.position, "parts": parts, "complete": fact.complete is True}
                releases[name] = made | {"commits": commits, "of": fact.application}
            case events.DeploymentPlanned():
                run |= {"of": fact.application, "release": fact.release, "reverts": fact.reverts}
                run["planned"] = event.position
            case events.DeploymentStarted():
                run["began"] = True
            case events.DeploymentStepSucceeded(leg="forward", step=2):
                run |= {"met": time, "met_order": event.position}
            case events.DeploymentStepSucceeded(leg="rollback"):
                run["gone"] = time
            case events.DeploymentAborting(cause=cause):
                run |= {"cause": cause, "failing": time}
            case _ if event.stream.startswith("deployment:") and fact in ENDS.values():
                run |= {"end": fact.NAME.partition(".")[2], "time": time, "order": event.position}
                if fact.NAME == "deployment.rolled_back":
                    run.setdefault("gone", time)
            case IncidentOpened():
                trouble |= {"of": fact.application, "at": fact.detected_at, "cause": fact.cause}
                trouble |= {"explicit": fact.attribution == "explicit", "over": None, "remedy": None}
            case IncidentAttributed(cause=cause):
                trouble |= {"cause": cause, "explicit": True}
            case IncidentResolved():
                trouble |= {"over": fact.resolved_at, "remedy": fact.remedy}
            case _:
                pass
    met = [it for it in troubles.values() if it]
    for trouble in met:
        if not trouble["explicit"]:
            trouble["cause"] = _had_the_traffic(runs, trouble)
    return _five({id: run for id, run in runs.items() if "planned" in run}, met, releases, since, until)


def _had_the_traffic(runs: dict[str, dict[str, Any]], trouble: dict[str, Any]) -> str | None:
    """The last deployment that users met before, and had not left by then."""
    met = [
        (run["met"], run["met_order"], id)
        for id, run in runs.items()
        if "met" in run
        and run["of"] == trouble["of"]
        and run["met"] <= trouble["at"]
        and ("gone" not in run or run["gone"] > trouble["at"])
    ]
    id = max(met, default=("", 0, None))[2]
    stale = id is not None and "time" in runs[id] and _days(runs[id]["time"], trouble["at"]) > 7
    return None if stale else id


def _contained(release: dict[str, Any], brought: list[dict[str, Any]]) -> bool:
    """Return True if each of its components was brought by a release that is no older and has no lower version of it.

    Or if such a release has given it up.
    """
    return all(
        any(
            it["made"] >= release["made"] and (it["parts"][name] >= version if name in it["parts"] else it["complete"])
            for it in brought
        )
        for name, version in release["parts"].items()
    )


def _arriving(
    id: str, runs: dict[str, dict[str, Any]], releases: dict[str, dict[str, Any]]
) -> list[tuple[str, str]] | None:
    """The commits, with their times, that came with a deployment and not before; None where it was the first."""
    run = runs[id]
    successes = [it for it in runs.values() if it.get("end") == "succeeded" and it["of"] == run["of"]]
    before = [releases[it["release"]] for it in successes if it["order"] < run["order"]]
    if not before:
        return None
    after = [*before, releases[run["release"]]]
    mine = [it for it in releases.values() if it["of"] == run["of"]]
    own = releases[run["release"]]["commits"]
    there = {commit for it in mine if _contained(it, before) for commit in it["commits"]}
    came = {commit: time for it in mine if _contained(it, after) for commit, time in it["commits"].items()} | own
    return [(commit, time) for commit, time in came.items() if commit not in there]


def _five(
    runs: dict[str, dict[str, Any]],
    troubles: list[dict[str, Any]],
    releases: dict[str, dict[str, Any]],
    since: int,
    until: int,
) -> dict[str, Any]:
    ended = {id: run for id, run in runs.items() if "end" in run}
    wanted = {id: run for id, run in ended.items() if day(since) <= run["time"] < day(until)}
    reverted = {run["reverts"] for run in runs.values() if run.get("began")}
    returned: dict[str, list[str]] = {}
    for id, run in ended.items():
        if run["reverts"] is not None and run["end"] == "succeeded":
            brought = [
                (it["order"], other)
                for other, it in ended.items()
                if it["end"] == "succeeded" and it["reverts"] is None and it["release"] == run["release"]
                if it["order"] < run["planned"]
            ]
            returned.setdefault(max(brought, default=(0, ""))[1], []).append(id)
    leads: list[float] = []
    recovered, still = [], 0
    failed, everything, reworked = 0, 0, 0
    for id, run in wanted.items():
        mine = [it for it in troubles if it["cause"] == id]
        if run["end"] == "succeeded" and run["reverts"] is None:
            arrived = _arriving(id, ended, releases) or []
            leads += [_days(made, run["time"]) for _, made in arrived if made <= run["time"]]
        if "met" not in run:
            continue
        everything += 1
        because = [it for it in troubles if it["remedy"] == id or (it["cause"] == run["reverts"] is not None)]
        reworked += any(it["at"] < run["time"] for it in because)
        went = run["end"] != "succeeded" and not (run["end"] == "rolled_back" and run["cause"] == "superseded")
        bad = went or bool(mine) or id in reverted
        if run["reverts"] is None:
            again = [back for back in returned.get(id, []) if back in reverted or _blames(troubles, back)]
            failed += bad or bool(again)
        elif run["end"] != "succeeded":
            continue
        if not bad:
            continue
        start = min([run.get("failing", run["time"]), *(it["at"] for it in mine)])
        over: str | None
        if mine:
            over = None if any(it["over"] is None for it in mine) else max(it["over"] for it in mine)
        elif run["end"] == "rolled_back":
            over = run["time"]
        else:
            later = [it for it in ended.values() if it["end"] == "succeeded" and it["order"] > run["order"]]
            backs = [it["time"] for it in ended.values() if it["reverts"] == id and it["end"] == "succeeded"]
            over = min(backs or [it["time"] for it in later if it["of"] == run["of"]], default=None)
        if over is None:
            still += 1
        else:
            recovered.append(_days(start, over))
    planned = [run for run in wanted.values() if run.get("met") and run["reverts"] is None]
    tried = [run for run in wanted.values() if run["end"] == "succeeded" or run.get("cause") != "superseded"]
    return {
        "change_lead_time": (_median(leads), len(leads)),
        "deployment_frequency": (len(planned) / (until - since), len(planned)),
        "failed_deployment_recovery_time": (_median(recovered), len(recovered), still),
        "change_fail_rate": (failed / len(planned) if planned else None, failed, len(planned)),
        "deployment_rework_rate": (reworked / everything if everything else None, reworked, everything),
        "deployment_success_rate": (sum(run["end"] == "succeeded" for run in tried), len(tried)),
    }


def _blames(troubles: list[dict[str, Any]], id: str) -> bool:
    return any(it["cause"] == id for it in troubles)


def _days(since: str, to: str) -> float:
    return (datetime.fromisoformat(to) - datetime.fromisoformat(since)) / timedelta(days=1)


def _median(values: list[float]) -> float | None:
    if len(values) < 2:
        return values[0] if values else None
    return quantiles(values, n=2, method="inclusive")[0]


def _shown(rows: list[dict[str, Any]]) -> dict[str, Any]:
    row = {each["metric"]: each for each in rows}

    def in_days(metric: str) -> float | None:
        value = row[metric]["value"]
        return None if value is None else value / 86_400

    def three(metric: str) -> tuple[Any, ...]:
        return tuple(row[metric][name] for name in ("value", "numerator", "denominator"))

    recovery = row["failed_deployment_recovery_time"]
    return {
        "change_lead_time": (in_days("change_lead_time"), row["change_lead_time"]["numerator"]),
        "deployment_frequency": three("deployment_frequency")[:2],
        "failed_deployment_recovery_time": (
            in_days("failed_deployment_recovery_time"),
            recovery["numerator"],
            recovery["censored"],
        ),
        "change_fail_rate": three("change_fail_rate"),
        "deployment_rework_rate": three("deployment_rework_rate"),
        "deployment_success_rate": three("deployment_success_rate")[1:],
    }


@settings(max_examples=times(20))
@given(turns=TURNS, between=WINDOWS, metric=st.sampled_from(sorted(ITEMS)), page=st.sampled_from([3, 500]))
def test_the_metrics_equal_those_computed_from_the_events(
    tmp_path_factory: Any,
    turns: list[tuple[str, float, str, bool, int, int]],
    between: tuple[int, int],
    metric: str,
    page: int,
) -> None:
    timeline = history(turns)
    where = tmp_path_factory.mktemp("law") / "read.db"
    projector = Projector(timeline.log, REGISTRY, where, NEEDED, page)
    store = ReadStore(where)
    try:
        projector.catch_up()
        window = {"since": day(between[0]), "until": day(between[1])}
        rows = store.ask("metrics_dora", window)
        items = store.ask("metrics_dora_drill", {**window, "metric": metric, "limit": 200})
    finally:
        projector.close()
        store.close()

    assert _shown(rows) == _rounded(by_hand(timeline, *between))
    (row,) = (row for row in rows if row["metric"] == metric)
    counts = [item["counted"] for item in items]
    assert counts.count("numerator") == row["numerator"]
    assert counts.count("excluded") == sum(row["excluded"].values())


def _rounded(numbers: dict[str, Any]) -> dict[str, Any]:
    return {name: pytest.approx(value) for name, value in numbers.items()}
