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
from tests.services.gateway_harness import REGISTRY, Office


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

    def __init__(self, office: Office) -> None:
        self.envelopes: list[CommandEnvelope] = []
        self.troubles: list[Exception] = []
        self.unanswered = ""
        self._gateway = office.gateway

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

    def __init__(self, office: Office, seconds: float) -> None:
        self._office = office
        self._ahead = timedelta(seconds=seconds)

    def now(self) -> datetime:
        return self._office.clock.now() + self._ahead


class Works:
    """An orchestrator that runs while `during` waits for something to become true."""

    def __init__(self, office: Office, folder: Path) -> None:
        self.orders = Orders()
        self.asked = Asked(office)
        self.taken_in = True
        self.clock: Clock = office.clock
        self.trouble: Callable[[], str | None] = lambda: None
        self._office = office
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
def works(office: Office, tmp_path: Path) -> Works:
    office.environment()
    office.release("1.0.0")
    return Works(office, tmp_path)


def looked_again(works: Works, office: Office) -> Callable[[], bool]:
    """True once the orchestrator has looked, after it was first asked, at everything there is and at the time."""
    probe = f"probe-{time.monotonic_ns()}"
    asked: list[str] = []

    def seen() -> bool:
        if not asked:
            office.environment(probe)
            asked.append(office.deploy(office.release("9.0.0", probe), probe))
        # An item that is out is carried out with all the others of the same look.
        return any(order.application == probe for order, _ in works.orders.sent)

    return seen


def test_an_order_is_sent_once_and_its_fence_is_the_records_position(office: Office, works: Works) -> None:
    deployment = office.deploy("shop@1.0.0")

    works.during(lambda: bool(works.orders.sent), looked_again(works, office))

    orders = [order for order, again in works.orders.sent if order.application == "shop"]
    assert [order.action.verb for order in orders] == ["provision"]
    (started,) = [record for record in office.records("deployment.step_started") if "shop" in str(record["data"])]
    position = office.records().index(started) + 1
    assert (orders[0].deployment, orders[0].fence, orders[0].attempt) == (deployment, position, 1)


def test_orders_follow_the_reports_to_the_end(office: Office, works: Works) -> None:
    deployment = office.deploy("shop@1.0.0")

    def answered() -> bool:
        done = len(office.facts(deployment, "step_succeeded"))
        if len(works.orders.sent) > done and not office.facts(deployment, "succeeded"):
            office.report(deployment, works.orders.sent[-1][0].step)
        return bool(office.facts(deployment, "succeeded"))

    works.during(answered)

    assert works.orders.verbs == ["provision", "await_healthy", "route"]
    assert [again for _, again in works.orders.sent] == [0, 0, 0]


def test_an_order_without_a_report_is_sent_again_after_a_time(
    office: Office, works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orchestrator, "SENT_AGAIN_AFTER", 0.1)
    office.deploy("shop@1.0.0")

    works.during(lambda: len(works.orders.sent) >= 3)

    assert [again for _, again in works.orders.sent[:3]] == [0, 1, 2]
    assert len({order.fence for order, _ in works.orders.sent}) == 1


def test_a_record_that_the_agenda_cannot_fold_is_the_orchestrators_trouble(
    office: Office, works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ProjectedAgenda, "trouble", "a deployment stands still")
    office.deploy("shop@1.0.0")

    works.during(lambda: bool(works.orders.sent), lambda: works.trouble() == "a deployment stands still")


def test_a_bus_that_is_away_gets_the_order_later(office: Office, works: Works) -> None:
    works.orders.away = 2
    office.deploy("shop@1.0.0")

    works.during(lambda: bool(works.orders.sent))

    assert [again for _, again in works.orders.sent] == [0]


def test_a_timed_pause_ends_when_its_time_is_over_and_not_before(office: Office, works: Works) -> None:
    deployment = paused(office)
    works.during(looked_again(works, office))
    assert works.asked.commands == []

    office.clock.advance(61)
    works.during(lambda: bool(office.facts(deployment, "resumed")))

    assert works.asked.commands == ["deployment.resume"]
    assert works.asked.envelopes[0].sender == "system:timers"


def test_a_timer_whose_clock_is_ahead_of_the_gateways_is_asked_again(office: Office, works: Works) -> None:
    deployment = paused(office)
    works.clock = Ahead(office, 0.02)
    office.clock.advance(59.99)
    works.during(lambda: len(works.asked.commands) >= 2)
    assert office.facts(deployment, "resumed") == []

    office.clock.advance(0.01)
    works.during(lambda: bool(office.facts(deployment, "resumed")))

    assert set(works.asked.commands) == {"deployment.resume"}
    assert len({envelope.id for envelope in works.asked.envelopes}) == 1


