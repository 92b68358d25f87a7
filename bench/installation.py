"""Our side: the gateway on a store, with the same releases as the peer's aggregates."""

import uuid
from collections.abc import Mapping
from typing import Any

from bench.conditions import Store
from bench.library import AGGREGATES
from release_management.runtime.gateway_host import GatewayHost
from release_management.services.envelope import CommandEnvelope, Outcome


def envelope(command: str, data: Mapping[str, Any]) -> CommandEnvelope:
    """Return a command envelope of the bench."""
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
        """Return the command to block a release, or to lift the block."""
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
        """Do the same as a coroutine, like the message bus."""
        accepted(await self.core.gateway.submit(self.next(turn)))

    def do(self, command: str, data: Mapping[str, Any]) -> Outcome:
        """Submit a command, and return its outcome."""
        return accepted(self.core.gateway.answer(envelope(command, data)))

    def fill(self, events: int) -> None:
        """Store this many events."""
        turn = 0
        while self.core.log.last_position() < events:
            tickets = [self.core.gateway.ask(self.next(turn + index)) for index in range(AGGREGATES)]
            turn += AGGREGATES
            for ticket in tickets:
                accepted(ticket.result())

    def replay(self) -> int:
        """Read everything as typed events; return their number."""
        count = 0
        while page := self.core.log.read(count):
            for record in page:
                self.core.registry.read(record)
            count += len(page)
        return count

    def close(self) -> None:
        """Close the store."""
        self.core.close()


def accepted(outcome: Outcome) -> Outcome:
    """Return the outcome. Raises `RuntimeError` if nothing was recorded."""
    if outcome.status != "accepted" or not outcome.first:
        raise RuntimeError(f"{outcome.command} recorded nothing: {outcome.status}, {outcome.reason}")
    return outcome
