"""The output of `--wait` while a deployment goes on."""

from collections.abc import Iterator
from typing import Any, cast

import pytest

from release_management.cli.kit import follow as following
from release_management.cli.kit.errors import TimedOut
from release_management.cli.kit.follow import follow
from release_management.cli.kit.next_step import next_step
from release_management.cli.kit.settings import Settings, begin
from release_management.facade.deployments import NotFinishedError
from release_management.facade.manager import ReleaseManager
from release_management.facade.views import Deployment, Plan

ROUTE = "route web on main: 100 % candidate"


def seen(phase: str, *, ended: str | None = None, back: dict[str, Any] | None = None, **step: Any) -> Deployment:
    forward = {"description": ROUTE, **step}
    return Deployment(
        id="d",
        release="shop@1.0.0",
        application="shop",
        version="1.0.0",
        environment="staging",
        strategy="rolling",
        phase=phase,
        ended=ended,
        plan=Plan(strategy="rolling", steps=(forward,), rollback=({"description": ROUTE, **back},) if back else ()),
    )


class Looks:
    """A manager that sees one thing after another."""

    def __init__(self, *later: Deployment) -> None:
        self._later: Iterator[Deployment] = iter(later)

    def watch(self, first: Deployment, timeout: float, every: float) -> Iterator[Deployment]:
        last = first
        for last in self._later:
            yield last
        if last.ended is None:
            raise NotFinishedError(f"deployment {last.id} is {last.phase} after {timeout:g} s; it goes on", last)


def told(capsys: pytest.CaptureFixture[str], first: Deployment, *later: Deployment) -> list[str]:
    follow(cast(ReleaseManager, Looks(*later)), first, 60)
    return [line.strip() for line in capsys.readouterr().out.splitlines()]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "LOOK_SECONDS", 0)
    begin(Settings())


def test_a_step_that_is_tried_again_says_which_try_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    errored: dict[str, Any] = {
        "status": "errored",
        "attempt": 1,
        "reason": "no answer",
        "retry_at": "2026-11-23T09:30:01.000000Z",
    }

    lines = told(
        capsys,
        seen("Progressing", status="started", attempt=1),
        seen("Progressing", **errored),
        seen("Progressing", **errored),
        seen("Progressing", status="started", attempt=2),
        seen("Succeeded", ended="2026-11-23T09:31:00.000000Z", status="done", attempt=2),
    )

    assert lines[1:4] == [
        f"✗ 1/1 {ROUTE} (try 1 of 3): no answer; it is tried again",
        f"… 1/1 {ROUTE} (try 2 of 3)",
        f"✔ 1/1 {ROUTE} (try 2 of 3)",
    ]


def test_a_step_that_is_done_at_once_says_nothing_of_tries(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(
        capsys,
        seen("Progressing", status="started", attempt=1),
        seen("Succeeded", ended="2026-11-23T09:31:00.000000Z", status="done", attempt=1),
    )

    assert lines[1] == f"✔ 1/1 {ROUTE}"


def test_the_way_back_is_tried_more_often(capsys: pytest.CaptureFixture[str]) -> None:
    back = seen("Aborting", status="failed", attempt=1, reason="ill", back={"status": "started", "attempt": 5})

    with pytest.raises(TimedOut, match="d is Aborting after 60 s; it goes on; see: relman deployment show d"):
        told(capsys, back)

    assert capsys.readouterr().out.splitlines()[-2:] == [f"  ✗ 1/1 {ROUTE}: ill", f"  … back 1/1 {ROUTE} (try 5 of 6)"]


def test_the_last_try_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    shown = str(seen("Aborting", status="errored", attempt=3, reason="no answer"))

    assert f"{ROUTE} (try 3 of 3): no answer" in shown


def test_while_it_goes_back_the_step_at_work_is_one_of_the_way_back() -> None:
    back = {"description": "route web on main: 100 % stable", "status": "started", "attempt": 1}

    line = following._at_work(seen("Aborting", status="started", attempt=1, back=back), 3.0)

    assert line == "Aborting 3 s   0/1   route web on main: 100 % stable"


def test_of_a_plan_with_an_approval_nobody_is_told_to_grant_what_may_be_decided_already() -> None:
    planned = seen("Planned").model_copy(update={"approval": "a"})

    sentence = "relman deploy shop@1.0.0 staging (it waits unless approval a is given: relman approval list --all)"
    assert next_step(planned) == sentence
