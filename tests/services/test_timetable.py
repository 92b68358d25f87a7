"""The agenda's open items, in the order in which each is to be looked at next."""

import pytest

from release_management.domain.agenda import DueCommand, OutstandingOrder
from release_management.domain.orders import Order
from release_management.domain.plan.steps.retire import RetireSlot
from release_management.services.workers import timetable
from release_management.services.workers.timetable import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    Timetable,
)

EARLY, NOW, LATE = "2026-11-30T09:00:00.000000Z", "2026-11-30T10:00:00.000000Z", "2026-11-30T11:00:00.000000Z"


class Seconds:
    """Stands for `time.monotonic`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Seconds:
    made = Seconds()
    monkeypatch.setattr(timetable, "time", made)
    return made


def command(due: str | None, name: str = "deployment.expire") -> DueCommand:
    return DueCommand(
        command=name, data={"deployment": "d-1"}, due=due, cause=f"because of {name} {due}", correlation="c"
    )


def order(fence: int) -> OutstandingOrder:
    made = Order(
        deployment="d-1",
        leg="forward",
        step=0,
        attempt=1,
        fence=fence,
        executor="local",
        environment="staging",
        application="shop",
        target="main",
        component="web",
        action=RetireSlot(slot="blue"),
        deadline=LATE,
    )
    return OutstandingOrder(order=made, cause="because")


def key(name: str) -> tuple[str, str]:
    return "deployment:d-1", name


def due(table: Timetable, now: str = NOW) -> list[str]:
    return [name for (_, name), _ in table.due(now)]


def test_commands_come_first_and_what_is_not_due_waits(seconds: Seconds) -> None:
    table = Timetable()
    table.put(key("order"), order(7))
    table.put(key("late"), command(LATE))
    table.put(key("early"), command(EARLY))
    table.put(key("at once"), command(None))

    assert due(table) == ["at once", "early", "order"]
    assert table.next_due == LATE
    assert (table.orders, table.commands, table.longest_overdue) == (1, 3, EARLY)
    assert due(table, LATE) == ["late"]


def test_an_item_returns_only_if_it_is_put_off_and_less_often_each_time(seconds: Seconds) -> None:
    table = Timetable()
    table.put(key("a"), command(EARLY))
    pauses = []
    for _ in range(8):
        ((where, entry),) = table.due(NOW)
        table.put_off(where, entry, "it is away")
        assert table.trouble == "it is away"
        assert table.due(NOW) == []
        assert table.next_try is not None
        pauses.append(round(table.next_try, 3))
        seconds.now += table.next_try
    assert pauses[:3] == [FIRST_PAUSE_SECONDS, 2 * FIRST_PAUSE_SECONDS, 4 * FIRST_PAUSE_SECONDS]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS

    ((where, entry),) = table.due(NOW)
    table.settled(where, entry)
    seconds.now += 3600
    assert (table.due(NOW), table.trouble, table.longest_overdue) == ([], None, EARLY), "the log has not said so yet"
    table.drop(key("a"))
    assert (table.commands, table.longest_overdue) == (0, None)


def test_the_same_item_again_changes_nothing_and_another_one_takes_its_place(seconds: Seconds) -> None:
    table = Timetable()
    table.put(key("order"), order(7))
    ((where, entry),) = table.due(NOW)
    entry.sent = 1
    table.again_after(where, entry, 30)

    table.put(key("order"), order(7))
    assert table.due(NOW) == []
    table.put(key("order"), order(9))
    ((_, newer),) = table.due(NOW)
    assert (newer.id, newer.sent, table.orders) == ("9", 0, 1)
    seconds.now += 30
    assert table.due(NOW) == [], "the older one is not sent again"


def test_a_dropped_item_is_neither_due_nor_waited_for(seconds: Seconds) -> None:
    table = Timetable()
    table.put(key("late"), command(LATE))
    table.put(key("early"), command(EARLY))
    ((where, entry),) = table.due(NOW)
    table.put_off(where, entry, "it is away")
    for name in ("late", "early", "never there"):
        table.drop(key(name))

    assert (table.next_due, table.next_try, table.trouble) == (None, None, None)
    seconds.now += 3600
    assert table.due(LATE) == []
