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
    Office,
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


def watched(office: Office) -> Watched:
    """The log of the usual gateway, watched from now on."""
    log = Watched(office.log)
    office.gateway = office.open_gateway(log)
    return log


def configure(office: Office, number: int, **attributes: Any) -> Any:
    return office.gateway.ask(office.envelope("environment.configure", {"name": f"e{number}"}, **attributes))


def test_a_repetition_is_found_by_the_append_itself_without_an_earlier_query(
    office: Office,
) -> None:
    log = watched(office)
    repeated = office.envelope("environment.configure", {"name": "qa"})
    first = office.gateway.ask(repeated).result(PATIENCE)
    go_on = occupied(office)
    tickets = [configure(office, number) for number in range(20)] + [office.gateway.ask(repeated)]
    go_on.set()
    outcomes = [ticket.result(PATIENCE) for ticket in tickets]

    assert [outcome.status for outcome in outcomes] == ["accepted"] * 20 + ["repeated"]
    assert (outcomes[-1].first, outcomes[-1].last) == (first.first, first.last)
    assert log.asked == []


def test_a_decision_that_rests_on_a_repetition_in_its_batch_is_made_again_without_it(office: Office) -> None:
    office.release("1.0.0", draft=True)
    block = office.envelope("release.block", {"release": "shop@1.0.0", "reason": "no"})
    assert office.gateway.ask(block).result(PATIENCE).status == "accepted"
    assert office.ask("release.unblock", {"release": "shop@1.0.0"}).first
    go_on = occupied(office)
    again = office.gateway.ask(block)
    unblock = office.gateway.ask(office.envelope("release.unblock", {"release": "shop@1.0.0"}))
    go_on.set()

    assert again.result(PATIENCE).status == "repeated"
    assert (unblock.result(PATIENCE).status, unblock.result(PATIENCE).first) == ("accepted", 0), "it is not blocked"


def test_a_batch_has_at_most_so_many_commands(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committing, "BATCH_SECONDS", PATIENCE)
    log = watched(office)
    go_on = occupied(office)
    tickets = [configure(office, number) for number in range(BATCH_COMMANDS + 10)]
    go_on.set()

    assert {ticket.result(PATIENCE).status for ticket in tickets} == {"accepted"}
    assert [len(batch) for batch in log.appended] == [1, BATCH_COMMANDS, 10]


def test_a_batch_has_at_most_so_many_bytes_and_order_is_kept(office: Office) -> None:
    log = watched(office)
    go_on = occupied(office)
    tickets = []
    for number in range(12):
        created = {"version": f"{number}.0.0", "components": [{"name": "web"}], "changelog": ["x" * 4000] * 10}
        tickets.append(office.gateway.ask(office.envelope("release.create", created)))
    go_on.set()
    outcomes = [ticket.result(PATIENCE) for ticket in tickets]

    sizes = [sum(len(record.record) for one in batch for record in one.records) for batch in log.appended]
    assert {outcome.status for outcome in outcomes} == {"accepted"}
    assert [outcome.first for outcome in outcomes] == sorted(outcome.first for outcome in outcomes)
    assert len(sizes) > 2
    assert max(sizes) <= BATCH_BYTES


def test_a_fault_at_one_command_does_not_touch_its_neighbours(office: Office) -> None:
    go_on = occupied(office)
    real = office.keyring.find_actor

    def broken(name: str, kind: str) -> str | None:
        if name == "mallory":
            raise RuntimeError("no such thing")
        return real(name, kind)

    vars(office.keyring)["find_actor"] = broken
    tickets = [configure(office, number, actor="mallory" if number == 1 else "alice") for number in range(3)]
    go_on.set()

    with pytest.raises(GatewayFailed, match="nothing was recorded"):
        tickets[1].result(PATIENCE)
    assert [tickets[index].result(PATIENCE).status for index in (0, 2)] == ["accepted", "accepted"]


@pytest.mark.parametrize("culprits", [(0,), (3, 9)])
def test_a_command_that_the_log_cannot_store_does_not_affect_its_neighbours(
    office: Office, culprits: tuple[int, ...]
) -> None:
    log = watched(office)
    log.cannot_store = {f"n{number}": ValueError("no such letter") for number in culprits}
    go_on = occupied(office)
    tickets = [configure(office, number, id=f"n{number}") for number in range(10)]
    go_on.set()

    for number, ticket in enumerate(tickets):
        if number in culprits:
            with pytest.raises(GatewayFailed, match="nothing was recorded"):
                ticket.result(PATIENCE)
        else:
            assert ticket.result(PATIENCE).status == "accepted"
    configured = [record["data"]["name"] for record in office.records("environment.configured")]
    assert configured == ["slow", *(f"e{number}" for number in range(10) if number not in culprits)]


