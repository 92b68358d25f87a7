"""The orchestrator and the timers, with an order channel that the test looks into."""

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from release_management.domain.agenda import AgendaItem
from release_management.domain.orders import Order
from release_management.runtime.projected_agenda import ProjectedAgenda
from release_management.services.envelope import CommandEnvelope, Outcome
from release_management.services.ports import Clock
from release_management.services.ports.bus import (
    BusAwayError,
    BusError,
    BusFullError,
    GatewayFailed,
)
from release_management.services.workers import orchestrator
from release_management.services.workers.orchestrator import Orchestrator
from release_management.services.workers.timetable import FIRST_PAUSE_SECONDS
from tests.services.gateway_harness import REGISTRY, GatewayHarness


class Orders:
    """An order channel that remembers; `away` so many times first, and `full` for as long as it is."""

    def __init__(self) -> None:
        self.sent: list[tuple[Order, int]] = []
        self.away = 0
        self.full = False

    async def send(self, order: Order, again: int) -> None:
        if self.full:
            raise BusFullError("the stream of orders is full")
        if self.away:
            self.away -= 1
            raise BusAwayError("the bus does not answer")
        self.sent.append((order, again))

    @property
    def verbs(self) -> list[str]:
        return [order.action.verb for order, _ in self.sent]


class Asked:
    """The gateway, and what was asked of it; `troubles` are raised first, and it cannot answer about `unanswered`."""

    def __init__(self, harness: GatewayHarness) -> None:
        self.envelopes: list[CommandEnvelope] = []
        self.troubles: list[Exception] = []
        self.unanswered = ""
        self._gateway = harness.gateway

    async def submit(self, envelope: CommandEnvelope) -> Outcome:
        if self.troubles:
            raise self.troubles.pop()
        if envelope.data.get("deployment") == self.unanswered:
            raise BusError("answering failed")
        self.envelopes.append(envelope)
        return await self._gateway.submit(envelope)

    async def outcome(self, sender: str, id: str) -> Outcome | None:
        return await self._gateway.outcome(sender, id)

    @property
    def commands(self) -> list[str]:
        return [envelope.command for envelope in self.envelopes]


class Ahead:
    """A clock that is ahead of the gateway's."""

    def __init__(self, harness: GatewayHarness, seconds: float) -> None:
        self._office = harness
        self._ahead = timedelta(seconds=seconds)

    def now(self) -> datetime:
        return self._office.clock.now() + self._ahead


class Works:
    """An orchestrator that runs while `during` waits for something to become true."""

    def __init__(self, harness: GatewayHarness, folder: Path) -> None:
        self.orders = Orders()
        self.asked = Asked(harness)
        self.taken_in = True
        self.clock: Clock = harness.clock
        self.trouble: Callable[[], str | None] = lambda: None
        self._office = harness
        self._folder = folder

    def during(self, *conditions: Callable[[], bool]) -> None:
        asyncio.run(self._during(conditions))

    def _wait(self, after: int, timeout: float) -> bool:
        # The clock is the test's, so that a look is due sooner than the real one says; and the end need not wait.
        return self._office.log.wait(after, min(timeout, 0.02))

    async def _during(self, conditions: tuple[Callable[[], bool], ...]) -> None:
        async def taken_in() -> bool:
            return self.taken_in

        agenda = ProjectedAgenda(self._office.log, REGISTRY, self._folder / "road.db")
        made = Orchestrator(agenda, self.asked, self.orders, self.clock, self._wait, taken_in)
        self.trouble = lambda: made.trouble
        running = asyncio.create_task(made.run())
        try:
            for condition in conditions:
                async with asyncio.timeout(30):
                    while not condition():
                        assert not running.done()
                        await asyncio.sleep(0.01)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            agenda.close()


@pytest.fixture
def works(harness: GatewayHarness, tmp_path: Path) -> Works:
    harness.environment()
    harness.release("1.0.0")
    return Works(harness, tmp_path)


def looked_again(works: Works, harness: GatewayHarness) -> Callable[[], bool]:
    """True once the orchestrator has looked, after it was first asked, at everything there is and at the time."""
    probe = f"probe-{time.monotonic_ns()}"
    asked: list[str] = []

    def seen() -> bool:
        if not asked:
            harness.environment(probe)
            asked.append(harness.deploy(harness.release("9.0.0", probe), probe))
        # An item that is out is carried out with all the others of the same look.
        return any(order.application == probe for order, _ in works.orders.sent)

    return seen


