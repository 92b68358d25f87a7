"""One run: calm, fire, calm again, a restart, and the verdict."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from chaos.hostile.attacked import HONEST, TYPIST, Attacked, NotStarted
from chaos.hostile.attacker import Order, Sent
from chaos.hostile.damage import tried
from chaos.hostile.fire import Tell, fire
from chaos.hostile.honest import Honest
from chaos.hostile.judge import STRICT, Limits, Phase, faults
from chaos.hostile.watch import Watch

CALM_SECONDS = 15.0
DAMAGES = 12
"""The number of files that are damaged, one after the other."""
LINES_A_MESSAGE = 1 / 400
FILES_A_MESSAGE = 1 / 1_000
MESSAGES_A_SECOND = 500
MOST_LINES = 400
MOST_FILES = 100
"""The most command lines and files beside the messages: each takes a second or two."""


@dataclass(slots=True)
class Result:
    """The result of a run: the phases, calm first, the messages and command lines, and every rule that was broken."""

    phases: list[Phase] = field(default_factory=list)
    sent: Sent = field(default_factory=Sent)
    typed: int = 0
    faults: list[str] = field(default_factory=list)


class Run:
    """An installation in `folder`, which is created. `calm` is how many seconds each calm phase takes."""

    def __init__(
        self,
        folder: Path,
        store: str | None,
        calm: float = CALM_SECONDS,
        limits: Limits = STRICT,
        tell: Tell = lambda _: None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._on_files = store is None
        self._attacked = Attacked(folder, store)
        self._honest = Honest(lambda: self._attacked.url_of(HONEST), folder / "world")
        self._calm = calm
        self._limits = limits
        self._told = tell
        self.result = Result()

    def whole(self, order: Order) -> Result:
        """Run calm, attack, calm again, a clean restart, one after kill -9, and damaged files; return the result."""

        def play() -> None:
            self._phase("calm", self._rest)
            self._phase("under fire", lambda: self._fire(order))
            self._phase("afterwards", self._rest)
            self._restart(self._attacked.stop)
            self._phase("after a restart", self._rest)
            self._restart(self._attacked.kill)
            self._phase("after kill -9", self._rest)
            if self._on_files:
                self._told("damaged files")
                self._restart(self._attacked.stop, again=False)
                self.result.faults += tried(self._attacked.data, order.seed, DAMAGES)

        return self._judged(play)

    def brief(self, order: Order) -> Result:
        """Run calm, the attack, and a clean restart; return the result."""

        def play() -> None:
            self._phase("calm", self._rest)
            self._phase("under fire", lambda: self._fire(order))
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
        self._told(name)
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

    def _fire(self, order: Order) -> None:
        where = replace(order, url=self._attacked.url, probes=self._attacked.probes())
        messages = order.last - order.first if order.last is not None else (order.seconds or 0.0) * MESSAGES_A_SECOND
        fired = fire(
            where,
            self._folder / "typist",
            self._attacked.url_of(TYPIST),
            self._told,
            lines=min(int(messages * LINES_A_MESSAGE), MOST_LINES),
            files=min(int(messages * FILES_A_MESSAGE), MOST_FILES),
        )
        self.result.sent, self.result.typed = fired.sent, fired.typed
        self.result.faults += fired.faults

    def _restart(self, end: Callable[[], int | None], *, again: bool = True) -> None:
        if code := end():
            self.result.faults.append(f"relman up was told to stop and ended with code {code}")
        if again:
            self._attacked.start()