def test_a_command_that_builds_on_one_the_log_cannot_store_is_decided_without_it(office: Office) -> None:
    log = watched(office)
    log.cannot_store = {"n1": ValueError("no such letter")}
    go_on = occupied(office)
    created = office.gateway.ask(office.envelope("release.create", RELEASE, id="n1"))
    published = office.gateway.ask(office.envelope("release.publish", {"release": "shop@1.0.0"}))
    go_on.set()

    with pytest.raises(GatewayFailed):
        created.result(PATIENCE)
    assert published.result(PATIENCE).status == "refused"


def test_a_damaged_log_is_nobodys_fault_and_said_as_a_trouble(office: Office) -> None:
    log = watched(office)
    log.cannot_store = {"n1": DamagedStoreError("the log is damaged")}
    go_on = occupied(office)
    tickets = [configure(office, number, id=f"n{number}") for number in range(3)]
    go_on.set()

    assert [ticket.result(PATIENCE).status for ticket in tickets] == ["busy"] * 3
    assert office.gateway.trouble == "the log is damaged"


def test_a_refusal_does_not_touch_its_neighbours(office: Office) -> None:
    go_on = occupied(office)
    tickets = [configure(office, 1), office.gateway.ask(office.envelope("release.publish", {"release": "shop@1.0.0"}))]
    tickets.append(configure(office, 2))
    go_on.set()

    assert [ticket.result(PATIENCE).status for ticket in tickets] == ["accepted", "refused", "accepted"]


# The log away, and another gateway active


def test_while_the_log_is_away_commands_are_answered_busy_and_afterwards_it_works_by_itself(office: Office) -> None:
    log = watched(office)
    office.release("1.0.0", draft=True)
    log.away = True
    publish = office.envelope("release.publish", {"release": "shop@1.0.0"})

    outcomes = [office.gateway.ask(publish).result(PATIENCE), office.gateway.answer(publish)]
    log.away = False

    assert [outcome.status for outcome in outcomes] == ["busy", "busy"]
    assert office.gateway.trouble == "the database is away"
    assert all("the database is away" in str(outcome.reason) for outcome in outcomes)
    assert office.gateway.ask(publish).result(PATIENCE).status == "accepted"
    assert office.gateway.trouble is None


def test_behind_a_command_that_was_not_decided_its_line_waits_and_no_other(office: Office) -> None:
    log = watched(office)
    known = office.gateway.failed_before
    first, second = (office.envelope("environment.configure", {"name": name}) for name in ("a", "b"))
    log.away = True
    assert office.gateway.ask(first, failed_before=known).result(PATIENCE).status == "busy"
    log.away = False

    behind = office.gateway.ask(second, failed_before=known).result(PATIENCE)
    assert (behind.status, behind.reason) == ("busy", BEHIND)
    assert configure(office, 1).result(PATIENCE).status == "accepted", "it stands in no line"
    assert office.gateway.ask(first).result(PATIENCE).status == "accepted"
    assert office.gateway.ask(second, failed_before=office.gateway.failed_before).result(PATIENCE).status == "accepted"


def test_records_of_another_gateway_from_while_the_log_was_away_are_seen(office: Office) -> None:
    log = watched(office)
    office.release("1.0.0", draft=True)
    log.away = True
    office.ask("release.publish", {"release": "shop@1.0.0"})
    other = office.open_gateway()
    other.ask(office.envelope("release.publish", {"release": "shop@1.0.0"})).result(PATIENCE)
    log.away = False

    assert office.ask("release.publish", {"release": "shop@1.0.0"}).first == 0


def test_a_gateway_whose_role_was_taken_says_so_and_stores_nothing_more(office: Office) -> None:
    lease = office.log.take("gateway")
    assert lease is not None
    gateway = office.open_gateway(office.log, lease)
    envelope = office.envelope("environment.configure", {"name": "qa"})
    assert gateway.ask(envelope).result(PATIENCE).status == "accepted"
    lease.release()
    other = office.open_log()
    taken = other.take("gateway")
    assert taken is not None
    last = office.log.last_position()

    for number in (1, 2):
        asked = gateway.ask(office.envelope("environment.configure", {"name": f"e{number}"}))
        with pytest.raises(DeposedError, match="another gateway is active now"):
            asked.result(PATIENCE)

    assert gateway.deposed.is_set()
    gateway.close()
    with pytest.raises(DeposedError):
        gateway.ask(office.envelope("environment.configure", {"name": "e3"})).result(PATIENCE)
    assert office.log.last_position() == last
    follows = office.open_gateway(other, taken)
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


