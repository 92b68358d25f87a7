"""The effects on a command of hostile text, of a shell, or of a broken connection."""

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import structlog

from release_management.cli.kit.errors import (
    UNREACHABLE,
    exit_code,
    explained,
    report,
)
from release_management.cli.kit.output import (
    line,
    listing,
    printable,
    show,
)
from release_management.cli.kit.settings import Settings, begin
from release_management.facade.views import Release
from release_management.kernel.errors import ErrorCode
from release_management.kernel.visible import visible
from release_management.runtime.program_log import log_errors
from release_management.runtime.roles.kit.health import Health
from release_management.runtime.roles.kit.probes import HealthServer
from tests.acceptance.cli.conftest import Types
from tests.acceptance.cli.harness import (
    ROOT,
    CommandLine,
    until,
)


@pytest.mark.parametrize("data", ["nats://", "nats://host:port", "http://x", ":memory:", ""])
def test_data_that_is_no_folder_and_no_bus_is_a_usage_error(data: str, relman: Types, tmp_path: Path) -> None:
    answer = relman("init", "--data", data)
    assert answer.code == 2
    assert "write the path of a folder, or nats://HOST:PORT" in answer.err
    assert list(tmp_path.iterdir()) == []


def test_so_it_is_in_the_environment(relman: Types, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELMAN_DATA", "http://x")
    answer = relman("env", "list")
    assert answer.code == 2
    assert "RELMAN_DATA" in answer.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_change_nothing(closed: str, tmp_path: Path) -> None:
    line = f"{shlex.quote(sys.executable)} -m release_management.cli env list --data {shlex.quote(str(tmp_path))}"
    ended = subprocess.run(f"{line} {closed}", shell=True, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert ended.returncode == UNREACHABLE
    assert "Traceback" not in ended.stderr


def test_a_connection_that_breaks_is_not_reachable() -> None:
    error = ConnectionResetError(104, "Connection reset by peer")
    assert exit_code(error) == UNREACHABLE
    assert "relman up ended meanwhile" in explained(error)


def test_control_characters_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert printable("a\x1b[2J\x9b\u202eb\u2066\tc\nd\r") == "a\ufffd[2J\ufffd\ufffdb\ufffd\tc\nd\ufffd"
    begin(Settings())
    show(None, listing("name", "why", rows=[("x\x1b[31m", "two\nlines"), (None, "y")], empty="none"))
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["name", "why"],
        ["x\ufffd[31m", "two", "lines"],
        ["y"],
    ]


HOSTILE = "x\x1b[31m\x9b2J\u202e\u2066\u200f\u061c\u2028\u200b\U000e0041\ud800y"


def test_json_has_escapes_for_what_a_terminal_would_obey_also_where_it_goes_to_a_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    begin(Settings(json=True))
    show({"name": HOSTILE})
    line({"name": HOSTILE}, "")
    report(f"no environment {HOSTILE}", 1, ErrorCode.NOT_FOUND, json_too=True)
    printed = capsys.readouterr()
    assert harmless(printed.out)
    assert harmless(printed.err)
    assert printed.out.count(r"\u009b2J\u202e\u2066\u200f\u061c\u2028\u200b\udb40\udc41\ud800y") == 3


def test_the_printed_answer_has_no_control_characters() -> None:
    release = Release(ref="shop@1.0.0", application="shop", version="1.0.0", label=HOSTILE[:-2], changelog=(HOSTILE,))
    assert harmless(str(release))
    assert harmless(repr(release))
    assert "x\ufffd[31m" in str(release)


@pytest.mark.parametrize(
    "arguments", [(HOSTILE,), ("env", HOSTILE), ("env", "list", f"--{HOSTILE}"), ("env", "list", HOSTILE)]
)
def test_a_usage_error_quotes_arguments_without_it(arguments: tuple[str, ...], relman: Types) -> None:
    for json_too in ((), ("--json",)):
        answer = relman(*arguments, *json_too)
        assert answer.code == 2
        assert harmless(answer.out)
        assert harmless(answer.err)


def test_an_error_that_is_logged_on_a_console_has_none_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    structlog.reset_defaults()
    log_errors()
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        structlog.get_logger().exception(HOSTILE, subject=HOSTILE)
    finally:
        structlog.reset_defaults()
    errors = capsys.readouterr().err
    assert "ValueError" in errors
    assert harmless(errors)


def harmless(text: str) -> bool:
    """Return True if a terminal shows all of it."""
    return visible(text) == text


@pytest.mark.parametrize(
    "note", ["0", "[" * 100_000, "{}", '{"host": "HOST", "pid": 1e30}', '{"host": "HOST", "pid": 9}']
)
def test_a_note_of_a_role_that_is_none_is_passed_over(note: str, relman: Types, tmp_path: Path) -> None:
    for number in (10**30, os.getpid()):
        file = tmp_path / ".relman" / "run" / f"{number}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(note.replace("HOST", socket.gethostname()).replace("1e30", str(number)))

    assert relman("health").code == UNREACHABLE


def test_down_ends_everything_though_the_road_is_paused_or_was_killed(cli: CommandLine) -> None:
    cli.init()
    cli.done("up", "--detach")
    cli.done("deploy", "shop@1.0.0", "staging", "--wait")
    os.kill(road(cli), signal.SIGSTOP)
    began = time.monotonic()
    cli.done("down")
    assert time.monotonic() - began < 20
    assert cli.children() == []

    up = cli.done("up", "--detach", "--json").json["pid"]
    os.kill(up, signal.SIGSTOP)
    os.kill(road(cli), signal.SIGKILL)
    os.kill(up, signal.SIGTERM)
    os.kill(up, signal.SIGCONT)
    until(lambda: cli.children() == [])


def road(cli: CommandLine) -> int:
    words = ["release_management.runtime.roles", "road"]
    [pid] = [each.pid for each in cli.children() if each.cmdline()[2:4] == words]
    return pid


@pytest.mark.parametrize("bus", ["nats://[bad", "http://x", "nats://", "nats://u:p@127.0.0.1:99999"])
def test_serve_takes_no_bus_that_is_none(bus: str, relman: Types) -> None:
    answer = relman("serve", "relay", "--bus", bus)
    assert answer.code == 2
    assert "write nats://USER:PASSWORD@HOST:PORT, several after commas" in answer.err


def test_an_executor_is_asked_for_its_health_where_nothing_else_is(relman: Types, tmp_path: Path) -> None:
    health = Health("executor")
    health.set_status("active")
    server = HealthServer(health)
    run = tmp_path / ".relman" / "run"
    run.mkdir(parents=True)
    note = {"role": "executor", "host": socket.gethostname(), "pid": os.getpid(), "address": server.address}
    (run / "here.json").write_text(json.dumps(note))
    elsewhere = run / "elsewhere.json"
    elsewhere.write_text(json.dumps({**note, "host": "another", "pid": 1, "address": "127.0.0.1:1"}))

    answer = relman("health", "--data", str(tmp_path / ".relman"))

    server.close()
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.count("executor") == 1
    assert elsewhere.exists()


@pytest.mark.parametrize(("role", "code"), [("executor", 0), ("gateway", 0), ("road", 0), ("projector", 3), ("x", 3)])
def test_a_role_that_the_road_serves_is_as_the_road_is(role: str, code: int, relman: Types, tmp_path: Path) -> None:
    health = Health("road")
    health.set_status("active")
    server = HealthServer(health)
    run = tmp_path / ".relman" / "run"
    run.mkdir(parents=True)
    (tmp_path / ".relman" / "log.db").touch()
    note = {"role": "road", "host": socket.gethostname(), "pid": os.getpid(), "address": server.address}
    (run / "here.json").write_text(json.dumps(note))

    answer = relman("health", role, "--data", str(tmp_path / ".relman"))

    server.close()
    assert answer.code == code
    assert ("road" in answer.out) == (code == 0)
