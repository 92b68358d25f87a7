"""A preview shows what a deployment would be, as the gateway would plan it, and stores nothing at all."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from release_management.adapters.executors.catalog import settings_checks
from release_management.kernel.errors import ErrorCode
from release_management.kernel.record import Recorded
from release_management.services.ports.bus import NotAnsweredNow, QueryNotUnderstood
from release_management.services.use_cases.preview import TRIES, Preview
from tests.services.gateway_harness import GatewayHarness, on_both_stores

CANARY: dict[str, Any] = {"strategy": "canary", "options": {"initial_traffic": 20, "increment": 40}}


def ready(harness: GatewayHarness) -> dict[str, Any]:
    """A release, and where it can go."""
    harness.environment()
    return {"release": harness.release("1.0.0"), "environment": "staging"}


@on_both_stores
def test_it_is_the_plan_that_a_deployment_then_has(harness: GatewayHarness) -> None:
    wanted = ready(harness)
    shown = harness.preview(**wanted, **CANARY)

    deployment = harness.deploy(wanted["release"], **CANARY)

    [planned] = harness.facts(deployment, "planned")
    assert shown["digest"] == planned["digest"]
    assert (shown["strategy"], shown["total"]) == ("canary", len(planned["plan"]["forward"]))
    assert [verdict["rule"] for verdict in shown["verdicts"] if verdict["says"] == "deny"] == []


@on_both_stores
def test_it_stores_nothing_and_needs_no_gateway(harness: GatewayHarness) -> None:
    wanted = ready(harness)
    harness.gateway.close()
    before = harness.records()

    shown = harness.preview(**wanted)

    assert harness.records() == before
    assert shown["position"] == len(before)


def test_no_outcome_is_kept_of_it(harness: GatewayHarness) -> None:
    wanted = ready(harness)

    def outcomes() -> int:
        with closing(sqlite3.connect(harness.folder / "log.db")) as log:
            return int(log.execute("SELECT count(*) FROM commands").fetchone()[0])

    before = outcomes()
    harness.preview(**wanted)
    assert outcomes() == before
    harness.do("deployment.plan", wanted)
    assert outcomes() == before + 1


def test_a_long_plan_is_shown_in_parts(harness: GatewayHarness) -> None:
    wanted = {**ready(harness), "strategy": "recreate"}
    whole = harness.preview(**wanted)

    parts = [harness.preview(**wanted, after=after, limit=2) for after in range(0, whole["total"], 2)]

    assert [step for part in parts for step in part["plan"]["forward"]] == whole["plan"]["forward"]
    assert {part["digest"] for part in parts} == {whole["digest"]}


def test_what_would_be_refused_is_the_error_with_its_code(harness: GatewayHarness) -> None:
    ready(harness)

    with pytest.raises(QueryNotUnderstood, match=r"release shop@9\.0\.0 does not exist") as missing:
        harness.preview(release="shop@9.0.0", environment="staging")
    with pytest.raises(QueryNotUnderstood, match=r"query deployment\.preview: release: Field required") as bad:
        harness.preview(environment="staging")

    assert (missing.value.code, bad.value.code) == (ErrorCode.NOT_FOUND, ErrorCode.INVALID)


def test_an_answer_after_a_position_that_is_not_there_is_refused(harness: GatewayHarness) -> None:
    wanted = ready(harness)
    end = len(harness.records())

    assert Preview(harness.log, harness.clock, settings_checks).ask(wanted, end)["position"] == end
    with pytest.raises(QueryNotUnderstood, match=f"the log ends at position {end}, and the answer is wanted after"):
        Preview(harness.log, harness.clock, settings_checks).ask(wanted, end + 1)


class MovingLog:
    """A log in which something happens each time before it is asked whether a stream has moved."""

    def __init__(self, harness: GatewayHarness, moves: Callable[[int], None]) -> None:
        self._log = harness.log
        self._moves = moves
        self._times = 0

    def last_position(self) -> int:
        self._times += 1
        self._moves(self._times)
        return self._log.last_position()

    def read_stream(self, stream: str, after: int = 0) -> list[Recorded]:
        return self._log.read_stream(stream, after)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


def test_what_changes_meanwhile_is_read_again_so_that_it_is_as_of_one_position(harness: GatewayHarness) -> None:
    wanted = ready(harness)

    def moves(times: int) -> None:
        if times == 2:
            harness.environment(targets=[{"name": "main", "routes": "none", "components": {"web": COMPONENT}}])

    log: Any = MovingLog(harness, moves)
    shown = Preview(log, harness.clock, settings_checks).ask(wanted, 0)

    assert shown["position"] == len(harness.records())
    assert shown["digest"] == harness.preview(**wanted)["digest"]


COMPONENT = {"command": ["{python}", "-m", "http.server"], "port": 8080}


def test_what_keeps_changing_is_to_be_asked_again(harness: GatewayHarness) -> None:
    wanted = ready(harness)
    log: Any = MovingLog(harness, lambda times: harness.environment(label=f"Staging {times}"))

    with pytest.raises(NotAnsweredNow, match="keeps changing; ask again"):
        Preview(log, harness.clock, settings_checks).ask(wanted, 0)
    assert len(harness.records("environment.configured")) >= TRIES


def test_who_sends_it_as_a_command_is_told_that_it_is_a_query(harness: GatewayHarness) -> None:
    outcome = harness.ask("deployment.preview", ready(harness))

    assert (outcome.refused, outcome.code) == (True, ErrorCode.NOT_FOUND)
    assert outcome.reason == (
        "deployment.preview is no command any more, but a query, which records nothing: ask "
        "relman.ask.query.deployment.preview, or relman deploy --dry-run of this version"
    )
