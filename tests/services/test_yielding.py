"""Queued commands yield: what else comes is decided before the rest of their queue, and they still advance."""

import pytest

from release_management.services.gateway import committing
from release_management.services.gateway.committing import BATCH_LEAST
from release_management.services.gateway.gateway import BATCH_COMMANDS
from release_management.services.gateway.pending import PendingCommand
from release_management.services.gateway.queue import (
    RECENT_SECONDS,
    SHARE,
    TicketQueue,
)
from tests.services.gateway_harness import (
    PATIENCE,
    GatewayHarness,
    occupied,
    on_both_stores,
)
from tests.services.test_gateway_batches import configure, watched


def queue(harness: GatewayHarness, count: int, **data: object) -> list[PendingCommand]:
    """Queued commands; each creates a release."""
    return [
        harness.gateway.ask(
            harness.envelope("release.create", {"version": f"{n}.0.0", "components": [{"name": "web"}]} | data),
            yields=True,
        )
        for n in range(count)
    ]


@on_both_stores
def test_a_command_behind_a_long_queue_is_decided_before_the_rest_of_the_queue(harness: GatewayHarness) -> None:
    go_on = occupied(harness)
    queued = queue(harness, BATCH_COMMANDS)
    report = configure(harness, 1)
    go_on.set()
    outcomes = [ticket.result(PATIENCE) for ticket in (report, *queued)]

    assert {outcome.status for outcome in outcomes} == {"accepted"}
    positions = [outcome.first for outcome in outcomes]
    assert positions == sorted(positions), "the report is the first, and the queue keeps its order"


@on_both_stores
def test_a_command_that_comes_while_a_long_queue_is_decided_waits_for_few_of_it(harness: GatewayHarness) -> None:
    log = watched(harness)
    go_on = occupied(harness)
    first, queued = configure(harness, 1), queue(harness, 10 * SHARE)
    later: list[PendingCommand] = []
    store = log.append

    def store_then_report(*args: object) -> object:
        if len(log.appended) == 2:
            later.append(configure(harness, 2))
        return store(*args)  # type: ignore[arg-type]

    vars(log)["append"] = store_then_report
    go_on.set()
    assert first.result(PATIENCE).status == "accepted"
    assert {ticket.result(PATIENCE).status for ticket in queued} == {"accepted"}
    (report,) = later
    before = [ticket for ticket in queued if ticket.result().first < report.result(PATIENCE).first]
    assert len(before) <= 3 * SHARE


@on_both_stores
def test_large_queued_commands_have_a_report_wait_for_one_commit_only(harness: GatewayHarness) -> None:
    log = watched(harness)
    go_on = occupied(harness)
    queued = queue(harness, 12, changelog=["x" * 4000] * 20)
    later: list[PendingCommand] = []
    store = log.append

    def store_then_report(*args: object) -> object:
        if len(log.appended) == 1:
            later.append(configure(harness, 2))
        return store(*args)  # type: ignore[arg-type]

    vars(log)["append"] = store_then_report
    go_on.set()
    positions = [ticket.result(PATIENCE).first for ticket in queued]
    batches = [[one.id for one in batch] for batch in log.appended]

    assert positions == sorted(positions)
    assert later[0].result(PATIENCE).status == "accepted"
    assert [number for number, ids in enumerate(batches) if later[0].envelope.id in ids] == [2], "in the next commit"


def tickets(harness: GatewayHarness, *, yields: bool, count: int) -> list[PendingCommand]:
    return [PendingCommand(harness.envelope("release.create", {}), yields=yields) for _ in range(count)]