def test_an_order_is_sent_once_and_its_fence_is_the_records_position(harness: GatewayHarness, works: Works) -> None:
    deployment = harness.deploy("shop@1.0.0")

    works.during(lambda: bool(works.orders.sent), looked_again(works, harness))

    orders = [order for order, again in works.orders.sent if order.application == "shop"]
    assert [order.action.verb for order in orders] == ["provision"]
    (started,) = [record for record in harness.records("deployment.step_started") if "shop" in str(record["data"])]
    position = harness.records().index(started) + 1
    assert (orders[0].deployment, orders[0].fence, orders[0].attempt) == (deployment, position, 1)


def test_orders_follow_the_reports_to_the_end(harness: GatewayHarness, works: Works) -> None:
    deployment = harness.deploy("shop@1.0.0")

    def answered() -> bool:
        done = len(harness.facts(deployment, "step_succeeded"))
        if len(works.orders.sent) > done and not harness.facts(deployment, "succeeded"):
            harness.report(deployment, works.orders.sent[-1][0].step)
        return bool(harness.facts(deployment, "succeeded"))

    works.during(answered)

    assert works.orders.verbs == ["provision", "await_healthy", "route"]
    assert [again for _, again in works.orders.sent] == [0, 0, 0]


def test_an_order_without_a_report_is_sent_again_after_a_time(
    harness: GatewayHarness, works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orchestrator, "SENT_AGAIN_AFTER", 0.1)
    harness.deploy("shop@1.0.0")

    works.during(lambda: len(works.orders.sent) >= 3)

    assert [again for _, again in works.orders.sent[:3]] == [0, 1, 2]
    assert len({order.fence for order, _ in works.orders.sent}) == 1


def test_a_record_that_the_agenda_cannot_fold_is_the_orchestrators_trouble(
    harness: GatewayHarness, works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ProjectedAgenda, "trouble", "a deployment is blocked")
    harness.deploy("shop@1.0.0")

    works.during(lambda: bool(works.orders.sent), lambda: works.trouble() == "a deployment is blocked")


def test_a_bus_that_is_away_gets_the_order_later(harness: GatewayHarness, works: Works) -> None:
    works.orders.away = 2
    harness.deploy("shop@1.0.0")

    works.during(lambda: bool(works.orders.sent))

    assert [again for _, again in works.orders.sent] == [0]


def test_a_timed_pause_ends_when_its_time_is_over_and_not_before(harness: GatewayHarness, works: Works) -> None:
    deployment = paused(harness)
    works.during(looked_again(works, harness))
    assert works.asked.commands == []

    harness.clock.advance(61)
    works.during(lambda: bool(harness.facts(deployment, "resumed")))

    assert works.asked.commands == ["deployment.resume"]
    assert works.asked.envelopes[0].sender == "system:timers"


def test_a_timer_whose_clock_is_ahead_of_the_gateways_is_asked_again(harness: GatewayHarness, works: Works) -> None:
    deployment = paused(harness)
    works.clock = Ahead(harness, 0.02)
    harness.clock.advance(59.99)
    works.during(lambda: len(works.asked.commands) >= 2)
    assert harness.facts(deployment, "resumed") == []

    harness.clock.advance(0.01)
    works.during(lambda: bool(harness.facts(deployment, "resumed")))

    assert set(works.asked.commands) == {"deployment.resume"}
    assert len({envelope.id for envelope in works.asked.envelopes}) == 1


def test_a_timer_that_is_too_early_does_not_ask_without_end(harness: GatewayHarness, works: Works) -> None:
    paused(harness)
    works.clock = Ahead(harness, 3600)
    begun = time.monotonic()

    works.during(lambda: time.monotonic() - begun > 1)

    assert 2 <= works.asked.commands.count("deployment.resume") <= 6


def paused(harness: GatewayHarness) -> str:
    """A canary that waits a minute at 5 %."""
    harness.carry_out(harness.deploy("shop@1.0.0"))
    harness.release("1.1.0")
    deployment = harness.deploy("shop@1.1.0", strategy="canary")
    for step in range(3):
        harness.report(deployment, step)
    assert harness.facts(deployment, "paused")
    return deployment


def test_a_timers_command_has_the_same_id_after_a_restart_and_happens_once(
    harness: GatewayHarness, works: Works
) -> None:
    deployment = paused(harness)
    harness.clock.advance(61)
    works.during(lambda: bool(harness.facts(deployment, "resumed")))
    works.during(looked_again(works, harness))
    again = Works(harness, harness.folder / "elsewhere")
    again._folder.mkdir()
    again.during(looked_again(again, harness))

    assert len(harness.facts(deployment, "resumed")) == 1
    first = works.asked.envelopes[0]
    assert harness.gateway.ask(first).result(10).status == "repeated"


def test_deadlines_fire_only_after_the_reports_were_taken_in(harness: GatewayHarness, works: Works) -> None:
    deployment = harness.deploy("shop@1.0.0")
    harness.clock.advance(3600)
    works.taken_in = False
    works.during(looked_again(works, harness))
    assert works.asked.commands == []

    works.taken_in = True
    works.during(lambda: bool(harness.facts(deployment, "step_errored")))

    assert "deployment.expire_step" in works.asked.commands


