"""One act: an installation, people who deploy, kills meanwhile, and the verdict."""

import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from chaos import judge
from chaos.installation import Installation
from chaos.leftovers import leftovers
from chaos.plan import TWO_OF_SOME, Blow, Roles, blows, each, parts_of, until
from chaos.servers import Bus, ClusterBus, Database, SingleBus
from chaos.story import Driver, GaveUp
from release_management.domain.registry import Registry
from release_management.runtime.loop_thread import LoopThread
from release_management.services.ports import LogUnavailableError

TICK_SECONDS = 0.02
AFTER_RECORD_SECONDS = 0.1
"""The longest time from a record to the kill: the effects of a record take about as long."""
BETWEEN_SECONDS = 3.0
"""The longest time between two random kills: most killed processes are back by then."""
REPEATED = "of them begun again"
Tell = Callable[[int], None]
"""A callback for the number of kills in the act so far."""


@dataclass(slots=True)
class Result:
    """The result of an act.

    `kills` are the blows that killed something, `processes` the number of killed roles and servers, and `in_vain` the
    blows that found nothing alive. `stops` is how often the database was stopped in order, which is no kill. `silence`
    is the longest time without a new record, in seconds, by the kill before it. `leaders` is how often the leader of
    which stream of a cluster was among the killed.
    """

    name: str
    faults: list[str] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    processes: int = 0
    in_vain: int = 0
    stops: int = 0
    leaders: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    figures: dict[str, int] = field(default_factory=dict)
    silence: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