class Time:
    """A clock that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


def test_a_queue_advances_however_much_else_comes(harness: GatewayHarness, time: Time) -> None:
    waiting = TicketQueue(time)
    queued = tickets(harness, yields=True, count=20)
    for ticket in [*queued, *tickets(harness, yields=False, count=1000)]:
        waiting.append(ticket)
    batches = [waiting.next_batch(100) for _ in range(3)]

    assert [ticket for batch in batches for ticket in batch if ticket.yields] == queued[: 3 * SHARE]
    assert [len(batch) for batch in batches] == [100] * 3


def test_nobody_waits_behind_the_flood_of_another_client(harness: GatewayHarness, time: Time) -> None:
    def of(sender: str) -> PendingCommand:
        return PendingCommand(harness.envelope("release.create", {}, sender=sender))

    waiting = TicketQueue(time)
    flood = [of(f"mallory-{n % 7}") for n in range(200)]
    others = [of("client:ci:a"), of("client:ci:b"), of("client:bot:a"), of("system:timers"), of("executor:local")]
    for ticket in [*flood, *others]:
        waiting.append(ticket)

    first, second, *rest = waiting.next_batch(10), waiting.next_batch(10), waiting.next_batch(200)

    assert set(others) < set(first)
    assert [ticket for ticket in first if ticket in others[:2]] == others[:2], "each has its own order"
    assert [ticket for batch in (first, second, *rest) for ticket in batch if ticket in flood] == flood
    assert len(waiting) == 0


def test_a_queue_with_nothing_beside_it_fills_its_batches(harness: GatewayHarness, time: Time) -> None:
    waiting = TicketQueue(time)
    other = tickets(harness, yields=False, count=1)[0]
    waiting.append(other)
    queued = tickets(harness, yields=True, count=200)
    for ticket in queued:
        waiting.append(ticket)
    assert waiting.next_batch(100) == [other, *queued[:SHARE]]
    assert (waiting.others_come, len(waiting.next_batch(100))) == (True, SHARE), "another one is expected"
    time.now += RECENT_SECONDS
    assert (waiting.others_come, waiting.next_batch(100)) == (False, queued[2 * SHARE : 2 * SHARE + 100])


def test_those_that_found_no_room_are_the_first_of_their_row_again(harness: GatewayHarness, time: Time) -> None:
    waiting = TicketQueue(time)
    queued = tickets(harness, yields=True, count=6)
    others = tickets(harness, yields=False, count=4)
    for ticket in [*others[:3], *queued]:
        waiting.append(ticket)
    batch = waiting.next_batch(7)
    assert batch == [others[0], *queued[:SHARE], *others[1:3]]
    waiting.append(others[3])

    waiting.put_back(batch[2:])

    assert len(waiting) == 2 + 1 + len(queued) - 1
    assert waiting.next_batch(100) == [others[1], *queued[1 : 1 + SHARE], *others[2:4]]


@on_both_stores
def test_a_batch_that_takes_long_is_stored_before_its_end_and_who_comes_meanwhile_is_in_the_next_one(
    harness: GatewayHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committing, "BATCH_SECONDS", 0.0)
    log = watched(harness)
    go_on = occupied(harness)
    flood = [configure(harness, number) for number in range(10 * BATCH_LEAST)]
    later: list[PendingCommand] = []
    store = log.append

    def store_then_ask(*args: object) -> object:
        if len(log.appended) == 1:
            envelope = harness.envelope("environment.configure", {"name": "honest"}, sender="client:honest:cli")
            later.append(harness.gateway.ask(envelope))
        return store(*args)  # type: ignore[arg-type]

    vars(log)["append"] = store_then_ask
    go_on.set()
    assert {ticket.result(PATIENCE).status for ticket in flood} == {"accepted"}
    positions = [ticket.result().first for ticket in flood]
    assert positions == sorted(positions)
    assert later[0].result(PATIENCE).status == "accepted"
    batches = [[one.id for one in batch] for batch in log.appended]
    assert {len(batch) for batch in batches[1:-1]} == {BATCH_LEAST}
    assert [number for number, ids in enumerate(batches) if later[0].envelope.id in ids] == [2], "in the next commit"