def test_a_late_report_of_something_done_in_time_beats_the_deadline(harness: GatewayHarness, works: Works) -> None:
    deployment = harness.deploy("shop@1.0.0")
    in_time = harness.clock.now().isoformat()
    harness.clock.advance(3600)
    harness.report(deployment, 0, observedat=in_time)

    works.during(looked_again(works, harness))

    assert harness.facts(deployment, "step_errored") == []
    assert len(harness.facts(deployment, "step_started")) == 2


def test_a_queued_deployment_is_told_to_proceed_when_its_place_is_free(harness: GatewayHarness, works: Works) -> None:
    first = harness.deploy("shop@1.0.0")
    harness.release("2.0.0")
    second = harness.deploy("shop@2.0.0")
    assert harness.facts(second, "queued")
    harness.carry_out(first)

    works.during(lambda: bool(harness.facts(second, "started")))

    assert works.asked.commands == ["deployment.proceed"]
    assert works.asked.envelopes[0].sender == "system:orchestrator"


def test_a_queued_deployment_is_told_to_proceed_when_the_holder_of_its_place_only_keeps_an_old_version(
    harness: GatewayHarness, works: Works
) -> None:
    harness.carry_out(harness.deploy("shop@1.0.0"))
    harness.release("2.0.0")
    harness.release("3.0.0")
    first = harness.deploy("shop@2.0.0", strategy="blue-green")
    second = harness.deploy("shop@3.0.0")
    for step in range(3):
        harness.report(first, step)
    assert harness.facts(first, "paused")[-1]["baking"]

    works.during(lambda: bool(harness.facts(first, "resumed")))
    again = Works(harness, harness.folder / "elsewhere")
    again._folder.mkdir()
    again.during(looked_again(again, harness))

    assert [fact["successor"] for fact in harness.facts(first, "resumed")] == [second]
    assert works.asked.commands == ["deployment.proceed"]
    assert set(again.asked.commands) <= {"deployment.proceed"}
    assert harness.facts(second, "started") == [], "the old version is to be stopped before"


def test_one_item_that_fails_does_not_hold_up_the_others(harness: GatewayHarness, works: Works) -> None:
    first = harness.deploy("shop@1.0.0")
    harness.release("2.0.0")
    second = harness.deploy("shop@2.0.0")
    harness.carry_out(first)
    works.asked.troubles = [GatewayFailed("a fault of ours"), GatewayFailed("a fault of ours")]

    works.during(looked_again(works, harness), lambda: bool(harness.facts(second, "started")))

    assert works.asked.troubles == []


def test_an_item_that_fails_is_named_until_it_succeeds(harness: GatewayHarness, works: Works) -> None:
    first = harness.deploy("shop@1.0.0")
    harness.release("2.0.0")
    second = harness.deploy("shop@2.0.0")
    harness.carry_out(first)
    works.asked.troubles = [GatewayFailed("a fault of ours")] * 3
    sentence = f"nothing goes on with deployment:{second} (GatewayFailed: a fault of ours); trying again"

    works.during(lambda: works.trouble() == sentence, lambda: works.trouble() is None)

    assert harness.facts(second, "started")


def test_a_failing_item_is_retried_less_and_less_often_however_much_is_recorded_meanwhile(
    harness: GatewayHarness, works: Works
) -> None:
    first = harness.deploy("shop@1.0.0")
    harness.release("2.0.0")
    harness.deploy("shop@2.0.0")
    harness.carry_out(first)
    works.asked.troubles = [GatewayFailed("a fault of ours")] * 50
    numbers = count(3)
    began = time.monotonic()

    def tried_four_times() -> bool:
        harness.release(f"{next(numbers)}.0.0")
        return len(works.asked.troubles) <= 46

    works.during(tried_four_times)

    assert next(numbers) > 5
    assert time.monotonic() - began > FIRST_PAUSE_SECONDS * (1 + 2 + 4)


def test_a_full_stream_of_orders_stops_no_deadline(harness: GatewayHarness, works: Works) -> None:
    deployment = harness.deploy("shop@1.0.0")
    works.orders.full = True
    harness.clock.advance(3600)

    works.during(lambda: bool(harness.facts(deployment, "step_errored")))

    assert works.orders.sent == []
    works.orders.full = False
    harness.clock.advance(1)
    works.during(lambda: bool(works.orders.sent))


