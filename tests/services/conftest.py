"""A gateway on a real log and a real keyring, without a bus."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from release_management.kernel.types import Giver
from release_management.services.use_cases import declaration
from tests.servers.postgres import Databases
from tests.services.gateway_harness import GatewayHarness

GO_ON = {"environment.configure", "release.block"}
"""They change how deployments go on that are under way; that happens where and when the workers of these run."""


@pytest.fixture
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[GatewayHarness]:
    """On SQLite, and for tests that are `on_both_stores` also on PostgreSQL."""
    if getattr(request, "param", "sqlite") == "sqlite":
        opened = GatewayHarness(tmp_path)
        yield opened
        assert undeclared(opened) == set(), "set something going, and do not declare NEEDS_WORKERS"
        opened.close()
        return
    server: Databases = request.getfixturevalue("postgres_server")
    store = server.new_database()
    opened = GatewayHarness(tmp_path, store)
    yield opened
    opened.close()
    server.give_back(store)


def undeclared(harness: GatewayHarness) -> set[str]:
    """The commands of people that set something going, though they do not declare that they need the workers."""
    models = {command: declaration(command) for command in harness.commands_that_set_going()}
    people = {name: model for name, model in models.items() if model.GIVEN_BY is Giver.PEOPLE}
    return {name for name, model in people.items() if not model.NEEDS_WORKERS} - GO_ON


@pytest.fixture(autouse=True)
def _plain_tracebacks() -> None:
    """Faults that are asked for are logged, and structlog's own tracebacks take a second each to write."""
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.processors.add_log_level, plain])
