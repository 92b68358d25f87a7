"""Refusals beyond a rate are answered and counted, and fill no log; what was decided before keeps its outcome."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any
from unittest import mock

import psycopg
import pytest

from release_management.adapters.executors.catalog import settings_checks
from release_management.adapters.system.clock import new_id
from release_management.services.envelope import Outcome
from release_management.services.gateway import committing
from release_management.services.gateway.gateway import Gateway
from release_management.services.gateway.refusal_rate import Rate, Refusals
from tests.services.gateway_harness import (
    PATIENCE,
    REGISTRY,
    GatewayHarness,
    occupied,
    on_both_stores,
)

NONSENSE = {"release": "shop@9.9.9", "environment": "nowhere"}


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def gateway(harness: GatewayHarness, time: Time) -> Gateway:
    """Another gateway of the harness: a sender may be refused 3 times at once, all together 5 times."""
    refusals = Refusals(time, Rate(3, 0.1), Rate(5, 0.1))
    made = Gateway(harness.log, REGISTRY, harness.keyring, harness.clock, new_id, settings_checks(), None, refusals)
    harness._gateways.append(made)
    return made


def ask(harness: GatewayHarness, gateway: Gateway, sender: str = "ci", **attributes: Any) -> Outcome:
    envelope = harness.envelope("deployment.deploy", NONSENSE, sender=sender, **attributes)
    return gateway.ask(envelope).result(PATIENCE)


@on_both_stores
@pytest.mark.parametrize("sender", ["ci", "client:bot:ci"])
def test_beyond_the_rate_they_are_answered_and_counted_and_the_next_one_that_is_kept_says_how_many(
    harness: GatewayHarness, gateway: Gateway, time: Time, sender: str
) -> None:
    answers = [ask(harness, gateway, sender) for _ in range(20)]

    assert {(each.status, each.reason) for each in answers} == {("refused", answers[0].reason)}
    assert [each.first > 0 for each in answers] == [True] * 3 + [False] * 17
    assert [record["type"] for record in harness.records()] == ["command.refused"] * 3
    time.now += 10
    assert ask(harness, gateway, sender).first == 4
    assert [record["data"].get("unkept") for record in harness.records()] == [None, None, None, 17]
    time.now += 10
    assert ask(harness, gateway, sender).first == 5
    assert harness.records()[-1]["data"].get("unkept") is None


@on_both_stores
def test_whatever_they_call_themselves_all_senders_together_have_a_rate(
    harness: GatewayHarness, gateway: Gateway
) -> None:
    for number in range(30):
        assert ask(harness, gateway, sender=f"sender-{number}").status == "refused"

    assert len(harness.records()) == 5


@on_both_stores
def test_an_unkept_refusal_is_decided_anew_and_a_kept_one_is_repeated(
    harness: GatewayHarness, gateway: Gateway
) -> None:
    kept = ask(harness, gateway, id="first")
    for number in range(2):
        ask(harness, gateway, id=f"other-{number}")
    unkept = ask(harness, gateway, id="last")
    assert (kept.first, unkept.first) == (1, 0)

    again = ask(harness, gateway, id="first")
    anew = ask(harness, gateway, id="last")

    assert (again.status, again.refused, again.first) == ("repeated", True, 1)
    assert (anew.status, anew.first) == ("refused", 0)
    assert harness.log.outcomes([("ci", "last")]) == {}


@on_both_stores
def test_an_accepted_command_is_answered_so_for_ever_however_much_was_refused(
    harness: GatewayHarness, gateway: Gateway
) -> None:
    harness.environment()
    release = harness.envelope(
        "release.create", {"version": "1.0.0", "components": [{"name": "web"}]}, sender="ci", id="a"
    )
    accepted = gateway.ask(release).result(PATIENCE)
    other = harness.envelope(
        "release.create", {"version": "1.0.0", "components": [{"name": "api"}]}, sender="ci", id="b"
    )
    for _ in range(5):
        ask(harness, gateway)

    assert gateway.ask(release).result(PATIENCE).status == "repeated"
    assert gateway.ask(release).result(PATIENCE).first == accepted.first
    assert gateway.ask(other).result(PATIENCE).status == "refused"


def kept_of_people(harness: GatewayHarness) -> tuple[int, int]:
    """Return the numbers of names and keys in the store."""
    if harness.home.store is None:
        with closing(sqlite3.connect(harness.folder / "private.db")) as file:
            return rows(file.execute, "")
    with psycopg.connect(harness.home.store) as connection:
        return rows(connection.execute, "relman_private.")


def rows(execute: Callable[[str], Any], schema: str) -> tuple[int, int]:
    names, keys = (execute(f"SELECT count(*) FROM {schema}{table}").fetchone()[0] for table in ("actors", "keys"))
    return names, keys


@on_both_stores
def test_a_command_without_a_record_leaves_no_name_and_no_key(harness: GatewayHarness, gateway: Gateway) -> None:
    harness.environment()
    names, keys = kept_of_people(harness)

    for number in range(30):
        actor, approvers = f"actor-{number}", [f"approver-{number}-{each}" for each in range(3)]
        data = {"name": "staging", "approval": {"required": 4, "approvers": approvers}}
        envelope = harness.envelope("environment.configure", data, sender=f"sender-{number}", actor=actor)
        outcome = gateway.ask(envelope).result(PATIENCE)
        assert outcome.status == "refused"

    kept = len(harness.records("command.refused"))
    assert 1 <= kept <= 6
    assert kept_of_people(harness) == (names + kept, keys + kept), "who was refused, and no approver"


def test_an_unkept_refusal_names_whom_it_is_about(harness: GatewayHarness, gateway: Gateway) -> None:
    harness.environment(approval={"required": 1, "approvers": ["ann"], "allow_self": True})
    release = harness.release("1.0.0")
    harness.deploy(release)
    approval = harness.records("approval.requested")[0]["subject"].partition(":")[2]
    for _ in range(5):
        ask(harness, gateway)

    envelope = harness.envelope("approval.grant", {"approval": approval}, actor="mallory", sender="ci")
    outcome = gateway.ask(envelope).result(PATIENCE)

    assert (outcome.status, outcome.first) == ("refused", 0)
    assert outcome.reason == "mallory is not among the approvers of this environment; those are ann"


def test_a_person_whom_another_process_names_at_the_same_time_has_one_id(
    harness: GatewayHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = harness.home.open_keyring()
    new_actor = harness.keyring.new_actor

    def as_another_is_quicker(kind: str) -> str:
        elsewhere.actor_id("bob", kind)
        return new_actor(kind)

    monkeypatch.setattr(harness.keyring, "new_actor", as_another_is_quicker)
    assert harness.ask("release.create", {"version": "1.0.0", "components": [{"name": "web"}]}, actor="bob").first == 1

    assert harness.records()[0]["actor"] == harness.records()[0]["data"]["author"] == elsewhere.actor_id("bob")
    elsewhere.close()


@on_both_stores
def test_all_new_actors_of_a_batch_are_stored_in_one_commit(
    harness: GatewayHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committing, "BATCH_SECONDS", PATIENCE)
    go_on = occupied(harness)
    with mock.patch.object(harness.keyring, "keep", wraps=harness.keyring.keep) as keep:
        tickets = [
            harness.gateway.ask(
                harness.envelope(
                    "release.create", {"version": f"{number}.0.0", "components": [{"name": "web"}]}, actor=f"p{number}"
                )
            )
            for number in range(20)
        ]
        wrong = {"release": "shop@9.9.9", "reason": "x"}
        refused = harness.gateway.ask(harness.envelope("release.block", wrong, actor="eve"))
        go_on.set()
        assert {ticket.result(PATIENCE).status for ticket in tickets} == {"accepted"}
        assert refused.result(PATIENCE).status == "refused"

    (commit,) = [call.args for call in keep.call_args_list if ("p0", "person") in call.args[0]]
    assert {name for name, _ in commit[0]} == {f"p{number}" for number in range(20)} | {"eve"}
    authors = [record["actor"] for record in harness.records("release.created")]
    assert [harness.keyring.actor_name(author) for author in authors] == [f"p{number}" for number in range(20)]
    assert harness.gateway.ask(refused.envelope).result(PATIENCE).reason == refused.result(0).reason


def test_refusals_of_our_own_roles_are_always_stored(time: Time) -> None:
    refusals = Refusals(time, Rate(1, 0.0), Rate(1, 0.0))

    assert [refusals.keep("ci") for _ in range(3)] == [0, None, None]
    assert [refusals.keep("executor:local") for _ in range(3)] == [0, 0, 0]
    assert [refusals.keep("system:timers") for _ in range(3)] == [0, 0, 0]


def test_senders_without_number_take_no_memory_without_end(time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("release_management.services.gateway.refusal_rate.SENDERS", 10)
    refusals = Refusals(time, Rate(1, 0.0), Rate(1000, 0.0))
    for number in range(100):
        refusals.keep(f"sender-{number}")

    assert len(refusals._senders) == 10


@on_both_stores
def test_states_loaded_for_a_refusal_that_is_only_counted_stay_cached(
    harness: GatewayHarness, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.environment("staging", approval={"required": 1})
    harness.release("1.0.0")
    harness.deploy("shop@1.0.0")
    for n in range(20):
        harness.environment(f"qa-{n}")
    envelope = {"application": "bakery", "environment": "qa-1", "severity": "minor", "title": "What?"}
    kept = [ask(harness, gateway).first > 0 for _ in range(4)]
    assert kept == [True] * 3 + [False]
    read: list[str] = []
    reads = harness.log.read_stream

    def counted(stream: str, *arguments: Any, **options: Any) -> Any:
        read.append(stream)
        return reads(stream, *arguments, **options)

    monkeypatch.setattr(harness.log, "read_stream", counted)

    first = gateway.ask(harness.envelope("incident.open", envelope, sender="ci")).result(PATIENCE)
    assert (first.status, first.first) == ("refused", 0), first
    assert len(read) > 20, "the applications of all environments are compared"
    read.clear()
    assert gateway.ask(harness.envelope("incident.open", envelope, sender="ci")).result(PATIENCE).reason == first.reason
    assert read == []