def test_one_command_that_the_gateway_cannot_answer_does_not_hold_up_the_others(
    harness: GatewayHarness, works: Works
) -> None:
    harness.environment("blogs")
    first, second = harness.deploy("shop@1.0.0"), harness.deploy(harness.release("1.0.0", "blog"), "blogs")
    harness.clock.advance(3600)
    works.asked.unanswered = first

    works.during(lambda: bool(harness.facts(second, "step_errored")))

    assert works.trouble() == "the bus does not take what is due: answering failed"


def test_no_further_item_is_tried_while_the_bus_is_away(harness: GatewayHarness, works: Works) -> None:
    harness.deploy("shop@1.0.0")
    harness.environment("blogs")
    harness.deploy(harness.release("1.0.0", "blog"), "blogs")
    works.orders.away = 1

    works.during(lambda: works.orders.away == 0)

    assert works.orders.sent == []


@pytest.mark.parametrize("during", ["catch_up", "wait"])
def test_a_cancelled_orchestrator_still_waits_for_its_read_of_the_log(harness: GatewayHarness, during: str) -> None:
    inside, go_on = threading.Event(), threading.Event()
    reading: list[str] = []

    def read() -> None:
        reading.append(during)
        inside.set()
        go_on.wait(5)
        reading.clear()

    class Idle:
        trouble = None

        def catch_up(self) -> int:
            if during == "catch_up":
                read()
            return 0

        def items(self) -> dict[tuple[str, str], AgendaItem]:
            return {}

        def changed(self) -> dict[tuple[str, str], AgendaItem | None]:
            return {}

    def wait(after: int, timeout: float) -> bool:
        read()
        return False

    async def taken_in() -> bool:
        return True

    async def cancel() -> list[str]:
        running = asyncio.create_task(
            Orchestrator(Idle(), harness.gateway, Orders(), harness.clock, wait, taken_in).run()
        )
        await asyncio.to_thread(inside.wait, 5)
        running.cancel()
        asyncio.get_running_loop().call_later(0.2, go_on.set)
        await asyncio.gather(running, return_exceptions=True)
        return list(reading)

    assert asyncio.run(cancel()) == []


def test_a_queued_deployment_that_waited_too_long_expires(harness: GatewayHarness, works: Works) -> None:
    harness.deploy("shop@1.0.0")
    harness.release("2.0.0")
    second = harness.deploy("shop@2.0.0")
    harness.clock.advance(86_401)

    works.during(lambda: bool(harness.facts(second, "expired")))

    assert "deployment.expire" in works.asked.commands


def test_a_queued_deployment_whose_plan_has_changed_still_expires(harness: GatewayHarness, works: Works) -> None:
    harness.deploy("shop@1.0.0")
    harness.release("2.0.0")
    second = harness.deploy("shop@2.0.0")
    changed = {"application": "shop", "strategy": "rolling", "options": {"min_ready": 5}}
    harness.do("policy.configure_strategy", changed)
    harness.do("deployment.proceed", {"deployment": second})
    assert harness.facts(second, "replanned")
    harness.clock.advance(86_401)

    works.during(lambda: bool(harness.facts(second, "expired")))


def test_a_plan_that_nobody_deploys_expires_and_what_was_approved_of_it_is_void(
    harness: GatewayHarness, works: Works
) -> None:
    harness.environment("production")
    wanted = {"release": "shop@1.0.0", "environment": "production"}
    planned = harness.do("deployment.plan", wanted | {"options": {"plan_deadline": "2d"}})["deployment"]
    harness.do("approval.request", {"deployment": planned})
    harness.do("approval.grant", {"approval": planned}, actor="bob")
    assert harness.facts(planned, "planned")[0]["deadline"] == "2026-11-25T09:30:00.000000Z"
    harness.clock.advance(2 * 86_400 - 1)
    works.during(looked_again(works, harness))
    assert harness.facts(planned, "expired") == []

    harness.clock.advance(1)
    works.during(lambda: bool(harness.facts(planned, "expired")))

    assert harness.records("approval.voided")[-1]["data"]["reason"] == "its deployment expired"
    assert harness.do("deployment.plan", wanted)["deployment"] != planned


def test_a_requested_deployment_no_longer_expires_as_a_plan(harness: GatewayHarness, works: Works) -> None:
    deployment = harness.deploy("shop@1.0.0", options={"plan_deadline": "1m"})
    harness.clock.advance(120)

    works.during(looked_again(works, harness))

    assert harness.facts(deployment, "expired") == []
    assert works.asked.commands == []


def test_an_approval_that_nobody_decides_on_expires_with_its_deployment(harness: GatewayHarness, works: Works) -> None:
    harness.environment("production")
    waiting = harness.deploy("shop@1.0.0", "production")
    assert harness.facts(waiting, "approval_awaited")
    harness.clock.advance(31 * 86_400)

    works.during(lambda: bool(harness.facts(waiting, "expired")))

    assert works.asked.commands == ["approval.expire"]
