"""A real nats-server for every test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from release_management.adapters.nats.embedded.server import NatsServer
from tests.adapters.nats.fakes import WatchedServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """A running nats-server on a folder of its own."""
    with WatchedServer(tmp_path) as running:
        yield running


@pytest.fixture(autouse=True)
def _plain_tracebacks() -> None:
    """Faults that are asked for are logged, and structlog's own tracebacks take a second each to write."""
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[structlog.processors.add_log_level, plain])
