"""Every backend runs the same suite."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from release_management.services.ports import EventLog
from tests.contract.backends import Store
from tests.contract.read_models import Backend
from tests.projections.event_script import EventScript
from tests.servers.postgres import Databases


@pytest.fixture(params=["sqlite", "postgres"])
def event_log_factory(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Makes a new, empty store each time it is called."""
    backend = cast(str, request.param)
    stores: list[Store] = []

    def make() -> Store:
        if backend == "postgres":
            server: Databases = request.getfixturevalue("postgres_server")
            stores.append(Store(backend, server.new_database(), server.give_back))
        else:
            stores.append(Store(backend, str(tmp_path / f"{len(stores)}.db")))
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


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """Makes a new, empty database for read models each time it is asked for a place."""
    name = cast(str, request.param)
    it = Backend(name, tmp_path, None if name == "sqlite" else request.getfixturevalue("postgres_server"))
    yield it
    it.close()


@pytest.fixture
def script() -> EventScript:
    return EventScript()