def a_full_batch(office: Office, round: int = 0, size: int = 16) -> None:
    """So many are answered together, and none of them comes again."""
    go_on = occupied(office)
    tickets = [configure(office, size * round + number) for number in range(size)]
    go_on.set()
    assert {ticket.result(PATIENCE).status for ticket in tickets} == {"accepted"}


def test_a_command_that_arrives_alone_is_decided_without_a_wait(office: Office, sleeps: Sleeps) -> None:
    for number in range(20):
        assert configure(office, number).result(PATIENCE).status == "accepted"

    assert sleeps.slept == []


def test_a_caller_after_others_that_do_not_return_waits_only_until_that_is_noticed(
    office: Office, sleeps: Sleeps
) -> None:
    for round in range(5):
        a_full_batch(office, round)
        sleeps.slept.clear()
        assert configure(office, 1000 + round).result(PATIENCE).status == "accepted"
        assert 0 < sum(sleeps.slept) < LONGEST / 100, round
        sleeps.slept.clear()
        assert configure(office, 2000 + round).result(PATIENCE).status == "accepted"
        assert sleeps.slept == [], "a batch of one is followed at once"


def test_no_caller_waits_longer_than_50_ms_for_others_that_keep_coming(office: Office, sleeps: Sleeps) -> None:
    log = watched(office)
    a_full_batch(office)
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
            late.append(configure(office, next(numbers)))

    vars(log)["append"] = noting
    sleeps.meanwhile = one_more
    assert configure(office, 999).result(PATIENCE).status == "accepted"

    assert 0 < waited[0] < LONGEST
    assert {ticket.result(PATIENCE).status for ticket in late} == {"accepted"}


def test_a_caller_who_is_alone_decides_on_its_own_thread(office: Office) -> None:
    log = watched(office)
    threads: list[str] = []
    real = log.append

    def noting(batch: Sequence[Append], lease: Lease | None = None) -> list[Status]:
        threads.append(threading.current_thread().name)
        return real(batch, lease)

    vars(log)["append"] = noting
    for number in range(3):
        outcome = office.gateway.answer(office.envelope("environment.configure", {"name": f"e{number}"}))
        assert outcome.status == "accepted"

    assert threads[1:] == [threading.current_thread().name] * 2


def test_many_callers_at_once_are_all_answered(office: Office) -> None:
    office.release("1.0.0", draft=True)
    statuses: list[str] = []

    def call(number: int) -> None:
        for turn in range(10):
            name = f"e{number}-{turn}"
            statuses.append(office.gateway.answer(office.envelope("environment.configure", {"name": name})).status)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert statuses == ["accepted"] * 160
    assert len(office.records("environment.configured")) == 160


def test_coroutines_of_two_loops_are_answered(office: Office) -> None:
    async def call() -> list[str]:
        envelopes = [office.envelope("environment.configure", {"name": f"e{number}"}) for number in range(20)]
        return [outcome.status for outcome in await asyncio.gather(*map(office.gateway.submit, envelopes))]

    assert asyncio.run(call()) == ["accepted"] * 20
    assert asyncio.run(call()) == ["accepted"] * 20


def test_a_caller_that_gives_up_waiting_does_not_disturb_the_others(office: Office) -> None:
    go_on = occupied(office)

    async def call() -> str:
        leaving = asyncio.create_task(office.gateway.submit(office.envelope("environment.configure", {"name": "a"})))
        staying = asyncio.create_task(office.gateway.submit(office.envelope("environment.configure", {"name": "b"})))
        await asyncio.sleep(0)
        leaving.cancel()
        go_on.set()
        return (await staying).status

    assert asyncio.run(call()) == "accepted"
    assert {record["data"]["name"] for record in office.records("environment.configured")} >= {"a", "b"}


def test_a_closed_gateway_answers_busy(office: Office) -> None:
    gateway = office.open_gateway()
    gateway.close()

    outcome = gateway.answer(office.envelope("environment.configure", {"name": "qa"}))

    assert (outcome.status, "being closed" in str(outcome.reason)) == ("busy", True)


def test_those_who_were_answered_together_come_again_together(office: Office) -> None:
    log = watched(office)
    callers, turns = 16, 10
    begun = threading.Barrier(callers)

    def call(number: int) -> None:
        begun.wait(PATIENCE)
        for turn in range(turns):
            data = {"name": f"e{number}-{turn}"}
            assert office.gateway.answer(office.envelope("environment.configure", data)).status == "accepted"

    threads = [threading.Thread(target=call, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert len(log.appended) < callers * turns / 2
    assert sum(len(batch) for batch in log.appended) == callers * turns
