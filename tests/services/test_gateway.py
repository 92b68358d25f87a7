"""The one writer, on a real log and a real keyring."""

import asyncio
import json
from datetime import datetime
from typing import Any
from unittest.mock import patch

import pytest
from pydantic import ValidationError

from release_management.services.gateway import gateway as module
from release_management.services.gateway import record_writer
from release_management.services.gateway.gateway import WAITING
from release_management.services.ports import ClockJumpedError
from release_management.services.ports.bus import OlderThanSenderError
from release_management.services.sealing import ERASED
from release_management.services.strict_json import MAX_DEPTH
from tests.services.gateway_harness import (
    PATIENCE,
    GatewayHarness,
    occupied,
    on_both_stores,
)

SECRET = "Zaphod signed it off behind the canteen"


# Too early


@on_both_stores
def test_a_timer_that_is_too_early_is_told_to_come_again_and_nothing_is_stored(harness: GatewayHarness) -> None:
    harness.environment(approval={"required": 1})
    harness.release("1.0.0")
    waiting = harness.deploy("shop@1.0.0")
    expire = harness.envelope("approval.expire", {"approval": waiting}, sender="system:timers")
    before = harness.log.last_position()

    early = harness.gateway.ask(expire).result(PATIENCE)

    assert (early.status, early.first) == ("busy", 0)
    assert str(early.reason).startswith("it is too early: this falls due at 2026-12-")
    assert harness.log.outcomes([(expire.sender, expire.id)]) == {}
    assert harness.log.last_position() == before
    harness.clock.advance(31 * 86_400)
    assert harness.gateway.ask(expire).result(PATIENCE).status == "accepted"
    assert harness.facts(waiting, "expired")


@on_both_stores
def test_while_the_clock_cannot_be_believed_it_is_busy_and_nothing_is_stored(harness: GatewayHarness) -> None:
    envelope = harness.envelope("environment.configure", {"name": "qa"})

    def now() -> datetime:
        raise ClockJumpedError("the clock jumped ahead")

    with patch.object(harness.clock, "now", now):
        outcome = harness.gateway.ask(envelope).result(PATIENCE)

    assert (outcome.status, outcome.reason) == ("busy", "the clock jumped ahead")
    assert harness.gateway.ask(envelope).result(PATIENCE).status == "accepted"


# What a role of a newer version says


@pytest.mark.parametrize(
    ("sender", "command", "data"),
    [
        ("system:timers", "deployment.levitate", {}),
        ("system:orchestrator", "deployment.proceed", {"deployment": "d", "altitude": 7}),
        ("executor:local", "deployment.report_step", {"deployment": "d", "altitude": 7}),
    ],
)
def test_an_unknown_command_of_a_newer_role_is_not_refused_for_ever(
    harness: GatewayHarness, sender: str, command: str, data: dict[str, Any]
) -> None:
    asked = harness.envelope(command, data, sender=sender)
    before = harness.log.last_position()

    with pytest.raises(OlderThanSenderError, match=f"this gateway is older than {sender}"):
        harness.gateway.ask(asked).result(PATIENCE)

    assert harness.log.last_position() == before
    assert harness.log.outcomes([(asked.sender, asked.id)]) == {}
    for anybody in ("ci", "client:ci:ci"):
        assert harness.ask(command, data, sender=anybody).status == "refused", "of anybody else it is just wrong"


# Repeating


@on_both_stores
def test_a_repeated_command_gets_its_first_outcome_and_writes_nothing(harness: GatewayHarness) -> None:
    harness.environment()
    envelope = harness.envelope("environment.configure", {"name": "qa"})
    first = harness.gateway.ask(envelope).result(PATIENCE)
    before = harness.log.last_position()

    again = harness.gateway.ask(envelope).result(PATIENCE)

    assert (first.status, again.status, again.refused) == ("accepted", "repeated", False)
    assert (again.first, again.last, again.result) == (first.first, first.last, first.result)
    assert 0 < first.first <= first.last == before == harness.log.last_position()


@on_both_stores
def test_a_repeated_refusal_is_told_as_a_refusal(harness: GatewayHarness) -> None:
    envelope = harness.envelope("release.publish", {"release": "shop@1.0.0"})
    first = harness.gateway.ask(envelope).result(PATIENCE)

    again = harness.gateway.ask(envelope).result(PATIENCE)

    assert (first.status, first.refused) == ("refused", True)
    assert (again.status, again.refused, again.reason) == ("repeated", True, first.reason)
    assert len(harness.records("command.refused")) == 1


