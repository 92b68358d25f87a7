"""The one writer: load, decide, append. Many wishes share one durable commit.

State that was decided on in a batch is carried forward inside it; the store checks every expectation against what was
there before the batch, so what derives from a loser is decided again.
"""

import asyncio
import json
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic import ValidationError

from release_management.domain.record import timestamp
from release_management.domain.registry import Registry
from release_management.domain.streams import fold
from release_management.domain.words import Command, Refused, Verdict, explain
from release_management.services.bus import GatewayFailed
from release_management.services.decisions import COMMANDS
from release_management.services.desk import Desk, SettingsCheck
from release_management.services.ports import (
    Append,
    Appended,
    Clock,
    Conflict,
    EventLog,
    Expectation,
    Keyring,
    OtherContent,
    Repeated,
    Status,
)
from release_management.services.recording import Scribe
from release_management.services.sealing import ERASED, reveal
from release_management.services.wishes import Outcome, Wish

BATCH = 256
WAITING = 4_096
CACHED_STREAMS = 10_000
TRIES = 20
log = structlog.get_logger()


@dataclass(slots=True)
class _Asked:
    wish: Wish
    future: Future[Outcome]


@dataclass(frozen=True, slots=True)
class _Decided:
    append: Append
    outcome: Outcome
    states: dict[str, tuple[int, Any]]


