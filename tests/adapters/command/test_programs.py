"""The input of a program, and the meaning of its output."""

import json
from pathlib import Path

import pytest

from release_management.domain.orders import Order
from release_management.domain.plan import Action
from release_management.domain.plan.steps.await_healthy import AwaitSlotHealthy
from release_management.domain.plan.steps.provision import ProvisionSlot
from release_management.domain.plan.steps.retire import RetireSlot
from release_management.domain.plan.steps.route import RouteSlots
from tests.adapters.command.harness import CommandExecutorHarness

PROVISION = ProvisionSlot(slot="blue", version="1.2.0", artifact="shop.tar", config={"MODE": "fast"}, replicas=3)
HEALTHY = AwaitSlotHealthy(slot="blue", replicas=1)
HALF = RouteSlots(weights={"blue": 50, "green": 50})


def test_the_order_comes_as_json_and_as_variables(harness: CommandExecutorHarness, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    harness.variables = {"REGION": "eu", "PASSWORD": f"file:{secret}"}
    harness.settings["env"] = {"LEVEL": "info"}
    harness.program("provision", f"cat > {tmp_path}/stdin; env > {tmp_path}/env")
    order = harness.order(PROVISION)
    assert harness.ask(order).result == "succeeded"
    assert Order.model_validate_json((tmp_path / "stdin").read_bytes()) == order
    env = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    assert {name: value for name, value in env.items() if name.startswith("RELMAN_")} == {
        "RELMAN_AGAIN": "",
        "RELMAN_APPLICATION": "shop",
        "RELMAN_ARTIFACT": "shop.tar",
        "RELMAN_ATTEMPT": "1",
        "RELMAN_COMPONENT": harness.component,
        "RELMAN_DEADLINE": order.deadline,
        "RELMAN_DEPLOYMENT": order.deployment,
        "RELMAN_ENVIRONMENT": "prod",
        "RELMAN_FENCE": "1",
        "RELMAN_INSTANCE": env["RELMAN_INSTANCE"],
        "RELMAN_LEG": "forward",
        "RELMAN_REPLICAS": "3",
        "RELMAN_SECRETS": "PASSWORD",
        "RELMAN_SLOT": "blue",
        "RELMAN_STEP": "1",
        "RELMAN_TARGET": "main",
        "RELMAN_VERB": "provision",
        "RELMAN_VERSION": "1.2.0",
        "RELMAN_WEIGHTS": "",
    }
    assert {name: env[name] for name in ("REGION", "PASSWORD", "LEVEL", "MODE")} == {
        "REGION": "eu",
        "PASSWORD": "hunter2",
        "LEVEL": "info",
        "MODE": "fast",
    }


def test_the_values_of_secrets_are_kept_nowhere(harness: CommandExecutorHarness, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    harness.variables = {"PASSWORD": f"file:{secret}"}
    harness.program("provision", 'echo "cannot log in with $PASSWORD"; exit 1')
    report = harness.ask(harness.order(PROVISION))
    assert report.reason == 'exited with code 1; its last line was "cannot log in with ***"'
    assert not [path for path in harness.place.glob("*.json") if b"hunter2" in path.read_bytes()]


@pytest.mark.parametrize(
    ("body", "result", "reason"),
    [
        ("exit 0", "succeeded", None),
        ("echo it is there; exit 0", "succeeded", None),
        ("echo no disk; exit 1", "failed", 'exited with code 1; its last line was "no disk"'),
        ("echo no disk >&2; exit 3", "errored", 'exited with code 3; its last line was "no disk"'),
        ("kill -9 $$", "errored", "exited by signal 9; it wrote nothing"),
        ('echo \'{"reason": "all is well"}\'', "succeeded", "all is well"),
        ('echo hello; echo \'{"result": "failed", "reason": "it is bad"}\'', "failed", "it is bad"),
        ('echo \'{"result": "failed"}\'', "failed", "the program answers 'failed' without a reason"),
        ('echo \'{"result": "stale", "reason": "seen"}\'', "stale", "seen"),
        ('printf \'{\\n "result":\\n "errored",\\n "reason": "no disk"\\n}\\n\'', "errored", "no disk"),
        ('echo \'{"reason": "it is bad"}\'; exit 1', "failed", "it is bad"),
        (
            'echo \'{"result": "succeeded"}\'; exit 1',
            "errored",
            'the program answers "succeeded", but exited with code 1',
        ),
        ('echo \'{"result": "fine"}\'', "errored", "the program's answer cannot be used: result: "),
        ("echo '{\"result\": '", "errored", "the program's answer cannot be used: "),
        (
            'echo \'{"result": "failed", "result": "succeeded"}\'',
            "errored",
            "the program's answer cannot be used: the key 'result' stands twice in one object",
        ),
        ('echo \'{"colour": "red"}\'', "errored", "the program's answer cannot be used: colour: "),
    ],
)
def test_the_exit_code_and_the_answer_make_the_report(
    harness: CommandExecutorHarness, body: str, result: str, reason: str | None
) -> None:
    harness.program("provision", f"{body}\nexit $?")
    report = harness.ask(harness.order(PROVISION))
    assert (report.result, str(report.reason)[: len(str(reason))]) == (result, str(reason))


@pytest.mark.parametrize(
    ("observed", "result"),
    [
        ({"blue": 50, "green": 50}, "succeeded"),
        ({"blue": 50, "green": 50, "red": 0}, "succeeded"),
        ({"blue": 60, "green": 40}, "errored"),
        ({"blue": 500}, "errored"),
    ],
)
def test_observed_shares_must_be_those_that_were_asked_for(
    harness: CommandExecutorHarness, observed: dict[str, int], result: str
) -> None:
    harness.program("route", f"echo '{json.dumps({'observed': observed})}'; exit 0")
    report = harness.ask(harness.order(HALF))
    assert report.result == result
    assert report.observed == (observed if result == "succeeded" else None)


def test_a_programs_output_is_kept_up_to_64_kb(harness: CommandExecutorHarness) -> None:
    harness.program("provision", "echo first; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last; exit 2")
    report = harness.ask(harness.order(PROVISION))
    assert report.reason == 'exited with code 2; its last line was "last"'
    log = harness.log()
    assert log.startswith("--- provision, fence 1, attempt 1\nfirst\nxxx")
    assert log.endswith("xxx\nlast\n")
    assert "bytes are left out here" in log
    assert len(log) < 64 * 1024 + 200


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["/no/such/program"], "provision cannot be started: there is no program /no/such/program"),
        (["no-such-program"], "provision cannot be started: there is no program 'no-such-program' on the PATH"),
        (["/etc/passwd"], "provision cannot be started: /etc/passwd is not executable"),
    ],
)
def test_a_program_that_cannot_be_started_is_errored(
    harness: CommandExecutorHarness, command: list[str], reason: str
) -> None:
    order = harness.order(PROVISION)
    commands = {**dict.fromkeys(("await_healthy", "retire"), command), "provision": command}
    order = order.model_copy(update={"settings": {"commands": commands}})
    report = harness.ask(order)
    assert (report.result, report.reason) == ("errored", reason)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cwd": "/no/such/folder"}, "provision cannot be started: the folder /no/such/folder does not exist"),
        ({"colour": "red"}, "the settings of {} cannot be used: colour: "),
    ],
)
def test_bad_settings_are_errored(harness: CommandExecutorHarness, changes: dict[str, str], reason: str) -> None:
    harness.settings.update(changes)
    report = harness.ask(harness.order(PROVISION))
    assert report.result == "errored"
    assert str(report.reason).startswith(reason.format(harness.component))


