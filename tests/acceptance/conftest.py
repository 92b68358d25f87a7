"""Installations, of which nothing is left afterwards."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.installation import Installation


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
