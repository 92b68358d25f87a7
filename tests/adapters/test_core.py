"""What decides, for as long as it holds the lease of the gateway."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from release_management.adapters.home import Home
from release_management.adapters.stack import core as module
from release_management.adapters.stack.core import Core
from release_management.services.ports import LogUnavailableError


@pytest.fixture
def core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Core]:
    monkeypatch.setattr(module, "ALIVE_SECONDS", 0.01)
    with Core(Home.at(tmp_path)) as opened:
        yield opened


@pytest.mark.parametrize("error", [LogUnavailableError("the disk is away"), OSError("no space"), RuntimeError("what?")])
def test_who_keeps_the_lease_goes_on_asking_whatever_happens(
    core: Core, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    answers: Iterator[Exception | bool] = iter([error, error, True, False])

    def is_held() -> bool:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    first = core.gateway
    monkeypatch.setattr(core._lease, "is_held", is_held)

    assert first.deposed.wait(5)
    deadline = time.monotonic() + 5
    while core.gateway is first and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (core.gateway is first, core.trouble) == (False, None)
