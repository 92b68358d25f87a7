"""The bus for a service that has no code of ours: plain nats-py."""

import asyncio
import json
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from tests.acceptance.bus import (
    event,
    first,
    published,
    said,
    talk,
)
from tests.acceptance.installation import Installation, until

DEPLOY = "deployment.deploy"


@pytest.fixture(scope="module")
def shop(running: Installation) -> Installation:
    """An environment, and releases 1.0.0 to 1.3.0."""
    manager = running.manager("bus")
    manager.configure_environments({"staging": running.target("web")})
    for minor in range(4):
        manager.create_release(f"1.{minor}.0", ["web"])
    return running


def deploy_data(version: str = "1.0.0") -> dict[str, Any]:
    return {"release": f"bus@{version}", "environment": "staging", "downgrade": True}  # whichever test came first


def ask(shop: Installation, payload: bytes, subject: str = DEPLOY, **headers: str) -> dict[str, Any]:
    """By request and reply."""

    async def conversation(client: Client) -> Msg:
        return await client.request(f"relman.ask.command.{subject}", payload, timeout=10, headers=headers or None)

    return said(talk(shop, conversation))


def queue(shop: Installation, payloads: Sequence[bytes], subject: str = DEPLOY, **headers: str) -> list[dict[str, Any]]:
    """Through JetStream; the outcomes that came to the reply subject."""

    async def conversation(client: Client) -> list[dict[str, Any]]:
        inbox = client.new_inbox()
        answers = await client.subscribe(inbox)
        for payload in payloads:
            given = {"Relman-Reply-To": inbox, **headers}
            await client.jetstream().publish(f"relman.commands.{subject}", payload, headers=given)
        return [said(await answers.next_msg(timeout=10)) for _ in payloads]

    return talk(shop, conversation)


def outcome(shop: Installation, sender: str, id: str) -> dict[str, Any]:
    async def conversation(client: Client) -> Msg:
        return await client.request("relman.ask.outcome", json.dumps({"sender": sender, "id": id}).encode(), timeout=10)

    return said(talk(shop, conversation))


def dead_letters(shop: Installation) -> list[dict[str, Any]]:
    async def conversation(client: Client) -> Msg:
        return await client.request("relman.ask.dead_letters", b'{"limit": 100}', timeout=10)

    letters: list[dict[str, Any]] = said(talk(shop, conversation))["dead_letters"]
    return letters


def test_a_deployment_is_asked_for_and_its_fate_learned(shop: Installation) -> None:
    payload = event(DEPLOY, deploy_data(), "first")

    accepted = ask(shop, payload)
    assert (accepted["status"], accepted["sender"], accepted["id"]) == ("accepted", "ci", "first")
    assert accepted["result"]["phase"] == "Progressing"
    repeated = ask(shop, payload)
    assert (repeated["status"], repeated["refused"]) == ("repeated", False)
    assert (repeated["first"], repeated["last"]) == (accepted["first"], accepted["last"])
    assert outcome(shop, "ci", "first")["result"] == accepted["result"]
    assert outcome(shop, "ci", "never") == {"status": "unknown"}
    assert shop.ended(accepted["result"]["deployment"]) == "succeeded"


def test_a_refusal_says_why_and_stays_one(shop: Installation) -> None:
    payload = event(DEPLOY, deploy_data("9.9.9"), "refused")

    refused, again = ask(shop, payload), ask(shop, payload)

    assert (refused["status"], refused["refused"]) == ("refused", True)
    assert refused["reason"].startswith("release bus@9.9.9 does not exist")
    assert (again["status"], again["refused"], again["reason"]) == ("repeated", True, refused["reason"])
    other = ask(shop, event(DEPLOY, deploy_data("1.0.0"), "refused"))
    assert other["status"] == "refused"
    assert "for another content" in other["reason"]


def test_a_caller_that_does_not_wait_finds_the_outcome_where_it_asked_for_it(shop: Installation) -> None:
    payload = event(DEPLOY, deploy_data("1.1.0"), "queued")

    accepted, repeated, refused = queue(shop, [payload, payload, event(DEPLOY, deploy_data("8.8.8"), "no")])

    assert [accepted["status"], repeated["status"], refused["status"]] == ["accepted", "repeated", "refused"]
    assert accepted["result"] == repeated["result"]
    assert "bus@8.8.8 does not exist" in refused["reason"]
    assert outcome(shop, "ci", "queued")["result"] == accepted["result"]
    assert shop.ended(accepted["result"]["deployment"]) == "succeeded"