def test_a_timer_that_is_too_early_does_not_ask_without_end(office: Office, works: Works) -> None:
    paused(office)
    works.clock = Ahead(office, 3600)
    begun = time.monotonic()

    works.during(lambda: time.monotonic() - begun > 1)

    assert 2 <= works.asked.commands.count("deployment.resume") <= 6


def paused(office: Office) -> str:
    """A canary that waits a minute at 5 %."""
    office.carry_out(office.deploy("shop@1.0.0"))
    office.release("1.1.0")
    deployment = office.deploy("shop@1.1.0", strategy="canary")
    for step in range(3):
        office.report(deployment, step)
    assert office.facts(deployment, "paused")
    return deployment


def test_a_timers_command_has_the_same_id_after_a_restart_and_happens_once(office: Office, works: Works) -> None:
    deployment = paused(office)
    office.clock.advance(61)
    works.during(lambda: bool(office.facts(deployment, "resumed")))
    works.during(looked_again(works, office))
    again = Works(office, office.folder / "elsewhere")
    again._folder.mkdir()
    again.during(looked_again(again, office))

    assert len(office.facts(deployment, "resumed")) == 1
    first = works.asked.envelopes[0]
    assert office.gateway.ask(first).result(10).status == "repeated"


def test_deadlines_fire_only_after_the_reports_were_taken_in(office: Office, works: Works) -> None:
    deployment = office.deploy("shop@1.0.0")
    office.clock.advance(3600)
    works.taken_in = False
    works.during(looked_again(works, office))
    assert works.asked.commands == []

    works.taken_in = True
    works.during(lambda: bool(office.facts(deployment, "step_errored")))

    assert "deployment.expire_step" in works.asked.commands


def test_a_late_report_of_something_done_in_time_beats_the_deadline(office: Office, works: Works) -> None:
    deployment = office.deploy("shop@1.0.0")
    in_time = office.clock.now().isoformat()
    office.clock.advance(3600)
    office.report(deployment, 0, observedat=in_time)

    works.during(looked_again(works, office))

    assert office.facts(deployment, "step_errored") == []
    assert len(office.facts(deployment, "step_started")) == 2


def test_a_queued_deployment_is_told_to_proceed_when_its_place_is_free(office: Office, works: Works) -> None:
    first = office.deploy("shop@1.0.0")
    office.release("2.0.0")
    second = office.deploy("shop@2.0.0")
    assert office.facts(second, "queued")
    office.carry_out(first)

    works.during(lambda: bool(office.facts(second, "started")))

    assert works.asked.commands == ["deployment.proceed"]
    assert works.asked.envelopes[0].sender == "system:orchestrator"


def test_a_queued_deployment_is_told_to_proceed_when_the_holder_of_its_place_only_keeps_an_old_version(
    office: Office, works: Works
) -> None:
    office.carry_out(office.deploy("shop@1.0.0"))
    office.release("2.0.0")
    office.release("3.0.0")
    first = office.deploy("shop@2.0.0", strategy="blue-green")
    second = office.deploy("shop@3.0.0")
    for step in range(3):
        office.report(first, step)
    assert office.facts(first, "paused")[-1]["baking"]

    works.during(lambda: bool(office.facts(first, "resumed")))
    again = Works(office, office.folder / "elsewhere")
    again._folder.mkdir()
    again.during(looked_again(again, office))

    assert [fact["successor"] for fact in office.facts(first, "resumed")] == [second]
    assert works.asked.commands == ["deployment.proceed"]
    assert set(again.asked.commands) <= {"deployment.proceed"}
    assert office.facts(second, "started") == [], "the old version is to be stopped before"


def test_one_item_that_fails_does_not_hold_up_the_others(office: Office, works: Works) -> None:
    first = office.deploy("shop@1.0.0")
    office.release("2.0.0")
    second = office.deploy("shop@2.0.0")
    office.carry_out(first)
    works.asked.troubles = [GatewayFailed("a fault of ours"), GatewayFailed("a fault of ours")]

    works.during(looked_again(works, office), lambda: bool(office.facts(second, "started")))

    assert works.asked.troubles == []


def test_an_item_that_fails_is_named_until_it_succeeds(office: Office, works: Works) -> None:
    first = office.deploy("shop@1.0.0")
    office.release("2.0.0")
    second = office.deploy("shop@2.0.0")
    office.carry_out(first)
    works.asked.troubles = [GatewayFailed("a fault of ours")] * 3
    said = f"nothing goes on with deployment:{second} (GatewayFailed: a fault of ours); trying again"

    works.during(lambda: works.trouble() == said, lambda: works.trouble() is None)

    assert office.facts(second, "started")


