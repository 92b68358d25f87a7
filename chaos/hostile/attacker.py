"""The client that does its worst, in a process of its own: it stands for another machine.

`python -m chaos.hostile.attacker` reads an `Order` as JSON from its standard input, and writes its results, once a
second and at the end, as a line of JSON. It knows no more than any client: the bus's URL, and the machine's ports.
"""

import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields

from chaos.hostile.acts import ACTS, Attack
from chaos.hostile.mail import INBOX, message
from chaos.hostile.wire import HungUp, Message, Wire

BATCH = 200
BATCH_BYTES = 1 << 20
REPORT_SECONDS = 1.0
AGAIN_SECONDS = 0.2
NICENESS = 3
OURS = (b'"code": "internal"', b'"code":"internal"')
"""Parts of an answer that admits a fault; answers are written with blanks and without."""
HONEST = b'"sender":"client:honest:honest"'
"""A part of the honest client's outcomes: no other client can have that sender."""


@dataclass(frozen=True, slots=True)
class Order:
    """The order for the attacker: the messages `first` to before `last` of a seed, or as many as fit into `seconds`.

    The acts are played in turn, `rounds` times, evenly among the messages, or once in `every` seconds.
    """

    url: str
    seed: int
    first: int = 0
    last: int | None = None
    seconds: float | None = None
    rounds: int = 1
    every: float = 10.0
    probes: tuple[str, ...] = ()


@dataclass(slots=True)
class Sent:
    """The result: the messages by kind, and the answers."""

    by_kind: Counter[str] = field(default_factory=Counter)
    acts: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    answers: int = 0
    ours: Counter[str] = field(default_factory=Counter)
    overheard: int = 0
    cut_off: int = 0
    next: int = 0
    seconds: float = 0.0
    over: bool = False

    @property
    def messages(self) -> int:
        """Return how many messages were sent."""
        return self.by_kind.total()


class Attacker:
    """Sends the messages of an order."""

    def __init__(self, order: Order) -> None:
        self.sent = Sent(next=order.first)
        self._order = order
        self._attack = Attack(order.url, order.probes)
        self._chance = random.Random(f"{order.seed}/acts")
        self._began = time.monotonic()
        self._wire: Wire | None = None
        self._acts = self._turns()
        self._played = 0

    def run(self) -> Iterator[Sent]:
        """Send all messages; yield the result so far now and then."""
        said = self._began
        while not self.sent.over:
            self._act()
            self._send()
            order, now = self._order, time.monotonic()
            self.sent.seconds = now - self._began
            self.sent.over = (order.last is not None and self.sent.next >= order.last) or (
                order.seconds is not None and self.sent.seconds >= order.seconds
            )
            if self.sent.over:
                self._act()
            if now - said > REPORT_SECONDS or self.sent.over:
                said = now
                yield self.sent
        self._attack.close()

    def _act(self) -> None:
        """Play the acts that are due."""
        while self._is_due():
            name = next(self._acts)
            self.sent.acts[name] += self._play(name)
            self.sent.overheard = sum(map(is_honest, self._attack.overheard))

    def _turns(self) -> Iterator[str]:
        while True:
            yield from ACTS

    def _is_due(self) -> bool:
        order = self._order
        if order.seconds is not None:
            return self.sent.seconds >= order.every * (self._played + 0.5)
        share = (self.sent.next - order.first) / max((order.last or 0) - order.first, 1)
        return share * order.rounds * len(ACTS) >= self._played + 0.5

    def _play(self, name: str) -> int:
        self._played += 1
        try:
            return ACTS[name](self._attack, self._chance)
        except (HungUp, OSError):
            self.sent.cut_off += 1
            return 0

    def _send(self) -> None:
        batch = list(self._batch())
        try:
            if self._wire is None:
                self._wire = self._connected()
            self._wire.publish(batch)
        except (HungUp, OSError) as error:
            self.sent.cut_off += 1
            self.sent.refused[f"hung up: {error}"[:80]] += 1
            self._wire = None
            time.sleep(AGAIN_SECONDS)
        self.sent.by_kind.update(each.kind for each in batch)

    def _batch(self) -> Iterator[Message]:
        size = 0
        for _ in range(BATCH):
            if self._order.last is not None and self.sent.next >= self._order.last:
                return
            made = message(self._order.seed, self.sent.next)
            self.sent.next += 1
            yield made
            size += len(made.payload) + len(made.headers or b"")
            if size > BATCH_BYTES:
                return

    def _connected(self) -> Wire:
        wire = Wire(self._order.url, self._heard)
        wire.refused = self.sent.refused
        wire.subscribe(f"{INBOX}.*", 1)
        return wire

    def _heard(self, subject: bytes, payload: bytes) -> None:
        self.sent.answers += 1
        if any(code in payload for code in OURS):
            self.sent.ours[payload[:200].decode(errors="replace")] += 1


def is_honest(payload: bytes) -> bool:
    """Return True if a message was sent to the honest client."""
    return HONEST in payload


def written(sent: Sent) -> str:
    """Return the result as a line of JSON."""
    return json.dumps({each.name: getattr(sent, each.name) for each in fields(sent)})


def read(line: str) -> Sent:
    """Parse such a line."""
    sent = Sent(**json.loads(line))
    for each in fields(sent):
        if each.default_factory is Counter:
            setattr(sent, each.name, Counter(getattr(sent, each.name)))
    return sent


def main() -> int:
    """Attack; see the module's docstring."""
    asked = json.load(sys.stdin)
    os.nice(NICENESS)
    attacker = Attacker(Order(**{**asked, "probes": tuple(asked["probes"])}))
    for sent in attacker.run():
        print(written(sent), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
