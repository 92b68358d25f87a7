"""A component of its own for every test, of which nothing is left afterwards."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.component import gone_afterwards
from tests.adapters.local.stand import Stand


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    with gone_afterwards(Stand(tmp_path)) as made:
        yield made
