"""Installations, of which nothing is left afterwards."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.installation import Installation
from tests.acceptance.roles import Roles
from tests.servers.postgres import Databases, PostgresServer


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """A folder of its own; nothing runs yet."""
    made = Installation(tmp_path)
    try:
        yield made
    finally:
        made.end_everything()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """`up`, shared by a module's tests, each with an application of its own."""
    made = Installation(tmp_path_factory.mktemp("up"))
    try:
        made.start()
        yield made
    finally:
        made.end_everything()


@pytest.fixture(params=["sqlite", "postgres"])
def roles(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Roles]:
    """Roles as processes of their own, on each store."""
    store: str | None = None
    if request.param == "postgres":
        databases: Databases = request.getfixturevalue("postgres_server")
        store = databases.new_database()
    made = Roles(tmp_path, store)
    yield made
    asyncio.run(made.close())


@pytest.fixture
def on_files(tmp_path: Path) -> Iterator[Roles]:
    """Roles on SQLite."""
    made = Roles(tmp_path, None)
    yield made
    asyncio.run(made.close())


@pytest.fixture
def on_postgres(postgres_server: Databases, tmp_path: Path) -> Iterator[Roles]:
    """Roles on PostgreSQL."""
    made = Roles(tmp_path, postgres_server.new_database())
    yield made
    asyncio.run(made.close())


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server that a test may stop, freeze and kill."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def on_own_server(own_server: PostgresServer, tmp_path: Path) -> Iterator[Roles]:
    """Roles on a server of the test's own."""
    made = Roles(tmp_path, own_server.new_database())
    yield made
    asyncio.run(made.close())
