"""A short form of `make chaos`: kill -9 of roles, servers and everything makes no difference."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chaos import judge
from chaos.act import Act, Result
from chaos.leftovers import leftovers
from chaos.story import Deployment
from release_management.domain.record import Recorded


def flawless(result: Result, kills: int, folder: Path) -> None:
    assert result.faults == [], f"what was left is in {folder}"
    assert 0 < sum(result.kills.values()) <= kills
    assert result.ended.total() > 1


@pytest.mark.timeout(300)
def test_a_canary_survives_a_kill_after_every_record_on_sqlite(tmp_path: Path) -> None:
    act = Act("after every record", tmp_path / "act", 7, postgres=False, cluster=False)
    flawless(act.canary(8, lambda _: None), 8, tmp_path)


@pytest.mark.timeout(300)
def test_deployments_survive_kills_at_random_on_postgresql(tmp_path: Path) -> None:
    act = Act("at random", tmp_path / "act", 7, postgres=True, cluster=False)
    flawless(act.stream(6, lambda _: None), 6, tmp_path)


WAIT = "import sys; sys.stdin.read()"


@pytest.mark.parametrize(
    ("tie", "words", "place", "variables"),
    [
        ("command line", ["{act}/world"], "/", {}),
        ("command line", ["--config={act}/data/nats/server.conf"], "/", {}),
        ("working directory", [], "{act}/data", {}),
        ("RELMAN_DATA", [], "/", {"RELMAN_DATA": "{act}/data"}),
        ("RELMAN_INSTANCE", [], "/", {"RELMAN_INSTANCE": "a token", "RELMAN_DEPLOYMENT": "one"}),
        (None, ["{act}-of-somebody-else/world"], "/", {}),
        (None, [], "/", {"RELMAN_INSTANCE": "a token", "RELMAN_DEPLOYMENT": "another"}),
    ],
)
def test_what_an_act_leaves_behind_is_found(
    tmp_path: Path, tie: str | None, words: list[str], place: str, variables: dict[str, str]
) -> None:
    act = tmp_path / "act"
    (act / "data").mkdir(parents=True)
    planted = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", WAIT, *(word.format(act=act) for word in words)],
        stdin=subprocess.PIPE,
        cwd=place.format(act=act),
        env={**os.environ, **{name: value.format(act=act) for name, value in variables.items()}},
    )
    try:
        found = leftovers(act, {"one"}, patience=0.0)
    finally:
        planted.communicate()

    assert [line.partition(": ")[0] for line in found] == ([f"{planted.pid} ({tie})"] if tie else [])
    assert leftovers(act, {"one"}) == []


ACTION = {"verb": "retire", "slot": "blue"}
STEP = {"leg": "forward", "step": 0, "attempt": 1}


def started(position: int) -> Recorded:
    data = {**STEP, "action": ACTION}
    record = json.dumps({"subject": "deployment:d", "data": data}).encode()
    return Recorded(position, "deployment:d", position, "deployment.step_started", record)


def line(what: str, fence: int, at: float, pid: int = 1) -> dict[str, Any]:
    return {"what": what, "fence": fence, "at": at, "pid": pid, "deployment": "d", "action": ACTION, **STEP}


def once(fence: int, at: float, pid: int = 1) -> list[dict[str, Any]]:
    return [line(what, fence, at, pid) for what in ("begin", "effect", "end")]


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ([*once(1, 1.0), *once(2, 2.0)], None),
        ([line("begin", 1, 1.0), *once(1, 9.0, pid=2)], None),
        ([*once(1, 1.0), line("begin", 1, 2.0), line("end", 1, 2.0)], "fence 1 began twice"),
        ([*once(1, 1.0), *once(1, 9.0)], "fence 1 has 2 effects"),
        ([*once(2, 1.0), *once(1, 2.0)], "fence 1 began after 2"),
        ([line("begin", 1, 1.0), *once(2, 2.0, pid=2), line("end", 1, 3.0)], "fence 1 went on after another had begun"),
        (once(3, 1.0), "the effect with fence 3 was not ordered"),
    ],
)
def test_the_judge_sees_what_programs_must_not_do(lines: list[dict[str, Any]], fault: str | None) -> None:
    found = judge.world({"place": lines}, [started(1), started(2)], kills=[5.0])
    assert [fault in each for each in found] == [True] if fault else found == []


def test_the_judge_sees_an_end_that_was_not_demanded() -> None:
    ended = [Deployment("a", "shop@1.0.0", ("Succeeded",), "Succeeded"), Deployment("b", "shop@1.0.9", ("RolledBack",))]
    assert judge.deployments(ended) == ["shop@1.0.9 (b) ended None, and should have ended RolledBack"]