@on_both_stores
def test_a_repetition_is_known_to_another_gateway_and_after_a_restart(harness: GatewayHarness) -> None:
    envelope = harness.envelope("environment.configure", {"name": "qa"})
    first = harness.gateway.ask(envelope).result(PATIENCE)

    again = harness.open_gateway().ask(envelope).result(PATIENCE)

    assert (again.status, again.first, again.last) == ("repeated", first.first, first.last)


@on_both_stores
@pytest.mark.parametrize("other", [{"data": {"name": "prod"}}, {"actor": "mallory"}, {"command": "release.publish"}])
def test_an_id_that_was_used_for_another_content_is_refused(harness: GatewayHarness, other: dict[str, object]) -> None:
    envelope = harness.envelope("environment.configure", {"name": "qa"}, id="mine")
    harness.gateway.ask(envelope).result(PATIENCE)
    before = harness.log.last_position()

    outcome = harness.gateway.ask(envelope.model_copy(update=other)).result(PATIENCE)

    assert outcome.status == "refused"
    assert "was used before by 'test' for another content" in str(outcome.reason)
    assert harness.log.last_position() == before


@on_both_stores
def test_two_senders_may_use_the_same_id(harness: GatewayHarness) -> None:
    assert harness.ask("environment.configure", {"name": "qa"}, id="1", sender="a").status == "accepted"
    assert harness.ask("environment.configure", {"name": "prod"}, id="1", sender="b").status == "accepted"


@on_both_stores
def test_the_outcome_of_a_command_can_be_asked_later(harness: GatewayHarness) -> None:
    first = harness.ask("environment.configure", {"name": "qa"}, id="mine")

    known = asyncio.run(harness.gateway.outcome("test", "mine"))

    assert known is not None
    assert (known.status, known.first, known.last) == ("repeated", first.first, first.last)
    assert asyncio.run(harness.gateway.outcome("test", "never")) is None


# What may name a person


@on_both_stores
def test_personal_texts_and_names_are_never_in_the_logs_files(harness: GatewayHarness) -> None:
    harness.environment()
    harness.release("1.0.0", changelog=[SECRET], changes=[{"commit": "abcd1234", "committed_at": "2026-11-23T09:00Z"}])
    harness.ask("release.attest", {"release": "shop@1.0.0", "gate": "tests", "result": "passed", "note": SECRET})
    harness.ask("release.block", {"release": "shop@1.0.0", "reason": SECRET}, actor="Trillian Astra")
    refused = harness.ask("deployment.deploy", {"release": SECRET, "environment": "staging"})

    assert refused.status == "refused"
    assert SECRET in str(refused.reason)
    stored = harness.on_disk()
    for told in (SECRET, "canteen", "Trillian", "alice", str(refused.reason)[:20]):
        assert told.encode() not in stored, told
    assert b"abcd1234" in stored


@on_both_stores
def test_erased_text_is_shown_as_erased_and_the_log_stays_whole(harness: GatewayHarness) -> None:
    envelope = harness.envelope("release.publish", {"release": "shop@9.9.9"})
    harness.gateway.ask(envelope).result(PATIENCE)
    before = [one.record for one in harness.log.read(0)]

    harness.keyring.erase(harness.keyring.actor_id("alice"))
    again = harness.gateway.ask(envelope).result(PATIENCE)

    assert again.reason == ERASED
    assert (again.status, again.refused) == ("repeated", True)
    assert [one.record for one in harness.log.read(0)] == before


@on_both_stores
def test_an_erased_person_who_comes_back_is_somebody_new(harness: GatewayHarness) -> None:
    harness.environment("qa")
    harness.keyring.erase(harness.keyring.actor_id("alice"))

    harness.environment("prod")

    first, last = harness.records()[0], harness.records()[-1]
    assert first["actor"] != last["actor"]


# Refusals


@on_both_stores
def test_a_refusal_is_recorded_on_a_stream_of_its_own(harness: GatewayHarness) -> None:
    outcome = harness.ask("release.publish", {"release": "shop@1.0.0"}, correlationid="c1", causationid="e1")

    (record,) = harness.records("command.refused")
    assert (outcome.first, outcome.last) == (1, 1)
    assert record["subject"].startswith("refusal:")
    assert record["data"]["command"] == "release.publish"
    assert record["data"]["by"] == record["actor"] == harness.keyring.actor_id("alice")
    assert (record["correlationid"], record["causationid"], record["actorauth"]) == ("c1", "e1", "asserted")
    assert harness.keyring.open(record["actor"], record["data"]["reason"]["sealed"]) == outcome.reason