def test_the_same_wish_over_both_roads_happens_once(shop: Installation) -> None:
    payload = event("release.create", {"version": "1.0.0", "components": [{"name": "web"}]}, "both", "roads")

    first = ask(shop, payload, "release.create")
    (second,) = queue(shop, [payload], "release.create")

    assert (first["status"], second["status"]) == ("accepted", "repeated")


def test_queued_commands_are_decided_in_their_order(shop: Installation) -> None:
    names = [f"e{number}" for number in range(60)]
    commands = [event("environment.configure", {"name": name}, f"order-{name}") for name in names]

    outcomes = queue(shop, commands, "environment.configure")

    assert {answer["status"] for answer in outcomes} == {"accepted"}
    firsts = {answer["id"]: answer["first"] for answer in outcomes}
    assert [firsts[f"order-{name}"] for name in names] == sorted(firsts.values())


def test_the_actor_is_the_bus_header_and_only_asserted(shop: Installation) -> None:
    id = str(uuid.uuid4())
    payload = event("release.create", {"version": "2.0.0", "components": [{"name": "web"}]}, id, correlationid="c-1")

    answer = ask(shop, payload, "release.create", **{"Relman-Actor": "carol"})

    (record,) = shop.log.read(answer["first"] - 1, 1)
    document = json.loads(record.record)
    assert (document["actorkind"], document["actorauth"], document["commandid"]) == ("person", "asserted", id)
    assert document["correlationid"] == "c-1"
    assert document["actor"].startswith("usr_")
    service = ask(shop, event("release.publish", {"release": "default@2.0.0"}, "as-service"), "release.publish")
    assert service["status"] == "accepted"


def test_events_are_the_logs_bytes_in_the_logs_order(shop: Installation) -> None:
    records = shop.records()

    assert published(shop, len(records)) == [one.record for one in records]

    async def look(client: Client) -> list[tuple[str, dict[str, str]]]:
        return [(message.subject, message.headers or {}) for message in await first(client.jetstream(), len(records))]

    for record, (subject, headers) in zip(records, talk(shop, look), strict=True):
        assert subject == f"relman.events.{record.name}"
        assert headers["content-type"] == "application/cloudevents+json"
        assert headers["Relman-Position"] == str(record.position)
        assert headers["Nats-Msg-Id"].endswith(f":{record.position}")


MALFORMED = [
    (b"", "not JSON"),
    (b"\xff\xfe", "not JSON"),
    (b"[]", "not a JSON object"),
    (b'{"specversion": "1.0"', "not JSON"),
    (b'{"specversion": "1.0", "id": "1", "source": "ci", "type": "deployment.deploy"}', "'data' is missing"),
    (event(DEPLOY, {}, "1", specversion="2.0"), "specversion is '2.0'; it must be '1.0'"),
    (event("release.create", {}, "1"), "is not the subject's 'deployment.deploy'"),
    (event(DEPLOY, {}, ""), "id"),
    (event(DEPLOY, {}, "1", source="system:timers"), "may not begin with 'system:'"),
    (event(DEPLOY, {"x": float("nan")}, "1"), "NaN is no JSON number"),
    (b'{"specversion":"1.0","id":"1","source":"ci","type":"deployment.deploy","data":[]}', "data"),
    (b'{"specversion":"1.0","id":"1","source":"ci","type":"deployment.deploy","data":"\\ud800"}', ""),
    (event(DEPLOY, {}, "1").replace(b'"id": "1"', b'"id": "1", "id": "2"'), "the key 'id' stands twice"),
    (b"[" * 50_000, "not JSON"),
    (event(DEPLOY, {"release": "x" * 300_000}, "1"), "at most 262,144 are taken"),
]


