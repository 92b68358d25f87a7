"""The executor `command` gives programs their secrets, and shows them to nobody else."""

import base64
import os
from pathlib import Path

import pytest

from release_management.adapters.executors.base.masking import SecretMask
from release_management.adapters.executors.command.output import HALF, Output
from release_management.adapters.system.process_environment import inherited
from tests.adapters.command.harness import CommandExecutorHarness
from tests.adapters.command.test_programs import PROVISION

TOKEN = "ghp_" + "Ab3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3z"
KEY = "-----BEGIN KEY-----\nMIIEvgIBADANBgkqhkiG9w0BAQEFAASC\nBKgwggSkAgEAAoIBAQC7VJTUt9Us8cKj\n-----END KEY-----"


def pieces(text: str, size: int) -> set[str]:
    return {text[at : at + size] for at in range(len(text) - size + 1)}


def kept(harness: CommandExecutorHarness) -> str:
    """All that the executor keeps, whatever it is."""
    files = [each for each in harness.data.rglob("*") if each.is_file()]
    return "\n".join(each.read_text(errors="replace") for each in files)


@pytest.mark.parametrize("before", [*range(150, 200, 7), 1000])
@pytest.mark.parametrize("verdict", ["exit 1", "exit 3"])
def test_a_secret_that_the_end_of_a_quoted_line_cuts_is_masked(
    harness: CommandExecutorHarness, tmp_path: Path, before: int, verdict: str
) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    harness.variables = {"TOKEN": f"file:{tmp_path}/token"}
    harness.program("provision", f'printf "%0{before}d refused $TOKEN, really" 7; {verdict}')

    report = harness.ask(harness.order(PROVISION))

    assert report.reason is not None
    assert report.reason.startswith("exited with code")
    assert not pieces(TOKEN, 5) & pieces(report.reason + kept(harness), 5)


def test_no_line_of_a_key_stands_in_the_log_in_the_answer_or_in_the_state(
    harness: CommandExecutorHarness, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    harness.variables = {"KEY": f"file:{tmp_path}/key"}
    harness.program(
        "provision",
        'echo "$KEY"; printf %s "$KEY" | base64 >&2; printf %s "$KEY" | base64 -w0; echo\n'
        'line=$(echo "$KEY" | sed -n 3p); echo "{\\"result\\": \\"failed\\", \\"reason\\": \\"is $line good?\\"}"',
    )

    report = harness.ask(harness.order(PROVISION))

    written = f"{report.reason}\n{kept(harness)}"
    assert report.reason == "is *** good?"
    assert not pieces(KEY, 12) & pieces(written, 12)
    assert not pieces(base64.b64encode(KEY.encode()).decode(), 10) & pieces(written, 10)


def test_an_answer_that_cannot_be_used_is_quoted_without_the_secret(
    harness: CommandExecutorHarness, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    harness.variables = {"TOKEN": f"file:{tmp_path}/token"}
    harness.program("provision", 'printf \'{"observed": {"blue": "%060d%s"}}\' 1 "$TOKEN"')

    report = harness.ask(harness.order(PROVISION))

    assert report.result == "errored"
    assert not pieces(TOKEN, 5) & pieces(str(report.reason) + kept(harness), 5)


def test_the_old_value_is_masked_after_a_change(harness: CommandExecutorHarness, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text(TOKEN)
    harness.variables = {"TOKEN": f"file:{secret}"}
    harness.program("provision", f'echo another-value > {secret}; echo "was $TOKEN, is $(cat {secret})"; exit 1')

    harness.ask(harness.order(PROVISION))
    report = harness.ask(harness.order(PROVISION))

    assert TOKEN not in kept(harness)
    assert report.reason == 'exited with code 1; its last line was "was ***, is ***"'


@pytest.mark.parametrize("way", ["path", "dots", "symbolic link", "link to the folder", "hard link", "descriptor"])
def test_a_reference_into_the_data_folder_is_refused(harness: CommandExecutorHarness, tmp_path: Path, way: str) -> None:
    inside = harness.data / "nats.url"
    harness.data.mkdir(exist_ok=True)
    inside.write_text("nats://executor:pass-word@h")
    link = tmp_path / "link"
    opened = os.open(inside, os.O_RDONLY)
    match way:
        case "symbolic link":
            link.symlink_to(inside)
        case "link to the folder":
            link.symlink_to(harness.data)
            link = link / "nats.url"
        case "hard link":
            link.hardlink_to(inside)
        case "descriptor":
            link = Path(f"/proc/{os.getpid()}/fd/{opened}")
        case "dots":
            link = harness.data / "targets" / ".." / "nats.url"
            (harness.data / "targets").mkdir()
        case _:
            link = inside
    harness.variables = {"KEY": f"file:{link}"}

    report = harness.ask(harness.order(PROVISION))
    os.close(opened)

    assert report.result == "errored"
    assert f"the variable KEY refers to file:{link}, which lies in the folder of relman itself" in str(report.reason)


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ("file:/dev/zero", "is no regular file"),
        ("file:/proc/self/environ", "is no regular file"),
        ("file:{}/pipe", "is no regular file"),
        ("file:{}/long", "holds a NUL, or more than 100,000 bytes"),
        ("file:{}/nul", "holds a NUL, or more than 100,000 bytes"),
        ("file:{}/none", "cannot be read: No such file or directory"),
        ("env:RELMAN_STORE", "is ours"),
        ("env:NO_SUCH_VARIABLE", "the executor's environment lacks"),
    ],
)
def test_a_reference_to_what_is_no_secret_is_refused(
    harness: CommandExecutorHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str, why: str
) -> None:
    monkeypatch.setenv("RELMAN_STORE", "postgresql://relman:pass-word@h/relman")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "long").write_text("x" * 100_001)
    (tmp_path / "nul").write_text("a\0b")
    harness.variables = {"KEY": reference.format(tmp_path)}

    report = harness.ask(harness.order(PROVISION))

    assert report.result == "errored"
    assert why in str(report.reason)
    assert "pass-word" not in str(report.reason)


def test_a_program_gets_what_is_on_the_list_and_nothing_else(
    harness: CommandExecutorHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RELMAN_STORE", "RELMAN_BUS", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "postgresql://relman:pass-word@h/relman")
    monkeypatch.setenv("DB_PASSWORD", "hunter22")
    harness.settings["env"] = {"REGION": "eu"}
    harness.variables = {"PASSWORD": "env:DB_PASSWORD"}
    harness.program("provision", f"env > {tmp_path}/env")

    harness.do(PROVISION)
    variables = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())

    assert variables["PASSWORD"] == "hunter22"
    assert "pass-word" not in " ".join(variables.values())
    others = {name for name in variables if not name.startswith("RELMAN_")} - inherited().keys()
    assert others - {"PWD", "OLDPWD", "SHLVL", "_"} == {"REGION", "PASSWORD", "MODE"}, "the shell adds the others"


def test_the_gap_in_a_long_output_leaves_no_part_of_a_secret(tmp_path: Path) -> None:
    for offset in range(0, len(TOKEN), 3):
        output = Output((tmp_path / "log").open("wb"), "provision", SecretMask([TOKEN]))
        output.add(b"x" * (HALF - offset) + TOKEN.encode(), stdout=True)
        output.add(b"y" * HALF, stdout=False)
        output.add(TOKEN.encode() + b"z" * (HALF - offset), stdout=True)
        output.close()
        written = (tmp_path / "log").read_text()

        assert "bytes are left out here" in written
        assert not pieces(TOKEN, 3) & pieces(written, 3)
