"""A component of its own for every test, of which nothing is left afterwards."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.command.harness import CommandExecutorHarness
from tests.adapters.component import gone_afterwards


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[CommandExecutorHarness]:
    with gone_afterwards(CommandExecutorHarness(tmp_path)) as made:
        yield made
