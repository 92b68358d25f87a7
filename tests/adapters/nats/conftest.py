"""A real nats-server for every test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from release_management.adapters.nats.server import NatsServer
from tests.adapters.nats.fakes import WatchedServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """A running nats-server on a folder of its own."""
    with WatchedServer(tmp_path) as running:
        yield running