class Act:
    """`folder` is created, and kept. The same seed, name and `roles` give the same blows in the same order.

    The first are not drawn: there is one of each of the `kinds`, after which its victim is `away` for so many seconds.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        seed: int,
        *,
        postgres: bool,
        cluster: bool,
        roles: Roles = TWO_OF_SOME,
        kinds: Collection[str] = (),
        away: float = 0.0,
    ) -> None:
        self.result = Result(name)
        self._folder = folder
        self._world = folder / "world"
        self._world.mkdir(parents=True)
        data = folder / "data"
        data.mkdir(mode=0o700)
        drawn = blows(random.Random(f"{seed}/{name}"), parts_of(roles), database=postgres)
        self._plan = chain(each(kinds, self.result.kills, away), drawn)
        servers = random.Random(f"{seed}/{name}/servers")
        self._cluster = ClusterBus(servers) if cluster else None
        bus: Bus = self._cluster or SingleBus(data)
        self._database = Database(servers) if postgres else None
        self._installation = Installation(data, bus, self._database, replicas=3 if cluster else 1, roles=roles)
        self._seed = seed
        self._position, self._moved, self._last = 0, time.monotonic(), "nothing"

    def canary(self, most: int, tell: Tell) -> Result:
        """Kill something after every record of one canary, at most `most` times."""

        def kills(driver: Driver, telling: "Future[None]") -> Iterator[Blow]:
            for blow in until(most, self.result.kills.total, self._plan):
                self._await_record(telling)
                if telling.done():
                    return
                self._pass(blow.after * AFTER_RECORD_SECONDS)
                yield blow

        return self._play(lambda driver: driver.first_version(), lambda driver: driver.second_by_canary(), kills, tell)

    def stream(self, count: int, tell: Tell) -> Result:
        """Kill something now and then, `count` times, while one deployment follows the other."""

        def kills(driver: Driver, telling: "Future[None]") -> Iterator[Blow]:
            for blow in until(count, self.result.kills.total, self._plan):
                if blow.moving:
                    self._await_record(telling)
                self._pass(blow.after * BETWEEN_SECONDS)
                if telling.done():
                    return
                yield blow
            driver.over()

        return self._play(lambda driver: driver.nothing(), lambda driver: driver.stream(), kills, tell)

    def _play(
        self,
        prologue: Callable[[Driver], Coroutine[Any, Any, None]],
        story: Callable[[Driver], Coroutine[Any, Any, None]],
        kills: Callable[[Driver, "Future[None]"], Iterator[Blow]],
        tell: Tell,
    ) -> Result:
        began = time.monotonic()
        loop = LoopThread("people")
        try:
            self._installation.start()
            self._log = self._installation.home.open_log(Registry())
            driver = Driver(self._installation.bus.urls["client"], self._seed, self._world)
            try:
                self._tell(loop, driver.configure())
                self._tell(loop, prologue(driver))
                self._moved = time.monotonic()
                telling = loop.start(story(driver))
                for blow in kills(driver, telling):
                    self._strike(blow)
                    tell(self.result.kills.total())
                self._wait(telling.done)
                telling.result()
                self._installation.restore()
                self._judge(loop, driver)
            except* GaveUp as gave_up:
                self.result.faults += [str(error) for error in gave_up.exceptions]
            finally:
                loop.run(driver.close())
                self._log.close()
        finally:
            loop.close()
            self._installation.end()
        deployments = {one.id for one in driver.story.deployments}
        self.result.faults += [f"still running: {line}" for line in leftovers(self._folder, deployments)]
        self._count(driver)
        self.result.seconds = time.monotonic() - began
        return self.result

    def _strike(self, blow: Blow) -> None:
        strike = self._installation.strike(blow)
        self._wait(strike.is_over)
        if killed := strike.killed():
            self.result.kills[blow.what] += 1
            self.result.processes += killed
            self._last = blow.what
        else:
            self.result.in_vain += 1

    def _judge(self, loop: LoopThread, driver: Driver) -> None:
        """Compare everything with everything, first the roles' health, then what they leave behind."""
        found = self.result
        last = self._log.last_position()
        rows = loop.start(driver.running(last))
        self._wait(rows.done)
        records = judge.records_of(self._log)
        journals = judge.journals(self._world)
        found.faults += judge.deployments(driver.story.deployments)
        found.faults += judge.log(records, driver.story, self._log)
        found.faults += judge.bus(self._log, self._installation.bus.urls["client"])
        found.faults += judge.dead_letters(self._installation.bus.urls["client"])
        found.faults += judge.world(journals, records, self._installation.executors)
        found.faults += judge.running(journals, rows.result())
        found.faults += self._installation.stop_roles()
        faults, compared = judge.projections(self._installation.home, self._log)
        found.faults += faults
        found.faults += self._installation.deaths
        lines = [line["what"] for lines in journals.values() for line in lines]
        found.figures |= {
            "records": len(records),
            "answers": len(driver.story.outcomes),
            "asked": driver.story.tries,
            "programs begun": lines.count("begin"),
            REPEATED: judge.repeated(journals),
            "effects": lines.count("effect"),
            "times an effect was there already": lines.count("again"),
            "rows compared": compared,
        }

    def _count(self, driver: Driver) -> None:
        self.result.stops = self._database.stopped_in_order if self._database is not None else 0
        self.result.leaders = self._cluster.leaders if self._cluster is not None else Counter()
        self.result.ended = Counter(str(one.ended) for one in driver.story.deployments)

    def _tell(self, loop: LoopThread, part: Coroutine[Any, Any, None]) -> None:
        telling = loop.start(part)
        self._wait(telling.done)
        telling.result()

    def _await_record(self, telling: "Future[None]") -> None:
        seen = self._position
        self._wait(lambda: telling.done() or self._position > seen)

    def _pass(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        self._wait(lambda: time.monotonic() >= until)

    def _wait(self, over: Callable[[], bool]) -> None:
        """Keep the installation alive, and watch the log, until `over` returns True."""
        while not over():
            self._installation.tend()
            try:
                position = self._log.last_position()
            except LogUnavailableError:
                position = self._position
            now = time.monotonic()
            if position > self._position:
                silence = self.result.silence
                silence[self._last] = max(silence.get(self._last, 0.0), now - self._moved)
                self._position, self._moved = position, now
            time.sleep(TICK_SECONDS)
