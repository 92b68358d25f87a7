import pytest

from release_management.adapters.read_model import pages
from release_management.adapters.read_model.pages import AT_ONCE, page_after
from release_management.domain.release import ReleasePublished
from tests.projections.event_script import EventScript, MemoryLog


@pytest.fixture
def log(script: EventScript) -> MemoryLog:
    script.tell("release:shop@1.0.0", *[ReleasePublished()] * (3 * AT_ONCE))
    return script.log


@pytest.mark.parametrize("limit", [1, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 2 * AT_ONCE, 9 * AT_ONCE])
@pytest.mark.parametrize("position", [0, 1, 700, 3 * AT_ONCE])
def test_a_page_follows_its_position_up_to_the_limit(log: MemoryLog, position: int, limit: int) -> None:
    last, page = page_after(log, position, limit)

    assert last == (log.records[position - 1] if position else None)
    assert page == log.records[position : position + limit]


def test_nothing_stands_at_a_position_beyond_the_log(log: MemoryLog) -> None:
    assert page_after(log, 3 * AT_ONCE + 1) == (None, [])


def test_a_page_is_short_where_its_records_are_long(log: MemoryLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PAGE_BYTES", sum(len(it.record) for it in log.records[: AT_ONCE + 1]))

    _, page = page_after(log, 0)

    assert len(page) == 2 * AT_ONCE
    assert page_after(log, len(page))[1] == log.records[2 * AT_ONCE :]


def test_a_page_is_read_once(log: MemoryLog) -> None:
    page_after(log, 3 * AT_ONCE - 1)

    assert log.reads == 1
