"""The metrics of any history are those that one gets by reading its events one after the other."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from statistics import quantiles
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from release_management.adapters.read_model import Projector, ReadStore
from release_management.domain.deployment import events
from release_management.domain.incident import IncidentAttributed, IncidentOpened, IncidentResolved
from release_management.domain.release import ReleaseCreated
from release_management.projections import delivery, environments, incidents
from release_management.projections.dora import ITEMS
from tests.profiles import times
from tests.projections.story import REGISTRY
from tests.projections.timeline import ENDS, Timeline, day

NEEDED = (delivery.PROJECTION, incidents.PROJECTION, environments.PROJECTION)
WINDOWS = st.tuples(st.integers(0, 9), st.integers(1, 12)).map(lambda it: (it[0], sum(it)))
TURNS = st.lists(
    st.tuples(
        st.sampled_from(["deploy", "deploy", "deploy", "back", "incident", "incident"]),
        st.sampled_from([0.0, 0.25, 1.0, 3.0]),
        st.sampled_from(sorted(ENDS)),
        st.booleans(),
        st.integers(0, 9),
        st.integers(0, 9),
    ),
    min_size=6,
    max_size=18,
)


def history(turns: list[tuple[str, float, str, bool, int, int]]) -> Timeline:
    timeline = Timeline()
    for version in range(4):
        commits = {f"aaaa{commit}": float(2 * version - 1) for commit in range(version, version + 2)}
        timeline.release(f"{version}.0.0", commits if version != 2 else {})
        timeline.release(f"{version}.0.0", application="till")
    now, known = 0.0, [""]
    for number, (what, later, outcome, flag, one, other) in enumerate(turns):
        now += later
        chosen = known[one % len(known)] or None
        if what == "incident":
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
            continue
        reverts = chosen if what == "back" else None
        id = timeline.deploy(
            f"d-{number}",
            now,
            f"{other % 4}.0.0",
            None if what == "back" and other > 5 else outcome if one > 3 else "Succeeded",
            reached=flag or other > 2,
            cause="superseded" if one == 5 else "failed",
            reverts=reverts,
            application="till" if one == 8 else "shop",
        )
        known.append(id)
    return timeline


def by_hand(timeline: Timeline, since: int, until: int) -> dict[str, Any]:
    """The same numbers, from the events alone."""
    runs: dict[str, dict[str, Any]] = {}
    troubles: dict[str, dict[str, Any]] = {}
    commits: dict[str, dict[str, str]] = {}
    for recorded in timeline.log.records:
        [event] = REGISTRY.read(recorded)
        fact, time = event.fact, event.envelope.time
        run = runs.setdefault(event.stream.partition(":")[2], {})
        trouble = troubles.setdefault(event.stream.partition(":")[2], {})
        match fact:
            case ReleaseCreated():
                commits[f"{fact.application}@{fact.version}"] = {it.commit: it.committed_at for it in fact.changes}
            case events.DeploymentPlanned():
                run |= {"of": fact.application, "release": fact.release, "reverts": fact.reverts}
            case events.DeploymentStarted():
                run["began"] = True
            case events.DeploymentStepSucceeded(step=2):
                run["met"] = True
            case events.DeploymentAborting(cause=cause):
                run |= {"cause": cause, "failing": time}
            case _ if event.stream.startswith("deployment:") and fact in ENDS.values():
                run |= {"end": fact.NAME.partition(".")[2], "time": time, "order": event.position}
            case IncidentOpened():
                trouble |= {"of": fact.application, "at": fact.detected_at, "cause": fact.cause}
                trouble |= {"explicit": fact.attribution == "explicit", "over": None, "remedy": None}
            case IncidentAttributed(cause=cause):
                trouble |= {"cause": cause, "explicit": True}
            case IncidentResolved():
                trouble |= {"over": fact.resolved_at, "remedy": fact.remedy}
            case _:
                pass
    ended = {id: run for id, run in runs.items() if "end" in run}
    reverted = {run["reverts"] for run in runs.values() if run.get("began")}
    met = [it for it in troubles.values() if it]
    for trouble in met:
        if not trouble["explicit"]:
            earlier = [
                (run["time"], run["order"], id)
                for id, run in ended.items()
                if run["end"] == "succeeded" and run["of"] == trouble["of"] and run["time"] <= trouble["at"]
            ]
            newest = max(earlier, default=None)
            fresh = newest is not None and _days(newest[0], trouble["at"]) <= 7
            trouble["cause"] = newest[2] if newest is not None and fresh else None
    return _five(ended, reverted, met, commits, since, until)


def _five(
    ended: dict[str, dict[str, Any]],
    reverted: set[str | None],
    troubles: list[dict[str, Any]],
    commits: Mapping[str, Mapping[str, str]],
    since: int,
    until: int,
) -> dict[str, Any]:
    wanted = {id: run for id, run in ended.items() if day(since) <= run["time"] < day(until)}
    leads, recovered, still = [], [], 0
    failed, everything, reworked = 0, 0, 0
    for id, run in wanted.items():
        mine = [it for it in troubles if it["cause"] == id]
        if run["end"] == "succeeded" and run["reverts"] is None:
            successes = [it for it in ended.values() if it["end"] == "succeeded" and it["of"] == run["of"]]
            before = [it for it in successes if it["order"] < run["order"]]
            seen = {commit for it in before for commit in commits.get(it["release"], {})}
            for commit, made in commits.get(run["release"], {}).items():
                if before and commit not in seen and made <= run["time"]:
                    leads.append(_days(made, run["time"]))
        if not run.get("met"):
            continue
        everything += 1
        because = [it for it in troubles if it["remedy"] == id or (it["cause"] == run["reverts"] is not None)]
        reworked += any(it["at"] < run["time"] for it in because)
        if run["reverts"] is not None:
            continue
        went = run["end"] != "succeeded" and not (run["end"] == "rolled_back" and run["cause"] == "superseded")
        if not (went or mine or id in reverted):
            continue
        failed += 1
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
def test_they_are_what_reading_the_events_gives(
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
