"""Given these facts, then these rows."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from release_management.adapters.read_model import Projector, ReadStore
from release_management.projections.dora.query import NEEDED
from tests.projections.dora_script import Timeline, day
from tests.projections.event_script import REGISTRY, EventScript

Ask = Callable[..., list[dict[str, Any]]]
Measures = Callable[..., dict[str, dict[str, Any]]]
Drills = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def script() -> EventScript:
    return EventScript()


@pytest.fixture
def ask(script: EventScript, tmp_path: Path) -> Iterator[Ask]:
    """Answers of the read models once they have taken in the whole story."""
    projector = Projector(script.log, REGISTRY, tmp_path / "read.db")
    store = ReadStore(tmp_path / "read.db")

    def asked(query: str, **params: Any) -> list[dict[str, Any]]:
        projector.catch_up()
        return store.ask(query, params, after=script.log.last_position())

    yield asked
    projector.close()
    store.close()


@pytest.fixture
def timeline() -> Timeline:
    return Timeline()


@pytest.fixture
def asking(timeline: Timeline, tmp_path: Path) -> Iterator[Drills]:
    """Answers about a window of days, once the read models have taken in the whole timeline."""
    projector = Projector(timeline.log, REGISTRY, tmp_path / "read.db", NEEDED)
    store = ReadStore(tmp_path / "read.db")

    def asked(query: str, since: float = 0, until: float = 30, **params: Any) -> list[dict[str, Any]]:
        projector.catch_up()
        window = {"since": day(since), "until": day(until)} | params.pop("window", {})
        after = params.pop("after", timeline.log.last_position())
        return store.ask(query, window | params, after=after)

    yield asked
    projector.close()
    store.close()


@pytest.fixture
def measure(asking: Drills) -> Measures:
    """Each metric's row, by its name."""
    return lambda *of, **params: {row["metric"]: row for row in asking("metrics_dora", *of, **params)}


@pytest.fixture
def drill(asking: Drills) -> Drills:
    return lambda metric, *of, **params: asking("metrics_dora_drill", *of, metric=metric, **params)
