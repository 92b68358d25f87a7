"""Questions that wait for the projections."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from release_management.adapters.read_model import Projector
from release_management.runtime.data_directory import DataDirectory
from release_management.runtime.patient_reading import WaitingReadSide
from release_management.runtime.reading import NotThereYet, ReadSide
from release_management.services.paging.pages import Page
from release_management.services.ports.bus import QueryNotUnderstood
from tests.services.gateway_harness import GatewayHarness

MANY = 100


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[GatewayHarness]:
    opened = GatewayHarness(tmp_path)
    opened.release("1.0.0")
    yield opened
    opened.close()


@pytest.fixture
def go_on() -> threading.Event:
    """Set to let the projector fold."""
    return threading.Event()


@pytest.fixture
def reading(harness: GatewayHarness, tmp_path: Path, go_on: threading.Event) -> Iterator[ReadSide]:
    fold = Projector.run

    def held_back(self: Projector, stop: threading.Event) -> None:
        self.catch_up()
        while not stop.is_set() and not go_on.wait(0.01):
            pass
        fold(self, stop)

    with patch.object(Projector, "run", held_back):
        opened = ReadSide(DataDirectory(tmp_path), harness.log, harness.keyring)
        opened.ask("releases", {}, harness.log.last_position())
        yield opened
        opened.close()


async def test_those_who_wait_keep_nobody_from_being_answered(
    harness: GatewayHarness, reading: ReadSide, go_on: threading.Event
) -> None:
    patient = WaitingReadSide(reading, harness.log)
    harness.release("2.0.0")
    end = harness.log.last_position()

    waiting = [asyncio.create_task(patient.ask("releases", {}, end)) for _ in range(MANY)]
    await asyncio.sleep(0.1)
    async with asyncio.timeout(2):
        assert [row["version"] for row in (await patient.ask("releases", {}, 0)).rows] == ["1.0.0"]
    assert not any(each.done() for each in waiting)

    go_on.set()
    for page in await asyncio.wait_for(asyncio.gather(*waiting), 10):
        assert {row["version"] for row in page.rows} == {"1.0.0", "2.0.0"}


async def test_a_position_that_the_log_has_not_is_refused_at_once(harness: GatewayHarness, reading: ReadSide) -> None:
    patient = WaitingReadSide(reading, harness.log)

    async with asyncio.timeout(2):
        with pytest.raises(QueryNotUnderstood, match=r"the log ends at position 2, and the answer is wanted after 1,0"):
            await patient.ask("releases", {}, 1_000)


async def test_an_expired_wait_names_the_position_reached(harness: GatewayHarness, reading: ReadSide) -> None:
    patient = WaitingReadSide(reading, harness.log, seconds=0.2)
    harness.release("2.0.0")

    with pytest.raises(NotThereYet, match="releases has taken in position 2, not yet 4"):
        await patient.ask("releases", {}, harness.log.last_position())


async def test_a_projection_that_is_still_being_built_is_waited_for(
    harness: GatewayHarness, reading: ReadSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new build may have taken everything in, and still not be the one that answers."""
    real, built = reading.ask, threading.Event()

    def ask(name: str, params: dict[str, Any], after: int, timeout: float) -> Page:
        if not built.is_set():
            raise NotThereYet("projection releases is still being built")
        return real(name, params, after, timeout)

    monkeypatch.setattr(reading, "ask", ask)
    asked = asyncio.create_task(WaitingReadSide(reading, harness.log).ask("releases", {}, 0))
    await asyncio.sleep(0.1)
    assert not asked.done()
    built.set()
    assert [row["version"] for row in (await asyncio.wait_for(asked, 10)).rows] == ["1.0.0"]
