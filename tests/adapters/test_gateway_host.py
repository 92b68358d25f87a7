"""The core decides for as long as it holds the lease of the gateway."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from release_management.runtime import gateway_host as module
from release_management.runtime.data_directory import DataDirectory
from release_management.runtime.gateway_host import GatewayHost
from release_management.services.envelope import CommandEnvelope
from release_management.services.gateway.gateway import Gateway
from release_management.services.ports import (
    DeposedError,
    Lease,
    LogUnavailableError,
)


@pytest.fixture
def core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GatewayHost]:
    monkeypatch.setattr(module, "ALIVE_SECONDS", 0.01)
    with GatewayHost(DataDirectory.at(tmp_path)) as opened:
        yield opened


@pytest.mark.parametrize("error", [LogUnavailableError("the disk is away"), OSError("no space"), RuntimeError("what?")])
def test_the_thread_that_keeps_the_lease_survives_every_error(
    core: GatewayHost, monkeypatch: pytest.MonkeyPatch, error: Exception
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


def test_a_role_that_cannot_be_taken_again_by_a_fault_of_ours_is_taken_later(
    core: GatewayHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, begin, failures = core.gateway, core._begin, [ValueError("a fault of ours"), KeyError("another")]

    def fail_twice(lease: Lease) -> Gateway:
        if failures:
            raise failures.pop()
        return begin(lease)

    monkeypatch.setattr(core, "_begin", fail_twice)
    first.deposed.set()
    deadline = time.monotonic() + 10
    while (core.gateway is first or core.trouble) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (core.gateway is first, core.trouble, failures) == (False, None, [])


def test_a_command_handed_over_to_another_gateway_has_not_failed(tmp_path: Path) -> None:
    envelope = CommandEnvelope(
        sender="python",
        id="1",
        command="release.create",
        data={},
        actor="alice",
        actorkind="person",
        actorauth="asserted",
    )

    def counted(status: str) -> float:
        labels = {"command": envelope.command, "status": status}
        return REGISTRY.get_sample_value("relman_commands_total", labels) or 0.0

    before = {status: counted(status) for status in ("deposed", "failed")}
    with GatewayHost(DataDirectory.at(tmp_path)) as core:
        gateway = core.gateway
        gateway.deposed.set()
        with pytest.raises(DeposedError):
            gateway.answer(envelope)

    assert {status: counted(status) - count for status, count in before.items()} == {"deposed": 1.0, "failed": 0.0}