@pytest.mark.parametrize(("payload", "why"), MALFORMED, ids=range(len(MALFORMED)))
def test_a_message_that_is_no_command_becomes_a_dead_letter_with_its_reason(
    shop: Installation, payload: bytes, why: str
) -> None:
    before = shop.log.last_position()
    known = {letter["id"] for letter in dead_letters(shop)}

    answer = ask(shop, payload)
    assert answer["status"] == "not_understood"
    assert why in answer["reason"]

    async def put(client: Client) -> None:
        await client.jetstream().publish(f"relman.commands.{DEPLOY}", payload)

    talk(shop, put)

    def fresh() -> list[dict[str, Any]]:
        return [letter for letter in dead_letters(shop) if letter["id"] not in known]

    until(lambda: len(fresh()) >= 2)
    assert {letter["subject"] for letter in fresh()} == {f"relman.ask.command.{DEPLOY}", f"relman.commands.{DEPLOY}"}
    assert {letter["size"] for letter in fresh()} == {len(payload)}
    assert all(why in letter["reason"] for letter in fresh())
    assert shop.log.last_position() == before


def test_an_unknown_command_is_refused_where_it_can_be_understood_and_buried_where_it_cannot(
    shop: Installation,
) -> None:
    answer = ask(shop, event("deployment.explode", {}, "unknown"), "deployment.explode")
    assert answer["status"] == "refused"
    assert answer["reason"].startswith("there is no command 'deployment.explode'; there are ")

    odd = ask(shop, event("DEPLOY!", {}, "odd"), "DEPLOY!")
    assert odd["status"] == "not_understood"
    assert "command" in odd["reason"]


@pytest.mark.parametrize("address", ["relman.events.x", "$JS.API.STREAM.DELETE.RELMAN_EVENTS", "a.*", ">", "ci.other"])
def test_a_reply_subject_cannot_make_a_role_publish_where_the_sender_may_not(shop: Installation, address: str) -> None:
    known = {letter["id"] for letter in dead_letters(shop)}

    async def put(client: Client) -> None:
        payload = event("release.create", {"version": "6.6.6", "components": [{"name": "web"}]}, address)
        headers = {"Relman-Reply-To": address}
        await client.jetstream().publish("relman.commands.release.create", payload, headers=headers)

    talk(shop, put)
    until(lambda: any(letter["id"] not in known for letter in dead_letters(shop)))
    (letter, *_) = dead_letters(shop)
    assert "Relman-Reply-To" in letter["reason"]
    assert outcome(shop, "ci", address) == {"status": "unknown"}


def test_queries_are_answered_and_wrong_ones_explained(shop: Installation) -> None:
    async def conversation(client: Client) -> list[dict[str, Any]]:
        questions = [
            ("releases", {"params": {"application": "bus"}}),
            ("releases", {"params": {"application": "?!"}}),
            ("nonsense", {}),
            ("releases", []),
        ]
        replies = [
            client.request(f"relman.ask.query.{name}", json.dumps(body).encode(), timeout=15)
            for name, body in questions
        ]
        return [said(reply) for reply in await asyncio.gather(*replies)]

    answers = talk(shop, conversation)

    assert [row["version"] for row in answers[0]["answer"]] == ["1.3.0", "1.2.0", "1.1.0", "1.0.0"]
    assert "'?!' is no name" in answers[1]["error"]
    assert "nonsense" in answers[2]["error"]
    assert "error" in answers[3]


def test_a_preview_is_a_query_and_a_command_no_more(shop: Installation) -> None:
    async def conversation(client: Client) -> list[dict[str, Any]]:
        questions = [{"params": deploy_data("1.2.0")}, {"params": deploy_data("9.9.9")}]
        return [
            said(await client.request("relman.ask.query.deployment.preview", json.dumps(body).encode(), timeout=15))
            for body in questions
        ]

    shown, missing = talk(shop, conversation)
    sent = ask(shop, event("deployment.preview", deploy_data("1.2.0"), "old client"), "deployment.preview")

    [row] = shown["answer"]
    assert row["total"] == len(row["steps"])
    assert row["position"] > 0
    assert "does not exist" in missing["error"]
    assert missing["code"] == "not_found"
    assert (sent["status"], sent["code"]) == ("refused", "not_found")
    assert "is no command any more, but a query" in sent["reason"]


def test_after_all_that_the_processes_live_and_answer(shop: Installation) -> None:
    pids = {shop.pid("road"), shop.pid("projector"), shop.pid("nats-server")}
    answer = ask(shop, event(DEPLOY, deploy_data("1.2.0"), "last"))

    assert answer["status"] == "accepted"
    assert shop.ended(answer["result"]["deployment"]) == "succeeded"
    assert pids == {shop.pid("road"), shop.pid("projector"), shop.pid("nats-server")}
    log = (shop.folder / "logs" / "road.log").read_text()
    assert "Traceback" not in log, log[-3000:]


