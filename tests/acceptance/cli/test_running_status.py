"""The output of `relman` on what runs is true, with its age, and its exit codes tell programs the same."""

import json
import os
import signal
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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

WEB = "staging/shop/main/web"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """`shop@1.0.0` serves in staging."""
    cli = CommandLine(tmp_path_factory.mktemp("shop"))
    try:
        cli.init()
        cli.done("up", "--detach")
        cli.done("deploy", "shop@1.0.0", "staging", "--wait")
        yield cli
        cli.done("down")
    finally:
        cli.end_everything()


@pytest.fixture
def relman(shop: CommandLine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Types]:
    """`relman` beside the one that runs, in this process; all is well when the test begins, and when it has ended."""
    typed = typist(shop.folder, monkeypatch, capsys)
    until(lambda: typed("env", "show", "staging").code == 0)
    yield typed
    until(lambda: typed("env", "show", "staging").code == 0)
    structlog.reset_defaults()


@contextmanager
def hanging(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def instance(cli: CommandLine) -> int:
    """The process that answers for web."""
    stated = yaml.safe_load((cli.folder / "relman.yaml").read_text())
    port = stated["environments"]["staging"]["targets"]["main"]["components"]["web"]["port"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        return int(json.load(answer)["pid"])


def role(cli: CommandLine, name: str) -> dict[str, Any]:
    """Return the note of a running role."""
    notes = (json.loads(note.read_text()) for note in (cli.data / "run").glob("*.json"))
    return next(note for note in notes if note["role"] == name)


def gauges(cli: CommandLine, name: str) -> dict[str, float]:
    """Web's samples of a gauge of the road, by their last label."""
    with urllib.request.urlopen(f"http://{role(cli, 'road')['address']}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    found = [line for line in lines if line.startswith(f"relman_component_{name}{{")]
    return {line.partition("}")[0]: float(line.rpartition(" ")[2]) for line in found}


def condition(cli: CommandLine) -> list[str]:
    """Return web's condition in the road's metrics."""
    return [name.partition('condition="')[2].partition('"')[0] for name, on in gauges(cli, "condition").items() if on]


def shown(answer: Answer) -> dict[str, Any]:
    """Web, as `env show --json` or one row of `env list --json` has it."""
    document = answer.json if isinstance(answer.json, dict) else answer.json[0]
    [found] = document["conditions"]
    return dict(found)


def test_a_well_component_is_shown_with_the_age_of_the_observation(shop: CommandLine, relman: Types) -> None:
    answer = relman("env", "show", "staging", "--json")

    assert answer.code == 0
    seen = shown(answer)
    assert (seen["condition"], seen["running"], seen["healthy"], seen["looked_by"]) == ("well", 1, 1, "local")
    assert seen["age"] < 10
    assert (seen["condition_since"] or "") <= seen["looked_at"]
    [slot] = answer.json["running"]
    assert (slot["condition"], slot["observed"], slot["age"] < 10) == ("well", 100, True)
    assert relman("health").code == 0
    assert condition(shop) == ["well"]
    [age] = gauges(shop, "look_age_seconds").values()
    assert age < 10


def test_a_killed_process_is_seen_by_every_command_that_shows_it(shop: CommandLine, relman: Types) -> None:
    psutil.Process(instance(shop)).kill()

    until(lambda: relman("env", "show", "staging").code == 1)

    told = relman("audit", "log", "--type", "place.condition_changed", "--limit", "3", "--json").json
    assert any("down" in row["summary"] for row in told)


def test_a_component_that_is_down_shows_in_text_json_exit_codes_health_and_metrics(
    shop: CommandLine, relman: Types
) -> None:
    with hanging(instance(shop)):
        until(lambda: relman("env", "show", "staging").code == 1)
        until(lambda: relman("health").code == 1)

        text = relman("env", "show", "staging")
        assert text.code == 1
        assert "shop/web is down since " in text.out
        assert "does not answer GET /health" in " ".join(text.out.split())
        seen = relman("env", "show", "staging", "--json")
        assert seen.code == 1
        assert (shown(seen)["condition"], shown(seen)["running"], shown(seen)["healthy"]) == ("down", 1, 0)
        assert shown(seen)["age"] < 10
        assert shown(seen)["condition_since"] <= shown(seen)["looked_at"]
        listed = relman("env", "list")
        assert (listed.code, "shop/web down" in listed.out) == (0, True)
        assert shown(relman("env", "list", "--json"))["condition"] == "down"
        health = relman("health")
        assert (health.code, f"not well: {WEB} (down)" in health.err) == (1, True)
        document = relman("health", "--json")
        assert document.code == 1
        [row] = [
            each
            for found in document.json["error"]["roles"]
            for each in found["details"].get("components", {}).get("local", [])
        ]
        assert (row["component"], row["condition"]) == (WEB, "down")
        assert row["age"] < 10
        assert condition(shop) == ["down"]


def test_deploying_again_what_is_down_does_not_say_that_it_runs(shop: CommandLine, relman: Types) -> None:
    with hanging(instance(shop)):
        until(lambda: relman("env", "show", "staging").code == 1)

        plain = relman("deploy", "shop@1.0.0", "staging")
        waiting = relman("deploy", "shop@1.0.0", "staging", "--wait")

    assert plain.code == 0
    assert "already so: it was deployed there" in plain.out
    assert "  ! shop/web is down since " in plain.out
    assert (waiting.code, waiting.out) == (1, "")
    assert "shop@1.0.0 was deployed in staging before, and shop/web is down since " in waiting.err
    assert "to bring it again: relman deploy shop@1.0.0 staging --redeploy" in waiting.err


def test_a_component_without_observations_is_unknown_after_ten_seconds(shop: CommandLine, relman: Types) -> None:
    with hanging(role(shop, "road")["pid"]):
        began = time.monotonic()
        until(lambda: relman("env", "show", "staging").code == 1)
        assert time.monotonic() - began > 5

        answer = relman("env", "show", "staging")
        seen = shown(relman("env", "show", "staging", "--json"))
        listed = relman("env", "list").out
        health = relman("health")

    assert answer.code == 1
    assert "shop/web is unknown: nobody has looked for " in " ".join(answer.out.split())
    assert (seen["condition"], seen["running"], seen["healthy"]) == ("unknown", None, None)
    assert seen["age"] > 10
    assert "shop/web unknown" in listed
    assert (health.code, "not well: road" in health.err) == (1, True)