@pytest.mark.parametrize(
    ("command", "data", "sentence"),
    [
        ("deployment.explode", {}, "there is no command 'deployment.explode'; there are approval.expire, "),
        ("release.create", {"version": "1.0", "components": [{"name": "web"}]}, "'1.0' is no semantic version"),
        ("release.create", {"version": "1.0.0", "components": []}, "components"),
        ("release.create", {"version": "1.0.0"}, "release.create: components: Field required"),
        ("release.create", {"version": "1.0.0", "components": [{"name": "?!"}]}, "'?!' is no name"),
        ("deployment.deploy", {"release": "shop@1.0.0", "environment": "moon"}, "release shop@1.0.0 does not exist"),
        ("deployment.deploy", {"release": "shop", "environment": "moon"}, "release"),
        ("environment.configure", {"name": "qa", "tier": "lunar"}, "tier"),
        ("environment.configure", {"name": "qa", "colour": "red"}, "colour"),
        ("environment.configure", {"name": "qa", "order": True}, "order"),
        ("deployment.promote", {"deployment": "nonsense"}, "deployment"),
        ("policy.configure_strategy", {"strategy": "canary", "options": {"initial_traffic": 101}}, "initial_traffic"),
        ("policy.configure_strategy", {"strategy": "canary", "options": {"steps": []}}, "steps"),
        ("policy.configure_strategy", {"strategy": "canary", "options": {"speed": 1}}, "no option 'speed'; it has "),
    ],
)
def test_a_refusal_is_one_sentence(
    harness: GatewayHarness, command: str, data: dict[str, object], sentence: str
) -> None:
    outcome = harness.ask(command, data)

    assert outcome.status == "refused"
    assert outcome.reason is not None
    assert sentence in outcome.reason
    assert "\n" not in outcome.reason
    assert [record["type"] for record in harness.records()] == ["command.refused"]


@on_both_stores
def test_content_too_long_for_a_record_stands_beside_it_and_is_read_by_a_new_gateway(harness: GatewayHarness) -> None:
    harness.environment()
    harness.release("1.0.0", changelog=["x" * 4000] * 20)

    created = next(record for record in harness.records() if record["type"] == "release.created")
    assert "data" not in created
    content = json.loads(harness.log.content(created["dataref"]))
    assert len(content["changelog"]) == 20
    assert "x" * 4000 not in json.dumps(content)  # sealed, as everywhere
    elsewhere = harness.open_gateway()
    envelope = harness.envelope("deployment.plan", {"release": "shop@1.0.0", "environment": "staging"})
    assert elsewhere.ask(envelope).result(PATIENCE).status == "accepted"


@on_both_stores
def test_content_too_long_to_stand_beside_a_record_is_refused_and_nothing_is_half_written(
    harness: GatewayHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_writer, "MAX_CONTENT_BYTES", 70_000)
    outcome = harness.ask(
        "release.create",
        {"application": "shop", "version": "1.0.0", "components": [{"name": "web"}], "changelog": ["x" * 4000] * 20},
    )

    assert outcome.status == "refused"
    assert "at most 70,000 are kept; say less at once" in str(outcome.reason)
    assert [record["type"] for record in harness.records()] == ["command.refused"]
    assert harness.release("1.0.0") == "shop@1.0.0"


def test_content_nested_ever_so_deeply_is_answered_and_the_gateway_lives(harness: GatewayHarness) -> None:
    for depth in (50, MAX_DEPTH - 2):
        deep: object = 1
        for _ in range(depth):
            deep = [deep]
        outcome = harness.ask("deployment.deploy", {"release": "a@1.0.0", "environment": "qa", "options": {"x": deep}})
        assert outcome.status == "refused", depth
        assert outcome.reason is not None
    assert harness.release("1.0.0") == "shop@1.0.0"


