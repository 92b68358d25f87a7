"""Our side: the gateway on a store, with the same releases as the peer's aggregates."""

import uuid
from collections.abc import Mapping
from typing import Any

from bench.conditions import Store
from bench.library import AGGREGATES
from release_management.runtime.gateway_host import GatewayHost
from release_management.services.envelope import CommandEnvelope, Outcome


def envelope(command: str, data: Mapping[str, Any]) -> CommandEnvelope:
    """A wish of the bench."""
    return CommandEnvelope(
        sender="bench",
        id=str(uuid.uuid4()),
        command=command,
        data=dict(data),
        actor="bench",
        actorkind="person",
        actorauth="asserted",
    )


class Ours:
    """The real gateway on its log; callers take its releases in turn."""

    def __init__(self, store: Store) -> None:
        self.core = GatewayHost(store.home)
        self._blocked = [False] * AGGREGATES
        for number in range(AGGREGATES):
            self.do("release.create", {"version": f"{number}.0.0", "components": [{"name": "web"}]})

    def next(self, turn: int) -> CommandEnvelope:
        """Block a release, or lift the block."""
        number = turn % AGGREGATES
        self._blocked[number] = not self._blocked[number]
        release = f"default@{number}.0.0"
        if self._blocked[number]:
            return envelope("release.block", {"release": release, "reason": "bench"})
        return envelope("release.unblock", {"release": release})

    def command(self, turn: int) -> None:
        """Load, decide, append."""
        accepted(self.core.gateway.answer(self.next(turn)))

    async def submit(self, turn: int) -> None:
        """The same, as a coroutine: so the message bus hands it in."""
        accepted(await self.core.gateway.submit(self.next(turn)))

    def do(self, command: str, data: Mapping[str, Any]) -> Outcome:
        """Have something done."""
        return accepted(self.core.gateway.answer(envelope(command, data)))

    def fill(self, events: int) -> None:
        """Have so many events stored, and no fewer."""
        turn = 0
        while self.core.log.last_position() < events:
            tickets = [self.core.gateway.ask(self.next(turn + index)) for index in range(AGGREGATES)]
            turn += AGGREGATES
            for ticket in tickets:
                accepted(ticket.result())

    def replay(self) -> int:
        """Read everything as typed events; how many there were."""
        count = 0
        while page := self.core.log.read(count):
            for record in page:
                self.core.registry.read(record)
            count += len(page)
        return count

    def close(self) -> None:
        """Release the store."""
        self.core.close()


def accepted(outcome: Outcome) -> Outcome:
    """The outcome. Raises `RuntimeError` where nothing was recorded."""
    if outcome.status != "accepted" or not outcome.first:
        raise RuntimeError(f"{outcome.command} recorded nothing: {outcome.status}, {outcome.reason}")
    return outcome