def test_a_missing_secret_is_errored(harness: CommandExecutorHarness) -> None:
    harness.variables = {"KEY": "env:NO_SUCH"}
    report = harness.ask(harness.order(PROVISION))
    assert report.result == "errored"
    assert "the variable KEY refers to env:NO_SUCH" in str(report.reason)


def test_a_working_folder_is_where_a_program_runs(harness: CommandExecutorHarness, tmp_path: Path) -> None:
    harness.settings["cwd"] = str(tmp_path)
    harness.program("provision", "pwd > here")
    harness.do(PROVISION)
    assert (tmp_path / "here").read_text() == f"{tmp_path}\n"


@pytest.mark.parametrize(("action", "result"), [(PROVISION, "errored"), (HEALTHY, "failed")])
def test_a_program_that_takes_too_long_is_ended(harness: CommandExecutorHarness, action: Action, result: str) -> None:
    harness.settings["timeout"] = 0.3
    harness.program(action.verb, "echo waiting; sleep 60")
    report = harness.ask(harness.order(action))
    assert report.result == result
    assert report.reason == f'{action.verb} took longer than 0.3 s and was ended; its last line was "waiting"'


def test_the_orders_deadline_ends_a_program_too(harness: CommandExecutorHarness) -> None:
    harness.program("await_healthy", "sleep 60")
    report = harness.ask(harness.order(HEALTHY, within=0.5))
    assert report.result == "failed"


@pytest.mark.parametrize("action", [PROVISION, HEALTHY, RetireSlot(slot="blue")])
def test_a_program_for_which_there_is_no_time_left_does_not_begin(
    harness: CommandExecutorHarness, action: Action
) -> None:
    late = harness.ask(harness.order(action, within=0))
    assert (late.result, late.reason) == ("errored", f"there was no time left for {action.verb}")
    assert not harness.written("begin")
