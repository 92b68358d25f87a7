"""A component of its own for every test, of which nothing is left afterwards."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.command.stand import CommandStand
from tests.adapters.component import gone_afterwards


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[CommandStand]:
    with gone_afterwards(CommandStand(tmp_path)) as made:
        yield made