def test_a_client_cannot_send_what_only_our_own_parts_send(shop: Installation) -> None:
    subjects = ("relman.events.release.created", "relman.orders.local.staging", "relman.reports.local", "relman.dead.x")

    async def conversation(client: Client) -> list[str]:
        refused: list[str] = []

        async def note(error: Exception) -> None:
            refused.append(str(error))

        client._error_cb = note
        for subject in (*subjects, "relman.system.deployment.resume", "$JS.API.STREAM.DELETE.RELMAN_EVENTS"):
            await client.publish(subject, b"{}")
        async with asyncio.timeout(30):
            while len(refused) < 6:
                await asyncio.sleep(0.01)
        return refused

    refused = talk(shop, conversation)
    assert len(refused) == 6
    assert all("permissions violation for publish" in each.lower() for each in refused)
    for source, command in (("executor:local", DEPLOY), ("ci", "deployment.resume"), ("ci", "deployment.report_step")):
        answer = ask(shop, event(command, {}, "forged", source=source), command)
        assert answer["status"] == "not_understood"


def test_a_dead_letter_is_looked_at_and_sent_again(shop: Installation) -> None:
    payload = event("release.create", {"version": "3.0.0", "components": [{"name": "web"}]}, "replayed")

    async def put(client: Client) -> None:
        headers = {"Relman-Reply-To": "not.there"}
        await client.jetstream().publish("relman.commands.release.create", payload, headers=headers)

    talk(shop, put)
    until(lambda: any("Relman-Reply-To" in letter["reason"] for letter in dead_letters(shop)[:1]))
    id = dead_letters(shop)[0]["id"]

    async def look(client: Client) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        shown = await client.request("relman.ask.dead_letters", json.dumps({"id": id}).encode(), timeout=10)
        question = json.dumps({"ids": [id]}).encode()
        first, second = [await client.request("relman.ask.dead_letters.replay", question, timeout=10) for _ in range(2)]
        return said(shown)["dead_letter"], said(first)["replays"][0], said(second)["replays"][0]

    shown, first, second = talk(shop, look)
    assert (shown["payload"], shown["headers"]["Relman-Reply-To"]) == (payload.decode(), "not.there")
    assert first == {"id": id, "subject": "relman.commands.release.create", "reason": None}
    assert second == first
    # It is as wrong as before, and so a dead letter again, with another id.
    until(lambda: dead_letters(shop)[0]["id"] > id)


def test_a_reply_subject_that_the_server_would_not_take_is_a_dead_letter_and_harms_nobody(shop: Installation) -> None:
    async def conversation(client: Client) -> None:
        headers = {"Relman-Reply-To": "x" * 5000}
        payload = event("release.publish", {"release": "bus@1.0.0"}, "long-reply")
        await client.jetstream().publish("relman.commands.release.publish", payload, headers=headers)

    known = {letter["id"] for letter in dead_letters(shop)}
    road = shop.pid("road")
    talk(shop, conversation)

    until(lambda: any(letter["id"] not in known for letter in dead_letters(shop)))
    assert "Relman-Reply-To" in dead_letters(shop)[0]["reason"]
    answer = ask(shop, event(DEPLOY, deploy_data("1.3.0"), "after-the-long-reply"))
    assert answer["status"] == "accepted"
    assert shop.ended(answer["result"]["deployment"]) == "succeeded"
    assert shop.pid("road") == road


def test_foreign_messages_among_ours_harm_nobody(installation: Installation) -> None:
    installation.start()
    manager = installation.manager("foreign")
    manager.create_release("1.0.0", ["web"])

    garbage = {
        "gateway": "relman.dead.letter",
        "orchestrator": "relman.orders.local.staging",
        "relay": "relman.events.release.created",
    }
    for user, subject in garbage.items():

        async def publish(client: Client, subject: str = subject) -> None:
            await client.jetstream().publish(subject, b"garbage")

        talk(installation, publish, user=user)
    manager.create_release("1.1.0", ["web"])

    assert [release.version for release in manager.releases()] == ["1.1.0", "1.0.0"]
    assert any("no dead letter of ours" in letter["reason"] for letter in dead_letters(installation))
    installation.stop()
    installation.start()
    assert installation.manager("foreign").create_release("1.2.0", ["web"]).version == "1.2.0"
