"""Away is not absent: while the store does not answer, everybody who is asked says so, at once, and logs it once."""

import asyncio
import json
import sqlite3
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import nats
import pytest

from release_management.adapters.nats.wire.urls import credentials
from release_management.runtime.patient import PatientInstallation
from tests.acceptance.bus import event
from tests.acceptance.cli.conftest import Types
from tests.acceptance.cli.harness import CommandLine
from tests.acceptance.roles import Roles, until
from tests.servers.postgres import PostgresServer

QUICK_SECONDS = 10.0
QUESTIONS = 20
DATAREF = "sha256:" + "a" * 64


async def answers(roles: Roles, seconds: float = QUICK_SECONDS) -> dict[str, list[dict[str, Any]]]:
    """Return the answers to clients, each request repeated many times, on every subject that needs the store."""
    url = credentials(roles.home.folder, "client")
    assert url is not None
    release = {"application": "shop", "version": "2.0.0", "components": [{"name": "web"}]}
    asked = {
        "relman.ask.command.release.create": event("release.create", release, "1"),
        "relman.ask.query.environments": b"{}",
        "relman.ask.query.releases": b'{"params": {"application": "shop"}}',
        "relman.ask.outcome": b'{"sender": "ci", "id": "1"}',
        "relman.ask.content": json.dumps({"dataref": DATAREF}).encode(),
    }
    client = await nats.connect(url)
    try:
        replies = {
            subject: await asyncio.gather(*(client.request(subject, payload, seconds) for _ in range(QUESTIONS)))
            for subject, payload in asked.items()
        }
    finally:
        await client.close()
    return {subject: [json.loads(reply.data) for reply in each] for subject, each in replies.items()}


def said_since(roles: Roles, before: dict[Path, int]) -> dict[str, str]:
    """Return each role's log since then."""
    return {path.name: path.read_text()[size:] for path, size in before.items()}


def test_with_postgresql_away_everybody_is_busy_with_the_reason_and_each_trouble_is_one_line(
    on_own_server: Roles, own_server: PostgresServer, relman: Types, monkeypatch: pytest.MonkeyPatch
) -> None:
    roles = on_own_server
    serving = roles.start_all()
    roles.manager().configure_environments({"staging": {}})
    logs = {path: path.stat().st_size for path in roles.root.glob("*.log")}

    own_server.kill()
    until(lambda: serving["gateway"].status() == 503, 20)
    until(lambda: bool(serving["gateway"].health()["troubles"]), 20)
    time.sleep(1.0)  # the role has given up what it held
    replies = asyncio.run(answers(roles))
    monkeypatch.setattr(
        PatientInstallation, "_limit", lambda *_: time.monotonic() - 1
    )  # as when its patience is at an end
    listed = relman("env", "list", "--data", roles.url, "--json")

    for subject, each in replies.items():
        for reply in each:
            reason = str(reply.get("reason") or reply.get("error"))
            assert "cannot be used now" in reason, (subject, reply)
            assert "Connection refused" in reason, (subject, reply)
            assert reply.get("status") == "busy" or reply["retry"] is True, (subject, reply)
    assert listed.code == 3
    assert "cannot be used now" in listed.err
    assert "relman up" not in listed.err
    own_server.start()
    for role in serving.values():
        until(lambda role=role: role.status() == 200, 30)  # type: ignore[misc] # the default binds the loop's value
    assert relman("env", "list", "--data", roles.url).code == 0
    for name, text in said_since(roles, logs).items():
        assert "Traceback" not in text, name
        lines = [json.loads(line) for line in text.splitlines()]
        told = Counter((each["event"], each.get("part")) for each in lines if each["level"] in ("warning", "error"))
        # A role that tries again may lose its lease, or find the store away, a second time while the server starts.
        assert all(times <= 3 for times in told.values()), (name, told)


def test_with_the_log_locked_commands_are_busy_with_the_reason_and_questions_are_answered(on_files: Roles) -> None:
    roles = on_files
    gateway = roles.start_all()["gateway"]
    roles.manager().configure_environments({"staging": {}})
    logs = {path: path.stat().st_size for path in roles.root.glob("*.log")}
    lock = sqlite3.connect(roles.home.folder / "log.db", isolation_level=None)

    lock.execute("BEGIN IMMEDIATE")
    replies = asyncio.run(answers(roles, seconds=60.0))
    standing = gateway.status()
    lock.close()

    created = replies.pop("relman.ask.command.release.create")
    assert {reply["status"] for reply in created} == {"busy"}
    assert all("log.db cannot be used now (database is locked)" in reply["reason"] for reply in created)
    assert [row["name"] for row in replies["relman.ask.query.environments"][0]["answer"]] == ["staging"]
    assert replies["relman.ask.outcome"][0] == {"status": "unknown"}
    assert standing == 503
    after = asyncio.run(answers(roles))["relman.ask.command.release.create"]
    assert {reply["status"] for reply in after} == {"accepted", "repeated"}
    until(lambda: gateway.status() == 200, 30)
    logs_since = said_since(roles, logs)
    assert not [name for name, text in logs_since.items() if "Traceback" in text]
    lines = [json.loads(line) for text in logs_since.values() for line in text.splitlines()]
    told = Counter((each["role"], each["event"], each.get("part")) for each in lines if each["level"] != "info")
    assert max(told.values()) <= 3, told


def test_read_models_that_are_removed_while_they_are_read_are_made_again(cli: CommandLine) -> None:
    cli.init()
    cli.done("up", "--detach")
    before = cli.done("env", "list").out
    for file in cli.data.glob("read.db*"):
        file.unlink()

    assert cli.done("env", "list").out == before
    until(lambda: cli.relman("health").code == 0, 30)


def test_a_bus_that_hangs_is_not_taken_for_nobody(cli: CommandLine) -> None:
    cli.init()
    cli.done("up", "--detach")
    [bus] = [process for process in cli.children() if process.name() == "nats-server"]

    bus.suspend()
    asked = cli.relman("env", "list")
    told = cli.relman("health")
    bus.resume()

    assert asked.code == 3
    assert "nats-server hangs, or the way to it is cut off: `relman health` says more" in asked.err
    assert "running?" not in asked.err
    assert (told.code, "bus does not answer" in told.out) == (1, True), told
    bus.kill()
    until(lambda: cli.relman("env", "list").code == 0, 60)


def test_a_sentence_of_several_parts_is_shown_once(relman: Types) -> None:
    troubles = [{"part": part, "says": "the bus hangs"} for part in ("bus gateway", "bus relay", "streams")]
    role = {"role": "road", "instance": "vm:1", "healthy": False, "standing": "active", "since": None}
    document = json.dumps(role | {"troubles": troubles, "warnings": [], "details": {}}).encode()

    class Role(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503)
            self.end_headers()
            self.wfile.write(document)

    with ThreadingHTTPServer(("127.0.0.1", 0), Role) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        told = relman("health", "--address", f"127.0.0.1:{server.server_port}")
        server.shutdown()

    assert (told.code, told.out.count("the bus hangs")) == (1, 1), told


def test_no_running_role_is_another_answer(on_files: Roles, relman: Types, monkeypatch: pytest.MonkeyPatch) -> None:
    on_files.bus.start()
    monkeypatch.setattr(PatientInstallation, "_limit", lambda *_: time.monotonic() - 1)

    told = relman("env", "list", "--data", on_files.url)

    assert told.code == 3
    assert "nobody listens" in told.err
    assert "cannot be used now" not in told.err
