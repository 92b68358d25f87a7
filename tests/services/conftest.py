"""A gateway on a real log and a real keyring, without a bus."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.office import Office


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    opened = Office(tmp_path)
    yield opened
    opened.close()
