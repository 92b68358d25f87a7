"""From `relman init` to `relman down`, with real processes."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import structlog
import yaml

from tests.acceptance.cli.conftest import Types, typist
from tests.acceptance.cli.harness import (
    Answer,
    CommandLine,
    until,
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """`relman init && relman up --detach && relman deploy shop@1.0.0 staging --wait`, as a person types it."""
    cli = CommandLine(tmp_path_factory.mktemp("shop"))
    try:
        cli.init()
        up = cli.done("up", "--detach")
        assert "relman.yaml: + release shop@1.0.0: web" in up.out
        deployed = cli.done("deploy", "shop@1.0.0", "staging", "--wait")
        assert "  ✔ 1/4 run 1 of the candidate version of web on main\n" in deployed.out
        assert "✔ shop@1.0.0 → staging   rolling   Succeeded" in deployed.out
        assert "\x1b" not in deployed.out
        yield cli
        down = cli.done("down", "--json").json
        assert down["folder"] == str(cli.data)
        assert cli.children() == [], "down leaves nothing behind"
        again = cli.relman("down")
        assert (again.code, again.err) == (
            1,
            f"relman: nothing runs in {cli.data}; start it with: relman up\n",
        )
    finally:
        cli.end_everything()


@pytest.fixture
def here(shop: CommandLine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Types]:
    """`relman` beside the one that runs; in this process, which is quicker."""
    yield typist(shop.folder, monkeypatch, capsys)
    structlog.reset_defaults()


def done(answer: Answer) -> Answer:
    assert answer.code == 0, answer
    return answer


def outcomes_in(shop: CommandLine) -> int:
    """How many outcomes of commands are stored."""
    with contextlib.closing(sqlite3.connect(f"file:{shop.data / 'log.db'}?mode=ro", uri=True)) as log:
        return int(log.execute("SELECT count(*) FROM commands").fetchone()[0])


def refused(answer: Answer, sentence: str) -> None:
    assert answer.code == 1, answer
    assert sentence in answer.err
    assert answer.err.count("\n") == 1


def test_the_component_answers_with_its_version(shop: CommandLine, here: Types) -> None:
    ports = yaml.safe_load((shop.folder / "relman.yaml").read_text())["environments"]["staging"]["targets"]["main"]
    with urllib.request.urlopen(f"http://127.0.0.1:{ports['components']['web']['port']}/", timeout=5) as response:
        version = json.load(response)["version"]
    shown = done(here("env", "show", "staging")).out
    assert "shop/web" in shown
    [running] = done(here("env", "show", "staging", "--json")).json["running"]
    assert (running["version"], running["intended"], running["observed"]) == (version, 100, 100)


def test_a_dry_run_shows_the_plan_and_stores_nothing(shop: CommandLine, here: Types) -> None:
    before, outcomes = done(here("audit", "export")).out, outcomes_in(shop)
    planned = done(here("deploy", "shop@1.0.0", "production", "--dry-run", "--strategy", "canary", "--json")).json
    assert planned["phase"] == "Preview"
    assert "wait" in {verdict["says"] for verdict in planned["verdicts"]}
    assert done(here("audit", "export")).out == before
    refused(here("deploy", "shop@9.9.9", "production", "--dry-run"), "release shop@9.9.9 does not exist")
    assert done(here("audit", "export")).out == before
    assert outcomes_in(shop) == outcomes


def test_an_approval_is_somebody_elses(here: Types) -> None:
    asked = done(here("deploy", "shop@1.0.0", "production", "--wait"))
    assert "AwaitingApproval" in asked.out
    [waiting] = done(here("approval", "list", "--json")).json
    assert f"next: relman approval grant {waiting['id']} (somebody else)" in asked.out
    refused(here("approval", "grant", waiting["id"]), "may not approve it; somebody else must")
    granted = done(here("approval", "grant", waiting["id"], "--as", "bob", "--note", "looks good", "--json")).json
    assert (granted["phase"], granted["signatures"][0]["by"]) == ("Granted", "bob")
    assert "Succeeded" in done(here("deploy", "shop@1.0.0", "production", "--wait")).out
    assert done(here("approval", "list")).out == "no approval waits\n"


def test_a_canary_waits_for_a_person_and_goes_on_or_back(here: Types) -> None:
    done(here("release", "create", "shop@1.1.0", "--component", "web"))
    steps = ("--strategy", "canary", "--set", 'steps=[{"set_weight":25},{"pause":{}}]', "--set", "scale_down_delay=0",
             "--set", "abort_scale_down_delay=0")  # fmt: skip
    paused = done(here("deploy", "shop@1.1.0", "staging", *steps, "--wait"))
    [active] = done(here("deployment", "list", "--active", "--json")).json
    promote = f"next: relman deployment promote {active['id']} --step 4, or: relman deployment abort {active['id']}"
    assert promote in paused.out
    assert "at 25 %" in done(here("deployment", "show", active["id"])).out
    assert done(here("deployment", "abort", active["id"], "--reason", "too slow", "--json")).json["phase"] == "Aborting"
    until(lambda: done(here("deployment", "show", active["id"], "--json")).json["phase"] == "RolledBack")
    failed = here("deploy", "shop@1.1.0", "staging", "--timeout", "0", *steps, "--wait", "--json")
    assert failed.code == 4
    assert "it goes on" in failed.json["error"]["reason"]
    [again] = done(here("deployment", "list", "--active", "--json")).json
    until(lambda: bool(done(here("deployment", "show", again["id"], "--json")).json["awaits_person"]))
    done(here("deployment", "promote", again["id"], "--full"))
    assert "Succeeded" in done(here("deploy", "shop@1.1.0", "staging", "--wait")).out


def test_bad_input_is_one_sentence(here: Types) -> None:
    refused(here("deploy", "shop@1.0.0", "moon"), "environment 'moon' does not exist; known: staging, production")
    refused(here("deploy", "shop@9.9.9", "staging"), "release shop@9.9.9 does not exist; create it with: relman")
    refused(here("release", "create", "shop@1.x", "--component", "web"), "'1.x' is no semantic version")
    over = here("deploy", "shop@1.0.0", "staging", "--strategy", "canary", "--set", 'steps=[{"set_weight":101}]')
    refused(over, "steps.0.set_weight: Input should be less than or equal to 100")
    done(here("release", "create", "shop@2.0.0", "--component", "web", "--draft"))
    draft = here("deploy", "shop@2.0.0", "staging", "--json")
    refused(draft, "shop@2.0.0 is a draft; publish it with: relman release publish shop@2.0.0")
    assert {"release", "approval"} <= {verdict["rule"] for verdict in draft.json["error"]["verdicts"]}
    refused(here("deployment", "show", "nothing"), "deployment nothing does not exist")


def test_a_second_up_says_who_is_there(shop: CommandLine) -> None:
    pid = (shop.data / "lock").read_text().strip()
    for arguments in (("up",), ("up", "--detach")):
        answer = shop.relman(*arguments)
        refused(answer, f"the folder {shop.data} is in use by the process {pid}")


def test_events_are_followed_until_interrupted(shop: CommandLine) -> None:
    tail = shop.start("events", "tail", "--after", "0", "--json")
    assert tail.stdout is not None
    first = json.loads(tail.stdout.readline())
    assert (first["position"], first["event"]["type"]) == (1, "environment.configured")
    tail.send_signal(signal.SIGINT)
    _, err = tail.communicate(timeout=20)
    assert (tail.returncode, err) == (130, "")


def test_an_export_holds_the_records_as_they_are(shop: CommandLine, here: Types) -> None:
    from release_management.adapters.event_store import SQLiteEventLog
    from release_management.domain.registry import Registry

    written = done(here("audit", "export", "--output", "trail.jsonl", "--json")).json
    log = SQLiteEventLog.open(shop.data / "log.db", Registry().knows)
    records = [each.record + b"\n" for each in log.read(0, written["records"])]
    log.close()
    exported = (shop.folder / "trail.jsonl").read_bytes()
    assert exported == b"".join(records)
    after = done(here("audit", "export", "--after", str(written["last"] - 1))).out
    assert after.encode().startswith(records[-1])


def test_a_closed_pipe_is_no_error(shop: CommandLine) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    export = subprocess.Popen(
        [*shop.relman_command(), "audit", "export"],
        cwd=shop.folder,
        env=shop.environment,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writing)
    _, err = export.communicate(timeout=20)
    assert (export.returncode, err) == (141, "")


def test_dead_letters_are_listed_and_projections_rebuilt_beside_the_running_ones(here: Types) -> None:
    assert done(here("dead-letters", "list")).out == "there is no dead letter\n"
    before = done(here("deployment", "list", "--json")).out
    assert done(here("projections", "rebuild")).out.startswith("✔ every projection was rebuilt from the log")
    assert done(here("deployment", "list", "--json")).out == before


def test_up_in_the_foreground_stops_on_a_signal_and_is_back(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "relman.yaml").write_text("environments:\n  staging: {tiers: x}\n")
    up = cli.start("up")
    assert up.stdout is not None
    assert up.stdout.readline().startswith("✔ relman is up after ")
    lines = [up.stdout.readline() for _ in range(4)]
    assert lines[0] == f"  data   {cli.data}\n"
    assert "@" not in lines[1], "the password is not printed"
    killed = cli.children()
    assert len(killed) > 2
    up.send_signal(signal.SIGINT)
    out, err = up.communicate(timeout=30)
    assert up.returncode == 0
    assert out.endswith("✔ stopped; nothing is left running\n")
    assert err == (
        "relman: relman.yaml was not applied: relman.yaml, line 2: environments.staging.tiers: there is no such key; "
        "there are name, label, tier, order, approval, variables, applications, targets\n"
    )
    assert cli.children() == []
    assert cli.done("projections", "rebuild", "--json").json["rebuilt"] == "all"
    refused(cli.relman("projections", "rebuild", "nonsense"), "there is no projection 'nonsense'; there are")


def test_a_stop_ends_all_that_it_can_and_names_what_it_cannot(cli: CommandLine) -> None:
    cli.init()
    up = cli.start("up")
    assert up.stdout is not None
    assert up.stdout.readline().startswith("✔ relman is up after ")
    cli.done("deploy", "shop@1.0.0", "staging", "--wait")
    newer = cli.data / "targets" / "staging" / "another" / "main" / "web" / "state.json"
    newer.parent.mkdir(parents=True)
    newer.write_text('{"altitude": 7}')
    up.send_signal(signal.SIGINT)
    out, err = up.communicate(timeout=60)
    assert (up.returncode, "nothing is left running" in out) == (1, False)
    assert err.startswith(
        "relman: stopped, but not everything could be ended: what runs for staging/another/main/web may go on: "
        f"{newer} cannot be read, perhaps because a newer version wrote it: "
    )
    assert err.count("\n") == 1
    assert cli.children() == []


def test_without_up_what_must_move_is_not_reachable(relman: Types, tmp_path: Path) -> None:
    done(relman("release", "create", "shop@1.0.0", "--component", "web"))
    for line in (
        "deploy shop@1.0.0 staging",
        "deployment promote x",
        "approval grant x",
        "events tail",
        "dead-letters list",
    ):
        answer = relman(*line.split(), "--json")
        assert answer.code == 3, line
        assert answer.json["error"]["reason"] == f"nothing runs in {tmp_path / '.relman'}; start it with: relman up"


def test_two_commands_at_once_wait_for_one_another(cli: CommandLine) -> None:
    commands = [cli.start("release", "create", f"shop@1.0.{n}", "--component", "web") for n in range(2)]
    for command in commands:
        _, err = command.communicate(timeout=30)
        assert command.returncode == 0, err
    assert len(cli.done("release", "list", "--json").json) == 2


def test_down_leaves_other_programs_alone(cli: CommandLine) -> None:
    code = (
        "import sys; from release_management import ReleaseManager as M; m = M('shop'); print(1, flush=True); input()"
    )
    owner = subprocess.Popen(
        [cli.relman_command()[0], "-c", code],
        cwd=cli.folder,
        env=cli.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    assert owner.stdout.readline() == "1\n"
    refused(cli.relman("down"), f"{cli.data} is in use by process {owner.pid}, which is no relman up")
    answer = cli.relman("release", "list")
    assert answer.code == 3, "it waited for the folder, and says who has it"
    assert f"in use by the process {owner.pid}" in answer.err
    assert psutil.pid_exists(owner.pid)
    owner.communicate("\n", timeout=20)