def test_a_failing_item_is_retried_less_and_less_often_however_much_is_recorded_meanwhile(
    office: Office, works: Works
) -> None:
    first = office.deploy("shop@1.0.0")
    office.release("2.0.0")
    office.deploy("shop@2.0.0")
    office.carry_out(first)
    works.asked.troubles = [GatewayFailed("a fault of ours")] * 50
    numbers = count(3)
    began = time.monotonic()

    def tried_four_times() -> bool:
        office.release(f"{next(numbers)}.0.0")
        return len(works.asked.troubles) <= 46

    works.during(tried_four_times)

    assert next(numbers) > 5
    assert time.monotonic() - began > FIRST_PAUSE_SECONDS * (1 + 2 + 4)


def test_a_full_stream_of_orders_stops_no_deadline(office: Office, works: Works) -> None:
    deployment = office.deploy("shop@1.0.0")
    works.orders.full = True
    office.clock.advance(3600)

    works.during(lambda: bool(office.facts(deployment, "step_errored")))

    assert works.orders.sent == []
    works.orders.full = False
    office.clock.advance(1)
    works.during(lambda: bool(works.orders.sent))


def test_one_command_that_the_gateway_cannot_answer_does_not_hold_up_the_others(office: Office, works: Works) -> None:
    office.environment("blogs")
    first, second = office.deploy("shop@1.0.0"), office.deploy(office.release("1.0.0", "blog"), "blogs")
    office.clock.advance(3600)
    works.asked.unanswered = first

    works.during(lambda: bool(office.facts(second, "step_errored")))

    assert works.trouble() == "the bus does not take what is due: answering failed"


def test_no_further_item_is_tried_while_the_bus_is_away(office: Office, works: Works) -> None:
    office.deploy("shop@1.0.0")
    office.environment("blogs")
    office.deploy(office.release("1.0.0", "blog"), "blogs")
    works.orders.away = 1

    works.during(lambda: works.orders.away == 0)

    assert works.orders.sent == []


@pytest.mark.parametrize("during", ["catch_up", "wait"])
def test_a_cancelled_orchestrator_still_waits_for_its_read_of_the_log(office: Office, during: str) -> None:
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
            Orchestrator(Idle(), office.gateway, Orders(), office.clock, wait, taken_in).run()
        )
        await asyncio.to_thread(inside.wait, 5)
        running.cancel()
        asyncio.get_running_loop().call_later(0.2, go_on.set)
        await asyncio.gather(running, return_exceptions=True)
        return list(reading)

    assert asyncio.run(cancel()) == []


def test_a_queued_deployment_that_waited_too_long_expires(office: Office, works: Works) -> None:
    office.deploy("shop@1.0.0")
    office.release("2.0.0")
    second = office.deploy("shop@2.0.0")
    office.clock.advance(86_401)

    works.during(lambda: bool(office.facts(second, "expired")))

    assert "deployment.expire" in works.asked.commands


def test_a_queued_deployment_whose_plan_has_changed_still_expires(office: Office, works: Works) -> None:
    office.deploy("shop@1.0.0")
    office.release("2.0.0")
    second = office.deploy("shop@2.0.0")
    changed = {"application": "shop", "strategy": "rolling", "options": {"min_ready": 5}}
    office.do("policy.configure_strategy", changed)
    office.do("deployment.proceed", {"deployment": second})
    assert office.facts(second, "replanned")
    office.clock.advance(86_401)

    works.during(lambda: bool(office.facts(second, "expired")))


def test_a_plan_that_nobody_deploys_expires_and_what_was_approved_of_it_is_void(office: Office, works: Works) -> None:
    office.environment("production")
    wanted = {"release": "shop@1.0.0", "environment": "production"}
    planned = office.do("deployment.plan", wanted | {"options": {"plan_deadline": "2d"}})["deployment"]
    office.do("approval.request", {"deployment": planned})
    office.do("approval.grant", {"approval": planned}, actor="bob")
    assert office.facts(planned, "planned")[0]["deadline"] == "2026-11-25T09:30:00.000000Z"
    office.clock.advance(2 * 86_400 - 1)
    works.during(looked_again(works, office))
    assert office.facts(planned, "expired") == []

    office.clock.advance(1)
    works.during(lambda: bool(office.facts(planned, "expired")))

    assert office.records("approval.voided")[-1]["data"]["reason"] == "its deployment expired"
    assert office.do("deployment.plan", wanted)["deployment"] != planned


def test_a_requested_deployment_no_longer_expires_as_a_plan(office: Office, works: Works) -> None:
    deployment = office.deploy("shop@1.0.0", options={"plan_deadline": "1m"})
    office.clock.advance(120)

    works.during(looked_again(works, office))

    assert office.facts(deployment, "expired") == []
    assert works.asked.commands == []


def test_an_approval_that_nobody_decides_on_expires_with_its_deployment(office: Office, works: Works) -> None:
    office.environment("production")
    waiting = office.deploy("shop@1.0.0", "production")
    assert office.facts(waiting, "approval_awaited")
    office.clock.advance(31 * 86_400)

    works.during(lambda: bool(office.facts(waiting, "expired")))

    assert works.asked.commands == ["approval.expire"]
