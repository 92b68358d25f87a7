"""A gateway on a real log and a real keyring, without a bus."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.servers.postgres import Databases
from tests.services.gateway_harness import Office


@pytest.fixture
def office(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Office]:
    """On SQLite, and for tests that are `on_both_stores` also on PostgreSQL."""
    if getattr(request, "param", "sqlite") == "sqlite":
        opened = Office(tmp_path)
        yield opened
        opened.close()
        return
    server: Databases = request.getfixturevalue("postgres_server")
    store = server.new_database()
    opened = Office(tmp_path, store)
    yield opened
    opened.close()
    server.give_back(store)


@pytest.fixture(autouse=True)
def _plain_tracebacks() -> None:
    """Faults that are asked for are logged, and structlog's own tracebacks take a second each to write."""
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.processors.add_log_level, plain])