class Gateway:
    """Decides wishes one after the other on one thread of its own, and commits them in batches.

    `close` decides what was asked before it and then stops.
    """

    def __init__(
        self,
        event_log: EventLog,
        registry: Registry,
        keyring: Keyring,
        clock: Clock,
        new_id: Callable[[], str],
        executors: Mapping[str, SettingsCheck],
    ) -> None:
        self._executors = executors
        self._log = event_log
        self._registry = registry
        self._keyring = keyring
        self._clock = clock
        self._new_id = new_id
        self._scribe = Scribe(event_log.store_id, keyring, new_id)
        self._cache: OrderedDict[str, tuple[int, Any]] = OrderedDict()
        self._queue: queue.Queue[_Asked | None] = queue.Queue(maxsize=WAITING)
        self._thread = threading.Thread(target=self._work, name="gateway", daemon=True)
        self._thread.start()

    def ask(self, wish: Wish) -> Future[Outcome]:
        """Hand in a wish; the future gives its outcome, or raises `GatewayFailed`. A full queue is `busy` at once."""
        asked = _Asked(wish, Future())
        try:
            self._queue.put_nowait(asked)
        except queue.Full:
            reason = f"{WAITING} wishes wait already; try again in a moment"
            asked.future.set_result(_outcome(wish, "busy", reason=reason))
        return asked.future

    async def submit(self, wish: Wish) -> Outcome:
        """Hand in a wish and wait for its outcome. Wishes are decided in the order of their submission.

        Raises `GatewayFailed` for a fault of ours.
        """
        return await asyncio.wrap_future(self.ask(wish))

    async def outcome(self, sender: str, id: str) -> Outcome | None:
        """What became of a wish that was decided before; None where it is unknown."""
        stored = await asyncio.to_thread(self._log.outcome, sender, id)
        return None if stored is None else self._repeat(Repeated(stored.outcome, stored.first, stored.last))

    def close(self) -> None:
        """Decide what waits, then stop."""
        self._queue.put(None)
        self._thread.join()

    # The writer's thread

    def _work(self) -> None:
        while (asked := self._queue.get()) is not None:
            batch = [asked]
            ending = False
            while len(batch) < BATCH:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    ending = True
                    break
                batch.append(more)
            self._settle(batch)
            if ending:
                return

    def _settle(self, batch: list[_Asked]) -> None:
        for _ in range(TRIES):
            try:
                batch = self._decide_and_append(batch)
            except Exception as error:
                log.exception("a batch of wishes could not be stored", wishes=len(batch))
                self._cache.clear()
                for asked in batch:
                    if not asked.future.done():
                        asked.future.set_result(_outcome(asked.wish, "busy", reason=f"it could not be stored: {error}"))
                return
            if not batch:
                return
        for asked in batch:
            reason = "others kept changing what it rests on; try again"
            asked.future.set_result(_outcome(asked.wish, "busy", reason=reason))

    def _decide_and_append(self, batch: list[_Asked]) -> list[_Asked]:
        """Decide a batch and append it. Returns those that lost and must be decided again."""
        base: dict[str, int] = {}
        carried: dict[str, tuple[int, Any]] = {}
        decided: list[tuple[_Asked, _Decided]] = []
        for asked in batch:
            known = self._log.outcome(asked.wish.sender, asked.wish.id)
            if known is not None:
                if known.fingerprint == self._fingerprint(asked.wish):
                    asked.future.set_result(self._repeat(Repeated(known.outcome, known.first, known.last)))
                else:
                    asked.future.set_result(_other_content(asked.wish))
                continue
            try:
                decision = self._decide(asked.wish, base, carried)
            except Exception as error:
                log.exception("a wish could not be decided", command=asked.wish.command, id=asked.wish.id)
                reason = f"an error of ours, which is in the log ({type(error).__name__}); nothing was recorded"
                asked.future.set_exception(GatewayFailed(reason))
                continue
            carried.update(decision.states)
            decided.append((asked, decision))
        if not decided:
            return []
        statuses = self._log.append([decision.append for _, decision in decided])
        losers = [
            asked
            for (asked, decision), status in zip(decided, statuses, strict=True)
            if not self._answer(asked, decision, status)
        ]
        if losers or any(not isinstance(status, Appended) for status in statuses):
            for stream in carried:
                self._cache.pop(stream, None)
        else:
            for stream, state in carried.items():
                self._remember(stream, state)
        return losers

    def _answer(self, asked: _Asked, decision: _Decided, status: Status) -> bool:
        """Tell the caller what became of it; False where it must be decided again."""
        match status:
            case Appended(first=first, last=last):
                shown = decision.outcome.model_copy(update={"first": first, "last": last})
                asked.future.set_result(self._for_people(shown))
            case Repeated():
                asked.future.set_result(self._repeat(status))
            case OtherContent():
                asked.future.set_result(_other_content(asked.wish))
            case Conflict():
                return False
        return True

    def _decide(self, wish: Wish, base: dict[str, int], carried: dict[str, tuple[int, Any]]) -> _Decided:
        def load(stream: str) -> Any:
            if stream not in carried:
                carried[stream] = self._load(stream)
                base[stream] = carried[stream][0]
            return carried[stream][1]

        actor = self._keyring.actor_id(wish.actor, wish.actorkind)
        moment = timestamp(self._clock.now())
        desk = Desk(
            load,
            now=moment,
            actor=actor,
            new_id=self._new_id,
            identify=lambda name: self._keyring.actor_id(name, "person"),
            keyed_digest=lambda value: self._keyring.fingerprint(_canonical(value)).hex(),
            executors=self._executors,
        )
        try:
            command, handler = _understand(wish)
            handler(command, desk)
            outcome = _outcome(wish, "accepted", result=_without_none(desk.result))
            records, states = self._scribe.records(wish, actor, moment, desk, carried)
        except Refused as refused:
            outcome = _outcome(wish, "refused", reason=refused.reason, verdicts=refused.verdicts)
            records, states = (self._scribe.refusal(wish, actor, moment, refused.reason),), {}
        expects = {stream: Expectation(base[stream], carried[stream][0]) for stream in desk.reads}
        for record in records:
            expects.setdefault(record.stream, Expectation(0, 0))
        stored = self._keyring.seal(actor, outcome.model_dump_json(exclude_defaults=True))
        append = Append(
            sender=wish.sender,
            id=wish.id,
            fingerprint=self._fingerprint(wish),
            expects=expects,
            records=records,
            outcome=_canonical(
                {"subject": actor, "sealed": stored, "command": wish.command, "refused": outcome.refused}
            ),
        )
        return _Decided(append, outcome, states)

    def _load(self, stream: str) -> tuple[int, Any]:
        """The stream's version and state. The cache may be stale: the store's expectations find out."""
        if stream in self._cache:
            self._cache.move_to_end(stream)
            return self._cache[stream]
        recorded = self._log.read_stream(stream)
        facts = [event.fact for one in recorded for event in self._registry.read(one)]
        return (recorded[-1].version if recorded else 0), fold(stream, facts)

    def _remember(self, stream: str, state: tuple[int, Any]) -> None:
        self._cache[stream] = state
        self._cache.move_to_end(stream)
        if len(self._cache) > CACHED_STREAMS:
            self._cache.popitem(last=False)

    def _fingerprint(self, wish: Wish) -> bytes:
        return self._keyring.fingerprint(_canonical([wish.command, wish.data, wish.actor]))

    def _repeat(self, repeated: Repeated) -> Outcome:
        stored = json.loads(repeated.outcome)
        text = self._keyring.open(stored["subject"], stored["sealed"])
        if text is None:
            first = Outcome(status="repeated", sender="", id="", command=stored["command"], reason=ERASED)
        else:
            first = Outcome.model_validate_json(text)
        update = {
            "status": "repeated",
            "refused": stored["refused"],
            "first": repeated.first,
            "last": repeated.last,
        }
        return self._for_people(first.model_copy(update=update))

    def _for_people(self, outcome: Outcome) -> Outcome:
        return Outcome.model_validate_json(json.dumps(reveal(outcome.model_dump(mode="json"), self._keyring)))


def _understand(wish: Wish) -> tuple[Command, Callable[[Any, Desk], None]]:
    if wish.command not in COMMANDS:
        known = ", ".join(sorted(COMMANDS))
        raise Refused(f"there is no command {wish.command!r}; there are {known}")
    model, handler = COMMANDS[wish.command]
    try:
        return model.model_validate_json(json.dumps(wish.data)), handler
    except ValidationError as error:
        raise Refused(f"{wish.command}: {explain(error)}") from None


def _outcome(
    wish: Wish,
    status: str,
    *,
    reason: str | None = None,
    verdicts: Sequence[Verdict] = (),
    result: dict[str, Any] | None = None,
) -> Outcome:
    return Outcome.model_validate(
        {
            "status": status,
            "sender": wish.sender,
            "id": wish.id,
            "command": wish.command,
            "refused": status == "refused",
            "reason": reason,
            "verdicts": tuple(verdicts),
            "result": result or {},
        }
    )


def _other_content(wish: Wish) -> Outcome:
    reason = f"the id {wish.id!r} was used before by {wish.sender!r} for another content; a new wish needs a new id"
    return _outcome(wish, "refused", reason=reason)


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _without_none(result: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if value is not None}
