"""Rules for every command: help with an example, `--json`, the options, the exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest

from release_management.cli.reference import commands, markdown
from release_management.kernel.errors import ErrorCode
from tests.acceptance.cli.conftest import Types
from tests.acceptance.cli.harness import ROOT

COMMANDS = dict(commands())
EXPECTED = """
apply, approval grant, approval list, approval refuse, approval request, asyncapi, audit export, audit log,
dead-letters list, dead-letters replay, dead-letters show,
deploy, deployment abort, deployment list, deployment promote, deployment retry, deployment rollback, deployment show,
down, env keep, env list, env rename, env retire, env show, events tail, health, incident attribute, incident list,
incident open, incident resolve,
incident show, init, metrics dora, nats-config, projections list, projections rebuild, projections unpark,
release add-changes, release attest, release block, release create, release list, release notes, release publish,
release show, release unblock, release versions, rollback, serve, up
"""
ID = "01a2096b-9f69-771d-80c3-d7cadc8f1a2e"
ARGUMENTS = {
    "relman apply": ("missing.yaml",),
    "relman approval grant": (ID,),
    "relman approval refuse": (ID,),
    "relman approval request": (ID,),
    "relman dead-letters replay": ("1",),
    "relman dead-letters show": ("1",),
    "relman deploy": ("shop@1.0.0", "staging"),
    "relman deployment abort": (ID,),
    "relman deployment promote": (ID,),
    "relman deployment retry": (ID,),
    "relman deployment rollback": (ID,),
    "relman deployment show": (ID,),
    "relman env keep": ("staging",),
    "relman env rename": ("staging", "Stage"),
    "relman env retire": ("staging",),
    "relman env show": ("staging",),
    "relman incident attribute": (ID, "--deployment", "none"),
    "relman incident open": ("shop", "production", "--title", "bad"),
    "relman incident resolve": (ID,),
    "relman incident show": (ID,),
    "relman projections unpark": ("releases",),
    "relman release add-changes": ("shop@1.0.0", "--commit", "4f9a1c2,2026-11-20T14:03:00Z"),
    "relman rollback": ("shop", "staging"),
    "relman release attest": ("shop@1.0.0", "--gate", "scan", "--result", "passed"),
    "relman release block": ("shop@1.0.0", "--reason", "bad"),
    "relman release create": ("shop@x", "--component", "web"),
    "relman release notes": ("shop@1.0.0",),
    "relman release publish": ("shop@1.0.0",),
    "relman release show": ("shop@1.0.0",),
    "relman release unblock": ("shop@1.0.0",),
    "relman release versions": ("shop", "calendar"),
}
WITHOUT_INSTALLATION = ("relman asyncapi", "relman init", "relman nats-config", "relman serve", "relman up")
CODES = {"relman apply": 2, "relman down": 1, "relman release create": 1}
"""In an empty folder everything else is not reachable."""


def test_every_command_is_expected_here() -> None:
    assert ", ".join(sorted(name.removeprefix("relman ") for name in COMMANDS)) == " ".join(EXPECTED.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_an_example_and_the_common_options(name: str, relman: Types) -> None:
    answer = relman(*name.split()[1:], "--help")
    assert answer.code == 0
    assert f"Example:\n    {name}" in answer.out
    assert all(option in answer.out for option in ("--json", "--data", "--as"))


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in WITHOUT_INSTALLATION])
def test_errors_are_an_exit_code_a_sentence_and_a_json_object(name: str, relman: Types, tmp_path: Path) -> None:
    answer = relman(*name.split()[1:], *ARGUMENTS.get(name, ()), "--json")
    assert answer.code == CODES.get(name, 3), answer
    error = answer.json["error"]
    assert error["exit"] == answer.code
    assert error["code"] in list(ErrorCode)
    assert error["reason"]
    assert answer.err == f"relman: {error['reason']}\n"
    if answer.code == 3:
        assert "begin with: relman init" in error["reason"]
        assert list(tmp_path.iterdir()) == [], "nothing is made silently"


def test_the_options_may_stand_before_the_command(relman: Types) -> None:
    answer = relman("--json", "--data", "elsewhere", "env", "list")
    assert answer.code == 3
    assert "elsewhere" in answer.json["error"]["reason"]


def test_the_environment_names_the_folder(relman: Types, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELMAN_DATA", "from-the-environment")
    assert "from-the-environment" in relman("env", "list").err
    assert "elsewhere" in relman("env", "list", "--data", "elsewhere").err


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("deploy", "shop@1.0.0"),
        ("deploy", "shop", "staging"),
        ("deploy", "shop@1.0.0", "staging", "--set", "interval"),
        ("deploy", "shop@1.0.0", "staging", "--timeout", "soon"),
        ("release", "create", "shop@1.0.0"),
        ("release", "create", "shop@1.0.0", "--component", "web", "--commit", "4f9a1c2"),
        ("release", "attest", "shop@1.0.0", "--gate", "scan", "--result", "perhaps"),
        ("env", "list", "--as", "two\nlines"),
        ("env", "list", "--data", ""),
        ("up", "--data", "nats://127.0.0.1:1"),
        ("up", "--client", "Team A"),
        ("audit", "log", "--limit", "0"),
    ],
)
def test_a_wrong_command_line_is_usage(arguments: tuple[str, ...], relman: Types, tmp_path: Path) -> None:
    answer = relman(*arguments, "--json")
    assert answer.code == 2, answer
    assert (answer.json["error"]["kind"], answer.json["error"]["code"]) == ("usage", "invalid")
    assert answer.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_without_a_command_there_is_help(relman: Types) -> None:
    answer = relman()
    assert answer.code == 2
    assert "Commands:" in answer.err


def test_version(relman: Types) -> None:
    answer = relman("--version")
    assert (answer.code, answer.out.split()[0]) == (0, "relman")


def test_an_address_where_nobody_is_is_not_reachable(relman: Types) -> None:
    answer = relman("env", "list", "--data", "nats://127.0.0.1:9", "--json")
    assert answer.code == 3
    assert "is `relman up` running?" in answer.json["error"]["reason"]


def test_the_reference_is_current() -> None:
    page = ROOT / "docs" / "reference" / "cli.md"
    assert page.read_text() == markdown(), "run: python -m release_management.cli.reference > docs/reference/cli.md"


def test_reading_commands_print_one_json_document(relman: Types) -> None:
    assert relman("release", "create", "shop@1.0.0", "--component", "web", "--json").code == 0
    for line in ("env list", "release list", "release show shop@1.0.0", "release notes shop@1.0.0", "deployment list",
                 "approval list", "incident list", "metrics dora", "audit log", "projections rebuild"):  # fmt: skip
        answer = relman(*line.split(), "--json")
        assert answer.code == 0, (line, answer)
        assert isinstance(answer.json, list | dict)
    found: list[Any] = [json.loads(record) for record in relman("audit", "export").out.splitlines()]
    assert [record["type"] for record in found] == ["release.created", "release.published"]