@on_both_stores
@pytest.mark.parametrize("key", [True, False])
def test_content_as_deep_as_the_limit_is_decided_and_deeper_content_is_no_command(
    harness: GatewayHarness, key: bool
) -> None:
    def content(levels: int) -> dict[str, Any]:
        deep: Any = 1
        for _ in range(levels - 2):
            deep = {"x": deep} if key else [deep]
        return {"release": "a@1.0.0", "environment": "qa", "options": {"x": deep} if levels > 1 else {}}

    for levels in range(MAX_DEPTH - 3, MAX_DEPTH + 1):
        assert harness.ask("deployment.deploy", content(levels)).status == "refused", levels
    for levels in (MAX_DEPTH + 1, 127, 128, 199, 200, 201, 253, 254, 255, 256, 500):
        with pytest.raises(ValidationError, match="nested deeper than 100 levels; write it flatter"):
            harness.envelope("deployment.deploy", content(levels))


# Batches


@on_both_stores
def test_a_command_that_depends_on_an_earlier_one_of_the_batch_is_decided_on_its_outcome(
    harness: GatewayHarness,
) -> None:
    go_on = occupied(harness)
    create = {"application": "shop", "version": "1.0.0", "components": [{"name": "web"}], "draft": True}
    envelopes = [
        harness.envelope("release.publish", {"release": "shop@1.0.0"}),
        harness.envelope("release.create", create),
        harness.envelope("release.publish", {"release": "shop@1.0.0"}),
        harness.envelope("release.publish", {"release": "shop@1.0.0"}),
    ]
    futures = [harness.gateway.ask(envelope) for envelope in envelopes]
    go_on.set()

    outcomes = [future.result(PATIENCE) for future in futures]

    assert [outcome.status for outcome in outcomes] == ["refused", "accepted", "accepted", "accepted"]
    assert outcomes[2].first == outcomes[1].last + 1
    assert (outcomes[3].first, outcomes[3].last) == (0, 0)


@on_both_stores
def test_the_same_command_twice_in_a_batch_happens_once(harness: GatewayHarness) -> None:
    go_on = occupied(harness)
    envelope = harness.envelope("environment.configure", {"name": "qa"})
    futures = [harness.gateway.ask(envelope), harness.gateway.ask(envelope)]
    follows = harness.gateway.ask(harness.envelope("environment.configure", {"name": "qa", "label": "Quality"}))
    go_on.set()

    first, second = (future.result(PATIENCE) for future in futures)

    assert (first.status, second.status) == ("accepted", "repeated")
    assert (second.first, second.last) == (first.first, first.last)
    assert follows.result(PATIENCE).status == "accepted"
    assert [record["data"]["label"] for record in harness.records("environment.configured")][1:] == ["qa", "Quality"]


@on_both_stores
def test_a_stale_cache_is_found_out_and_the_command_is_decided_again(harness: GatewayHarness) -> None:
    harness.release("1.0.0", draft=True)
    other = harness.open_gateway()
    published = other.ask(harness.envelope("release.publish", {"release": "shop@1.0.0"})).result(PATIENCE)

    again = harness.ask("release.publish", {"release": "shop@1.0.0"})

    assert published.last == published.first > 0
    assert (again.status, again.first) == ("accepted", 0)
    assert len(harness.records("release.published")) == 1


@on_both_stores
def test_a_conflict_of_one_command_of_a_batch_does_not_affect_its_neighbours(harness: GatewayHarness) -> None:
    harness.release("1.0.0", draft=True)
    other = harness.open_gateway()
    go_on = occupied(harness)
    behind_its_back = other.ask(harness.envelope("release.block", {"release": "shop@1.0.0", "reason": "no"}))
    assert behind_its_back.result(PATIENCE).status == "accepted"
    loser = harness.gateway.ask(harness.envelope("release.publish", {"release": "shop@1.0.0"}))
    neighbour = harness.gateway.ask(harness.envelope("environment.configure", {"name": "qa"}))
    derived = harness.gateway.ask(harness.envelope("release.unblock", {"release": "shop@1.0.0"}))
    go_on.set()

    assert [future.result(PATIENCE).status for future in (loser, neighbour, derived)] == ["accepted"] * 3
    names = [record["type"] for record in harness.records() if record["subject"] == "release:shop@1.0.0"]
    assert names == ["release.created", "release.blocked", "release.published", "release.unblocked"]


@on_both_stores
def test_a_full_queue_answers_busy_at_once_and_forgets_the_command(harness: GatewayHarness) -> None:
    go_on = occupied(harness)
    same = harness.envelope("release.publish", {"release": "shop@1.0.0"}, id="same")
    futures = [harness.gateway.ask(same) for _ in range(WAITING)]
    turned_away = harness.envelope("environment.configure", {"name": "late"})

    outcome = harness.gateway.ask(turned_away).result(0)

    assert (outcome.status, outcome.refused) == ("busy", False)
    assert "try again" in str(outcome.reason)
    go_on.set()
    assert {future.result(PATIENCE).status for future in futures} == {"refused", "repeated"}
    assert harness.gateway.ask(turned_away).result(PATIENCE).status == "accepted"


