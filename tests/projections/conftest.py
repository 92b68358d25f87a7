"""Given these facts, then these rows."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from release_management.adapters.read_model import Projector, ReadStore
from tests.projections.story import REGISTRY, Story

Ask = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def story() -> Story:
    return Story()


@pytest.fixture
def ask(story: Story, tmp_path: Path) -> Iterator[Ask]:
    """Answers of the read models once they have taken in the whole story."""
    projector = Projector(story.log, REGISTRY, tmp_path / "read.db")
    store = ReadStore(tmp_path / "read.db")

    def asked(query: str, **params: Any) -> list[dict[str, Any]]:
        projector.catch_up()
        return store.ask(query, params, after=story.log.last_position())

    yield asked
    projector.close()
    store.close()
