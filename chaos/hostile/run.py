"""One run: calm, fire, calm again, a restart, and the verdict."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from chaos.hostile.attacked import Attacked, NotStarted
from chaos.hostile.attacker import Order, Sent, read
from chaos.hostile.honest import Honest
from chaos.hostile.judge import STRICT, Limits, Phase, faults
from chaos.hostile.watch import Watch
from chaos.installation import ROOT

CALM_SECONDS = 15.0
Told = Callable[[Sent], None]
"""Told now and then what was sent."""


@dataclass(slots=True)
class Result:
    """What came of a run: the phases, calm first, what was sent, and every rule that was broken."""

    phases: list[Phase] = field(default_factory=list)
    sent: Sent = field(default_factory=Sent)
    faults: list[str] = field(default_factory=list)


class Run:
    """An installation in `folder`, which is made. `calm` is how many seconds each phase without an attacker takes."""

    def __init__(self, folder: Path, store: str | None, calm: float = CALM_SECONDS, limits: Limits = STRICT) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._attacked = Attacked(folder, store)
        self._honest = Honest(lambda: self._attacked.url, folder / "world")
        self._calm = calm
        self._limits = limits
        self.result = Result()

    def whole(self, order: Order, told: Told = lambda _: None) -> Result:
        """Calm, the order, calm again, a clean restart and one after kill -9: what of it was not as it should be."""

        def play() -> None:
            self._phase("calm", self._rest)
            self._phase("under fire", lambda: self._fire(order, told))
            self._phase("afterwards", self._rest)
            self._restart(self._attacked.stop)
            self._phase("after a restart", self._rest)
            self._restart(self._attacked.kill)
            self._phase("after kill -9", self._rest)

        return self._judged(play)

    def brief(self, order: Order) -> Result:
        """Calm, the order, and a clean restart."""

        def play() -> None:
            self._phase("calm", self._rest)
            self._phase("under fire", lambda: self._fire(order, lambda _: None))
            self._restart(self._attacked.stop)
            self._phase("after a restart", self._rest)

        return self._judged(play)

    def _judged(self, play: Callable[[], None]) -> Result:
        try:
            self._attacked.start()
            play()
        except (RuntimeError, NotStarted) as error:
            self.result.faults.append(f"the run ended: {error}")
        finally:
            self._honest.end()
            self._attacked.stop()
        if self.result.phases:
            calm, *others = self.result.phases
            self.result.faults += faults(calm, others, self.result.sent, self._limits)
        return self.result

    def _phase(self, name: str, happening: Callable[[], None]) -> None:
        phase = Phase(name)
        phase.heard = self._honest.begin()
        self.result.phases.append(phase)
        watch = Watch(self._attacked, phase)
        try:
            happening()
        finally:
            self._honest.end()
            watch.end()
        if not self._attacked.is_alive:
            raise RuntimeError(f"relman up has ended {name}")

    def _rest(self) -> None:
        time.sleep(self._calm)

    def _fire(self, order: Order, told: Told) -> None:
        """An attacker that dies is a fault of the test, and is said."""
        where = {"url": self._attacked.url, "probes": self._attacked.probes()}
        attacker = subprocess.Popen(
            [sys.executable, "-m", "chaos.hostile.attacker"], cwd=ROOT, stdin=-1, stdout=-1, text=True
        )
        assert attacker.stdin is not None
        assert attacker.stdout is not None
        with attacker:
            attacker.stdin.write(json.dumps({**asdict(order), **where}))
            attacker.stdin.close()
            for line in attacker.stdout:
                self.result.sent = read(line)
                told(self.result.sent)
        if attacker.returncode or not self.result.sent.over:
            raise RuntimeError(f"the attacker ended with code {attacker.returncode}")

    def _restart(self, end: Callable[[], int | None]) -> None:
        if code := end():
            self.result.faults.append(f"relman up was told to stop and ended with code {code}")
        self._attacked.start()