@on_both_stores
def test_a_command_submitted_before_closing_is_still_decided(harness: GatewayHarness) -> None:
    gateway = harness.open_gateway()
    futures = [gateway.ask(harness.envelope("environment.configure", {"name": f"e{number}"})) for number in range(300)]

    gateway.close()

    assert {future.result(0).status for future in futures} == {"accepted"}


@on_both_stores
def test_a_log_that_cannot_be_written_is_busy_and_nothing_is_lost(harness: GatewayHarness) -> None:
    envelope = harness.envelope("environment.configure", {"name": "qa"})
    with harness.unwritable():
        outcome = harness.gateway.ask(envelope).result(PATIENCE)
    assert outcome.status == "busy"
    assert harness.gateway.ask(envelope).result(PATIENCE).status == "accepted"


def test_the_thread_that_decides_goes_on_after_a_fault_of_ours_and_says_so(
    harness: GatewayHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [RuntimeError("a fault of ours")]

    def fail_once(batch: object) -> None:
        if failures:
            raise failures.pop()

    monkeypatch.setattr(module, "_measure", fail_once)
    first, second = (harness.envelope("environment.configure", {"name": name}) for name in ("qa", "uat"))
    assert harness.gateway.ask(first).result(PATIENCE).status == "accepted"
    assert harness.gateway.ask(second).result(PATIENCE).status == "accepted"
    assert failures == []


# Planned, then deployed


def test_a_planned_deployment_is_deployed_as_it_was_planned(harness: GatewayHarness) -> None:
    harness.environment()
    wanted = {"release": harness.release("1.0.0"), "environment": "staging"}
    chosen = {"strategy": "recreate", "options": {"min_ready": 7}}
    planned = str(harness.do("deployment.plan", {**wanted, **chosen})["deployment"])

    assert harness.preview(**wanted)["strategy"] == "recreate"
    assert harness.do("deployment.deploy", wanted)["deployment"] == planned

    assert harness.facts(planned, "planned")[0]["strategy"] == "recreate"
    assert harness.facts(planned, "replanned") == []


def test_deploying_with_another_strategy_than_planned_replans(harness: GatewayHarness) -> None:
    harness.environment()
    wanted = {"release": harness.release("1.0.0"), "environment": "staging"}
    planned = harness.do("deployment.plan", {**wanted, "strategy": "recreate"})["deployment"]

    deployed = harness.do("deployment.deploy", {**wanted, "strategy": "canary"})["deployment"]

    assert deployed != planned
    assert harness.facts(str(planned), "superseded")[0]["successor"] == deployed


# Two gateways on one file


@on_both_stores
def test_two_gateways_that_decide_about_one_place_at_once_give_it_to_one(harness: GatewayHarness) -> None:
    other = harness.open_gateway()
    harness.environment()
    for version in ("1.0.0", "2.0.0"):
        harness.release(version)
    for round in range(10):
        envelopes = [
            harness.envelope(
                "deployment.deploy", {"release": f"shop@{version}", "environment": "staging", "downgrade": True}
            )
            for version in ("1.0.0", "2.0.0")
        ]
        futures = [gateway.ask(envelope) for gateway, envelope in zip((harness.gateway, other), envelopes, strict=True)]
        outcomes = [future.result(PATIENCE) for future in futures]

        assert sorted(str(outcome.result["phase"]) for outcome in outcomes) == ["Progressing", "Queued"], round
        for outcome in sorted(outcomes, key=lambda outcome: str(outcome.result["phase"]), reverse=True):
            harness.do("deployment.abort", {"deployment": outcome.result["deployment"]})
        held = next(str(o.result["deployment"]) for o in outcomes if o.result["phase"] == "Progressing")
        back = harness.facts(held, "step_started")[-1]
        while not harness.facts(held, "rolled_back"):
            harness.report(held, back["step"], leg="rollback", attempt=back["attempt"])
            back = harness.facts(held, "step_started")[-1]
    holders = 0
    for record in harness.records():
        holders += {"place.locked": 1, "place.unlocked": -1}.get(record["type"], 0)
        assert holders in (0, 1)
    assert json.loads(harness.log.read(0, 1)[0].record)["streamversion"] == 1
