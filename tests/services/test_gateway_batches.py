"""Batches: what they share, how large they may be, and that nobody's trouble is his neighbour's."""

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Sequence
from itertools import count
from typing import Any

import pytest

from release_management.adapters.event_store import DamagedStoreError
from release_management.services.gateway import committing, gateway
from release_management.services.gateway.committing import BATCH_BYTES, BEHIND
from release_management.services.gateway.gateway import BATCH_COMMANDS
from release_management.services.ports import (
    Append,
    CommandKey,
    DeposedError,
    EventLog,
    Lease,
    LogUnavailableError,
    Status,
    StoredOutcome,
)
from release_management.services.ports.bus import GatewayFailed
from tests.services.gateway_harness import (
    PATIENCE,
    GatewayHarness,
    occupied,
    on_both_stores,
)

pytestmark = on_both_stores
LONGEST = 0.050
"""Seconds that a caller may wait for company."""
RELEASE = {"application": "shop", "version": "1.0.0", "components": [{"name": "web"}], "draft": True}


class Watched:
    """A log that notes what it is asked, and that can be away."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.asked: list[int] = []
        self.appended: list[list[Append]] = []
        self.away = False
        self.cannot_store: dict[str, Exception] = {}

    def outcomes(self, commands: Collection[CommandKey]) -> dict[CommandKey, StoredOutcome]:
        if self.away:
            raise LogUnavailableError("the database is away")
        self.asked.append(len(commands))
        return self._log.outcomes(commands)

    def append(self, batch: Sequence[Append], lease: Lease | None = None) -> list[Status]:
        if self.away:
            raise LogUnavailableError("the database is away")
        for one in batch:
            if one.id in self.cannot_store:
                raise self.cannot_store[one.id]
        self.appended.append(list(batch))
        return self._log.append(batch, lease)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


def watched(harness: GatewayHarness) -> Watched:
    """The log of the usual gateway, watched from now on."""
    log = Watched(harness.log)
    harness.gateway = harness.open_gateway(log)
    return log


def configure(harness: GatewayHarness, number: int, **attributes: Any) -> Any:
    return harness.gateway.ask(harness.envelope("environment.configure", {"name": f"e{number}"}, **attributes))


def test_a_repetition_is_found_by_the_append_itself_without_an_earlier_query(
    harness: GatewayHarness,
) -> None:
    log = watched(harness)
    repeated = harness.envelope("environment.configure", {"name": "qa"})
    first = harness.gateway.ask(repeated).result(PATIENCE)
    go_on = occupied(harness)
    tickets = [configure(harness, number) for number in range(20)] + [harness.gateway.ask(repeated)]
    go_on.set()
    outcomes = [ticket.result(PATIENCE) for ticket in tickets]

    assert [outcome.status for outcome in outcomes] == ["accepted"] * 20 + ["repeated"]
    assert (outcomes[-1].first, outcomes[-1].last) == (first.first, first.last)
    assert log.asked == []


def test_a_decision_that_rests_on_a_repetition_in_its_batch_is_made_again_without_it(harness: GatewayHarness) -> None:
    harness.release("1.0.0", draft=True)
    block = harness.envelope("release.block", {"release": "shop@1.0.0", "reason": "no"})
    assert harness.gateway.ask(block).result(PATIENCE).status == "accepted"
    assert harness.ask("release.unblock", {"release": "shop@1.0.0"}).first
    go_on = occupied(harness)
    again = harness.gateway.ask(block)
    unblock = harness.gateway.ask(harness.envelope("release.unblock", {"release": "shop@1.0.0"}))
    go_on.set()

    assert again.result(PATIENCE).status == "repeated"
    assert (unblock.result(PATIENCE).status, unblock.result(PATIENCE).first) == ("accepted", 0), "it is not blocked"


def test_a_batch_has_at_most_so_many_commands(harness: GatewayHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committing, "BATCH_SECONDS", PATIENCE)
    log = watched(harness)
    go_on = occupied(harness)
    tickets = [configure(harness, number) for number in range(BATCH_COMMANDS + 10)]
    go_on.set()

    assert {ticket.result(PATIENCE).status for ticket in tickets} == {"accepted"}
    assert [len(batch) for batch in log.appended] == [1, BATCH_COMMANDS, 10]


def test_a_batch_has_at_most_so_many_bytes_and_order_is_kept(harness: GatewayHarness) -> None:
    log = watched(harness)
    go_on = occupied(harness)
    tickets = []
    for number in range(12):
        created = {"version": f"{number}.0.0", "components": [{"name": "web"}], "changelog": ["x" * 4000] * 10}
        tickets.append(harness.gateway.ask(harness.envelope("release.create", created)))
    go_on.set()
    outcomes = [ticket.result(PATIENCE) for ticket in tickets]

    sizes = [sum(len(record.record) for one in batch for record in one.records) for batch in log.appended]
    assert {outcome.status for outcome in outcomes} == {"accepted"}
    assert [outcome.first for outcome in outcomes] == sorted(outcome.first for outcome in outcomes)
    assert len(sizes) > 2
    assert max(sizes) <= BATCH_BYTES


def test_a_fault_at_one_command_does_not_touch_its_neighbours(harness: GatewayHarness) -> None:
    go_on = occupied(harness)
    real = harness.keyring.find_actor

    def broken(name: str, kind: str) -> str | None:
        if name == "mallory":
            raise RuntimeError("no such thing")
        return real(name, kind)

    vars(harness.keyring)["find_actor"] = broken
    tickets = [configure(harness, number, actor="mallory" if number == 1 else "alice") for number in range(3)]
    go_on.set()

    with pytest.raises(GatewayFailed, match="nothing was recorded"):
        tickets[1].result(PATIENCE)
    assert [tickets[index].result(PATIENCE).status for index in (0, 2)] == ["accepted", "accepted"]


@pytest.mark.parametrize("culprits", [(0,), (3, 9)])
def test_a_command_that_the_log_cannot_store_does_not_affect_its_neighbours(
    harness: GatewayHarness, culprits: tuple[int, ...]
) -> None:
    log = watched(harness)
    log.cannot_store = {f"n{number}": ValueError("no such letter") for number in culprits}
    go_on = occupied(harness)
    tickets = [configure(harness, number, id=f"n{number}") for number in range(10)]
    go_on.set()

    for number, ticket in enumerate(tickets):
        if number in culprits:
            with pytest.raises(GatewayFailed, match="nothing was recorded"):
                ticket.result(PATIENCE)
        else:
            assert ticket.result(PATIENCE).status == "accepted"
    configured = [record["data"]["name"] for record in harness.records("environment.configured")]
    assert configured == ["slow", *(f"e{number}" for number in range(10) if number not in culprits)]


def test_a_command_that_builds_on_one_the_log_cannot_store_is_decided_without_it(harness: GatewayHarness) -> None:
    log = watched(harness)
    log.cannot_store = {"n1": ValueError("no such letter")}
    go_on = occupied(harness)
    created = harness.gateway.ask(harness.envelope("release.create", RELEASE, id="n1"))
    published = harness.gateway.ask(harness.envelope("release.publish", {"release": "shop@1.0.0"}))
    go_on.set()

    with pytest.raises(GatewayFailed):
        created.result(PATIENCE)
    assert published.result(PATIENCE).status == "refused"


def test_a_damaged_log_is_nobodys_fault_and_said_as_a_trouble(harness: GatewayHarness) -> None:
    log = watched(harness)
    log.cannot_store = {"n1": DamagedStoreError("the log is damaged")}
    go_on = occupied(harness)
    tickets = [configure(harness, number, id=f"n{number}") for number in range(3)]
    go_on.set()

    assert [ticket.result(PATIENCE).status for ticket in tickets] == ["busy"] * 3
    assert harness.gateway.trouble == "the log is damaged"


def test_a_refusal_does_not_touch_its_neighbours(harness: GatewayHarness) -> None:
    go_on = occupied(harness)
    tickets = [
        configure(harness, 1),
        harness.gateway.ask(harness.envelope("release.publish", {"release": "shop@1.0.0"})),
    ]
    tickets.append(configure(harness, 2))
    go_on.set()

    assert [ticket.result(PATIENCE).status for ticket in tickets] == ["accepted", "refused", "accepted"]


# The log away, and another gateway active


def test_while_the_log_is_away_commands_are_answered_busy_and_afterwards_it_works_by_itself(
    harness: GatewayHarness,
) -> None:
    log = watched(harness)
    harness.release("1.0.0", draft=True)
    log.away = True
    publish = harness.envelope("release.publish", {"release": "shop@1.0.0"})

    outcomes = [harness.gateway.ask(publish).result(PATIENCE), harness.gateway.answer(publish)]
    log.away = False

    assert [outcome.status for outcome in outcomes] == ["busy", "busy"]
    assert harness.gateway.trouble == "the database is away"
    assert all("the database is away" in str(outcome.reason) for outcome in outcomes)
    assert harness.gateway.ask(publish).result(PATIENCE).status == "accepted"
    assert harness.gateway.trouble is None


def test_behind_a_command_that_was_not_decided_its_line_waits_and_no_other(harness: GatewayHarness) -> None:
    log = watched(harness)
    known = harness.gateway.failed_before
    first, second = (harness.envelope("environment.configure", {"name": name}) for name in ("a", "b"))
    log.away = True
    assert harness.gateway.ask(first, failed_before=known).result(PATIENCE).status == "busy"
    log.away = False

    behind = harness.gateway.ask(second, failed_before=known).result(PATIENCE)
    assert (behind.status, behind.reason) == ("busy", BEHIND)
    assert configure(harness, 1).result(PATIENCE).status == "accepted", "it stands in no line"
    assert harness.gateway.ask(first).result(PATIENCE).status == "accepted"
    assert (
        harness.gateway.ask(second, failed_before=harness.gateway.failed_before).result(PATIENCE).status == "accepted"
    )


def test_records_of_another_gateway_from_while_the_log_was_away_are_seen(harness: GatewayHarness) -> None:
    log = watched(harness)
    harness.release("1.0.0", draft=True)
    log.away = True
    harness.ask("release.publish", {"release": "shop@1.0.0"})
    other = harness.open_gateway()
    other.ask(harness.envelope("release.publish", {"release": "shop@1.0.0"})).result(PATIENCE)
    log.away = False

    assert harness.ask("release.publish", {"release": "shop@1.0.0"}).first == 0


def test_a_gateway_whose_role_was_taken_says_so_and_stores_nothing_more(harness: GatewayHarness) -> None:
    lease = harness.log.take("gateway")
    assert lease is not None
    gateway = harness.open_gateway(harness.log, lease)
    envelope = harness.envelope("environment.configure", {"name": "qa"})
    assert gateway.ask(envelope).result(PATIENCE).status == "accepted"
    lease.release()
    other = harness.open_log()
    taken = other.take("gateway")
    assert taken is not None
    last = harness.log.last_position()

    for number in (1, 2):
        asked = gateway.ask(harness.envelope("environment.configure", {"name": f"e{number}"}))
        with pytest.raises(DeposedError, match="another gateway is active now"):
            asked.result(PATIENCE)

    assert gateway.deposed.is_set()
    gateway.close()
    with pytest.raises(DeposedError):
        gateway.ask(harness.envelope("environment.configure", {"name": "e3"})).result(PATIENCE)
    assert harness.log.last_position() == last
    follows = harness.open_gateway(other, taken)
    assert follows.ask(envelope).result(PATIENCE).status == "repeated"


# Who waits, and on which thread


class Sleeps:
    """Stands for the module `time` in the gateway: notes how long it sleeps, and does not."""

    monotonic = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.meanwhile()


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> Sleeps:
    stand_in = Sleeps()
    monkeypatch.setattr(gateway, "time", stand_in)
    return stand_in


def a_full_batch(harness: GatewayHarness, round: int = 0, size: int = 16) -> None:
    """So many are answered together, and none of them comes again."""
    go_on = occupied(harness)
    tickets = [configure(harness, size * round + number) for number in range(size)]
    go_on.set()
    assert {ticket.result(PATIENCE).status for ticket in tickets} == {"accepted"}


def test_a_command_that_arrives_alone_is_decided_without_a_wait(harness: GatewayHarness, sleeps: Sleeps) -> None:
    for number in range(20):
        assert configure(harness, number).result(PATIENCE).status == "accepted"

    assert sleeps.slept == []


def test_a_caller_after_others_that_do_not_return_waits_only_until_that_is_noticed(
    harness: GatewayHarness, sleeps: Sleeps
) -> None:
    for round in range(5):
        a_full_batch(harness, round)
        sleeps.slept.clear()
        assert configure(harness, 1000 + round).result(PATIENCE).status == "accepted"
        assert 0 < sum(sleeps.slept) < LONGEST / 100, round
        sleeps.slept.clear()
        assert configure(harness, 2000 + round).result(PATIENCE).status == "accepted"
        assert sleeps.slept == [], "a batch of one is followed at once"


def test_no_caller_waits_longer_than_50_ms_for_others_that_keep_coming(harness: GatewayHarness, sleeps: Sleeps) -> None:
    log = watched(harness)
    a_full_batch(harness)
    numbers = count(1000)
    late: list[Any] = []
    waited: list[float] = []
    real = log.append

    def noting(batch: Sequence[Append], lease: Lease | None = None) -> list[Status]:
        waited.append(sum(sleeps.slept))
        sleeps.slept.clear()
        return real(batch, lease)

    def one_more() -> None:
        if len(late) < 1000:
            late.append(configure(harness, next(numbers)))

    vars(log)["append"] = noting
    sleeps.meanwhile = one_more
    assert configure(harness, 999).result(PATIENCE).status == "accepted"

    assert 0 < waited[0] < LONGEST
    assert {ticket.result(PATIENCE).status for ticket in late} == {"accepted"}


def test_a_caller_who_is_alone_decides_on_its_own_thread(harness: GatewayHarness) -> None:
    log = watched(harness)
    threads: list[str] = []
    real = log.append

    def noting(batch: Sequence[Append], lease: Lease | None = None) -> list[Status]:
        threads.append(threading.current_thread().name)
        return real(batch, lease)

    vars(log)["append"] = noting
    for number in range(3):
        outcome = harness.gateway.answer(harness.envelope("environment.configure", {"name": f"e{number}"}))
        assert outcome.status == "accepted"

    assert threads[1:] == [threading.current_thread().name] * 2


def test_many_callers_at_once_are_all_answered(harness: GatewayHarness) -> None:
    harness.release("1.0.0", draft=True)
    statuses: list[str] = []

    def call(number: int) -> None:
        for turn in range(10):
            name = f"e{number}-{turn}"
            statuses.append(harness.gateway.answer(harness.envelope("environment.configure", {"name": name})).status)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert statuses == ["accepted"] * 160
    assert len(harness.records("environment.configured")) == 160


def test_coroutines_of_two_loops_are_answered(harness: GatewayHarness) -> None:
    async def call() -> list[str]:
        envelopes = [harness.envelope("environment.configure", {"name": f"e{number}"}) for number in range(20)]
        return [outcome.status for outcome in await asyncio.gather(*map(harness.gateway.submit, envelopes))]

    assert asyncio.run(call()) == ["accepted"] * 20
    assert asyncio.run(call()) == ["accepted"] * 20


def test_a_caller_that_gives_up_waiting_does_not_disturb_the_others(harness: GatewayHarness) -> None:
    go_on = occupied(harness)

    async def call() -> str:
        leaving = asyncio.create_task(harness.gateway.submit(harness.envelope("environment.configure", {"name": "a"})))
        staying = asyncio.create_task(harness.gateway.submit(harness.envelope("environment.configure", {"name": "b"})))
        await asyncio.sleep(0)
        leaving.cancel()
        go_on.set()
        return (await staying).status

    assert asyncio.run(call()) == "accepted"
    assert {record["data"]["name"] for record in harness.records("environment.configured")} >= {"a", "b"}


def test_a_closed_gateway_answers_busy(harness: GatewayHarness) -> None:
    gateway = harness.open_gateway()
    gateway.close()

    outcome = gateway.answer(harness.envelope("environment.configure", {"name": "qa"}))

    assert (outcome.status, "being closed" in str(outcome.reason)) == ("busy", True)


def test_those_who_were_answered_together_come_again_together(harness: GatewayHarness) -> None:
    log = watched(harness)
    callers, turns = 16, 10
    begun = threading.Barrier(callers)

    def call(number: int) -> None:
        begun.wait(PATIENCE)
        for turn in range(turns):
            data = {"name": f"e{number}-{turn}"}
            assert harness.gateway.answer(harness.envelope("environment.configure", data)).status == "accepted"

    threads = [threading.Thread(target=call, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert len(log.appended) < callers * turns / 2
    assert sum(len(batch) for batch in log.appended) == callers * turns
