"""Every backend runs the same suite."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from release_management.services.ports import EventLog
from tests.contract.backends import Store


@pytest.fixture(params=["sqlite"])
def event_log_factory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Makes a new, empty store each time it is called."""
    stores: list[Store] = []

    def make() -> Store:
        stores.append(Store(cast(str, request.param), str(tmp_path / f"{len(stores)}.db")))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def store(event_log_factory: Callable[[], Store]) -> Store:
    return event_log_factory()


@pytest.fixture
def log(store: Store) -> EventLog:
    return store.open()
