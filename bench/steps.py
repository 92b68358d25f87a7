"""Measure a step of a deployment, with few components and with hundreds: decided, recorded, and folded."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from bench.conditions import Scale, Store, progress
from bench.installation import Ours, accepted, envelope
from bench.rows import Figure, Row
from release_management.adapters.read_model import Projector
from release_management.runtime.projected_agenda import ProjectedAgenda

FEW = 10
TOGETHER = 100
"""The number of reports between two looks of the read models and the agenda."""
CANARY = {"initial_traffic": 5, "increment": 10, "interval": 0, "scale_down_delay": 0}
ABOUT = (
    "ms a step of a canary (5, +10): its report is decided and recorded, and the read models and the agenda take it "
    f"in; the ratio is to a canary of {FEW} components in the same run, and grows if a step's cost grows with the plan"
)


def measure(store: Store, scale: Scale) -> Iterator[Row]:
    """Walk a plan of few components, then one of many."""
    ours = Ours(store)
    walker = Walker(ours, store)
    try:
        rounds = max(1, scale.components // FEW // 10)
        progress(f"  {FEW} components, {rounds} times")
        few = [walker.walk(f"few{number}", FEW) for number in range(rounds)]
        progress(f"  {scale.components} components")
        many = walker.walk("many", scale.components)
        small, large = Figure.of(*few, unit="ms"), Figure.of(many, unit="ms")
        ratio = Figure.of(many / small.value)
        measured = f"step of {scale.components} components"
        yield Row(measured, store.name, large, small, f"{FEW} components", ratio, at_most=2.0, notes=(ABOUT,))
    finally:
        walker.close()
        ours.close()


class Walker:
    """Stands for the executors: every order succeeds at once."""

    def __init__(self, ours: Ours, store: Store) -> None:
        core = ours.core
        self._ours = ours
        self._projector = Projector(core.log, core.registry, store.home.read_models)
        self._agenda = ProjectedAgenda(core.log, core.registry, store.home.agenda)

    def walk(self, application: str, count: int) -> float:
        """Deploy an application of this many components, then a canary of its next version; return its ms per step."""
        parts = [f"c{number}" for number in range(count)]
        settings = {"commands": {verb: ["true"] for verb in ("provision", "await_healthy", "route", "retire")}}
        target = {"name": "main", "executor": "command", "components": dict.fromkeys(parts, settings)}
        self._ours.do("environment.configure", {"name": application, "targets": [target]})
        for version in ("1.0.0", "2.0.0"):
            components = [{"name": part} for part in parts]
            self._ours.do("release.create", {"application": application, "version": version, "components": components})
        self._deploy(f"{application}@1.0.0", application)
        begun = time.perf_counter()
        steps = self._deploy(f"{application}@2.0.0", application)
        return 1000 * (time.perf_counter() - begun) / steps

    def _deploy(self, release: str, environment: str) -> int:
        position = self._ours.core.log.last_position()
        wanted = {"release": release, "environment": environment, "strategy": "canary", "options": CANARY}
        deployment = self._ours.do("deployment.deploy", wanted).result["deployment"]
        done = 0
        while orders := self._orders(position):
            position = self._ours.core.log.last_position()
            for start in range(0, len(orders), TOGETHER):
                reports = [
                    {"deployment": deployment, **each, **_succeeded()} for each in orders[start : start + TOGETHER]
                ]
                tickets = [self._ours.core.gateway.ask(envelope("deployment.report_step", each)) for each in reports]
                for ticket in tickets:
                    accepted(ticket.result())
                self._take_in()
            done += len(orders)
        return done

    def _orders(self, after: int) -> list[dict[str, object]]:
        """Return the orders that were recorded after a position."""
        found: list[dict[str, object]] = []
        while page := self._ours.core.log.read(after):
            after = page[-1].position
            for recorded in page:
                if recorded.name == "deployment.step_started":
                    data = json.loads(recorded.record)["data"]
                    found.append(
                        {name: data[name] for name in ("leg", "step", "attempt")} | {"fence": recorded.position}
                    )
        return found

    def _take_in(self) -> None:
        self._projector.catch_up()
        self._agenda.catch_up()

    def close(self) -> None:
        """Close the read models and the agenda."""
        self._agenda.close()
        self._projector.close()


def _succeeded() -> dict[str, str]:
    return {"result": "succeeded", "observedat": datetime.now(UTC).isoformat()}
