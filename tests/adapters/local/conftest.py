"""A component of its own for every test, of which nothing is left afterwards."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.component import gone_afterwards
from tests.adapters.local.harness import ExecutorHarness


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[ExecutorHarness]:
    with gone_afterwards(ExecutorHarness(tmp_path)) as made:
        yield made
