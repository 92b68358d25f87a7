"""Whoever follows or asks is patient while something restarts, and says once what he waits for."""

import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from tests.acceptance.cli.harness import (
    Answer,
    CommandLine,
    until,
)
from tests.servers.postgres import PostgresServer

CANARY = 'steps=[{"set_weight": 50}, {"pause": {"duration": 120}}]'
"""It pauses for so long that no machine is too slow to end what is ended during the pause; a promotion ends it."""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


def deploying(cli: CommandLine, *arguments: str) -> "subprocess.Popen[str]":
    """Deploy a canary and wait for its end; returns once the first share has been set."""
    waiting = cli.start(*canary(cli), "--wait", *arguments)
    if "--json" in arguments:
        until(lambda: "Paused" in cli.relman("deployment", "list", "--active").out)
        return waiting
    assert waiting.stdout is not None
    for line in waiting.stdout:
        if "50 % candidate" in line:
            return waiting
    raise AssertionError(answer(waiting))


def canary(cli: CommandLine) -> tuple[str, ...]:
    """The command that deploys a canary beside a version that has succeeded."""
    cli.done("deploy", "shop@1.0.0", "staging", "--wait")
    cli.done("release", "create", "shop@7.0.0", "--component", "web")
    return ("deploy", "shop@7.0.0", "staging", "--strategy", "canary", "--set", CANARY, "--set", "scale_down_delay=0")


def promote(cli: CommandLine) -> None:
    """End the pause of the only active deployment."""
    [active] = cli.done("deployment", "list", "--active", "--json").json
    cli.done("deployment", "promote", active["id"])


def answer(waiting: "subprocess.Popen[str]") -> Answer:
    out, err = waiting.communicate(timeout=90)
    return Answer(waiting.returncode, out, err)


def part(cli: CommandLine, *words: str) -> psutil.Process:
    """The process of `up` in whose command line all the words stand."""
    [found] = [
        each for each in cli.children() if all(any(word in argument for argument in each.cmdline()) for word in words)
    ]
    return found


def waits_until(cli: CommandLine, is_back: Callable[[], object]) -> None:
    """Let what was ended be away for three seconds."""
    time.sleep(3)
    is_back()


def test_a_deployment_is_followed_through_a_restart_of_postgresql(cli: CommandLine, server: PostgresServer) -> None:
    cli.init()
    cli.done("up", "--detach", "--store", server.new_database())
    waiting = deploying(cli)
    server.stop()
    waits_until(cli, server.start)
    promote(cli)

    done = answer(waiting)

    assert (done.code, "Succeeded" in done.out) == (0, True), done
    assert done.err.count("relman: waiting: ") == 1, done
    assert "relman: answered again after " in done.err


def test_a_query_waits_for_postgresql(cli: CommandLine, server: PostgresServer) -> None:
    """Also where nothing but the question runs."""
    cli.init()
    cli.done("up", "--detach", "--store", server.new_database())
    for stop in (lambda: None, lambda: cli.done("down")):
        stop()
        server.stop()
        asking = [
            cli.start(*words.split())
            for words in ("env list", "audit export", "release create shop@8.0.0 --component web")
        ]
        waits_until(cli, server.start)
        for each in asking:
            done = answer(each)
            assert done.code == 0, done
            assert done.err.count("relman: waiting: ") <= 1


def test_a_start_waits_for_postgresql_and_says_so(cli: CommandLine, server: PostgresServer) -> None:
    cli.init()
    store = server.new_database()
    cli.done("up", "--detach", "--store", store)
    cli.done("down")
    server.stop()
    starting = cli.start("up", "--detach", "--store", store)
    assert starting.stderr is not None
    sentence = starting.stderr.readline()
    server.start()

    started = answer(starting)

    assert (started.code, "relman is up" in started.out) == (0, True), started
    assert sentence.startswith("relman: waiting: gateway is not ready yet: ")
    assert "cannot be used now" in sentence, sentence


def test_a_deployment_is_followed_through_the_death_of_the_only_projector(cli: CommandLine) -> None:
    cli.init()
    cli.done("up", "--detach", "--apart")
    waiting = deploying(cli, "--json")
    part(cli, "runtime.roles", "projector").send_signal(signal.SIGSTOP)
    time.sleep(6)
    part(cli, "runtime.roles", "projector").kill()
    promote(cli)

    done = answer(waiting)

    assert done.code == 0, done
    assert done.json["phase"] == "Succeeded"
    assert done.err.count("relman: waiting: no answer on relman.ask.query.") == 1, done


def test_a_deployment_is_followed_through_a_restart_of_everything(cli: CommandLine) -> None:
    cli.init()
    cli.done("up", "--detach")
    tailing = cli.start("events", "tail", "--after", "0", "--json")
    waiting = deploying(cli)
    up = psutil.Process(int((cli.data / "lock").read_text()))
    up.terminate()
    up.wait(30)
    waits_until(cli, lambda: cli.done("up", "--detach"))
    promote(cli)

    done = answer(waiting)
    tailing.send_signal(signal.SIGINT)
    seen = answer(tailing)

    assert (done.code, "Succeeded" in done.out) == (0, True), done
    assert done.err.count("relman: waiting: ") == 1, done
    assert "the connection to the bus is lost" in done.err or "nobody listens on relman.ask.query" in done.err
    assert '"type":"deployment.succeeded"' in seen.out.replace(" ", "")
    assert seen.err.count("relman: waiting: the connection to the bus is lost") == 1


def test_an_expired_wait_shows_the_last_phase_and_that_the_deployment_goes_on(cli: CommandLine) -> None:
    cli.init()
    cli.done("up", "--detach")
    waiting = deploying(cli, "--timeout", "20", "--json")
    cli.done("down")

    over = answer(waiting)

    error = over.json["error"]
    assert (over.code, error["exit"], error["kind"]) == (4, 4, "timeout"), over
    assert "goes on, and nobody could say how it is; it was Paused when it was last seen: " in error["reason"]
    assert error["deployment"]["release"] == "shop@7.0.0"
    cli.done("up", "--detach")


def test_a_deployment_that_takes_longer_than_its_waiter_has_time_has_an_exit_code_of_its_own(cli: CommandLine) -> None:
    cli.init()
    cli.done("up", "--detach")

    over = cli.relman(*canary(cli), "--wait", "--timeout", "1")

    assert over.code == 4
    assert re.search(
        r"is (Progressing|Paused) after [01][.0-9]* s; it goes on; see: relman deployment show ", over.err
    ), over


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--timeout", "5"), "--timeout: it says how long --wait waits; add --wait"),
        (("--dry-run", "--wait"), "--wait: --dry-run records nothing"),
    ],
)
def test_an_option_that_would_have_no_effect_is_refused(
    cli: CommandLine, words: tuple[str, ...], sentence: str
) -> None:
    refused = cli.relman("deploy", "shop@1.0.0", "staging", *words)

    assert refused.code == 2
    assert sentence in refused.err, refused


def test_a_permanent_error_is_reported_at_once(cli: CommandLine) -> None:
    cli.init()
    cli.done("up", "--detach")
    began = time.monotonic()

    nothing = cli.relman("deployment", "show", "0199b2f4-6d3a-7c51-9a40-1f2e3d4c5b6a")
    unknown = cli.relman("deploy", "shop@9.9.9", "staging", "--wait")

    assert (nothing.code, unknown.code) == (1, 1)
    assert "waiting" not in nothing.err + unknown.err
    assert time.monotonic() - began < 45  # less than the patience of both, on a machine that is busy
