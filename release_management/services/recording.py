"""From a decision to records: personal texts sealed, envelopes filled in, sizes bounded."""

from collections.abc import Callable, Mapping
from typing import Any

from release_management.domain.record import MAX_RECORD_BYTES, Envelope, encode
from release_management.domain.registry import CommandRefused
from release_management.domain.streams import fold
from release_management.domain.words import Personal, Refused
from release_management.services.desk import Desk
from release_management.services.ports import Keyring, NewRecord
from release_management.services.sealing import seal
from release_management.services.wishes import Wish

Folded = tuple[int, Any]
"""A stream's version and its state."""


class Scribe:
    """Writes the records of one store."""

    def __init__(self, store_id: str, keyring: Keyring, new_id: Callable[[], str]) -> None:
        self._source = f"urn:uuid:{store_id}"
        self._keyring = keyring
        self._new_id = new_id

    def records(
        self, wish: Wish, actor: str, moment: str, desk: Desk, carried: Mapping[str, Folded]
    ) -> tuple[tuple[NewRecord, ...], dict[str, Folded]]:
        """The records' bytes, and the states that follow from what is recorded (with texts sealed)."""
        states: dict[str, Folded] = {}
        records = []
        for stream, fact in desk.writes:
            version, state = states.get(stream) or carried[stream]
            sealed = seal(fact, self._keyring)
            envelope = self._envelope(wish, actor, moment, stream, version + 1, fact.NAME, fact.VERSION)
            record = encode(envelope, sealed)
            if len(record) > MAX_RECORD_BYTES:
                raise Refused(
                    f"{fact.NAME} would need {len(record):,} bytes in the log and at most {MAX_RECORD_BYTES:,} are "
                    "kept; say less at once, or refer to it by digest"
                )
            records.append(NewRecord(stream, version + 1, fact.NAME, record))
            states[stream] = (version + 1, fold(stream, [sealed], state))
        return tuple(records), states

    def refusal(self, wish: Wish, actor: str, moment: str, reason: str) -> NewRecord:
        """A refusal is a fact too, on a stream of its own, so that the population of attempts is complete."""
        stream = f"refusal:{self._new_id()}"
        fact = CommandRefused(
            command=wish.command,
            sender=wish.sender,
            by=actor,
            reason=Personal(subject=actor, text=reason[:4000]),
        )
        envelope = self._envelope(wish, actor, moment, stream, 1, fact.NAME, fact.VERSION)
        return NewRecord(stream, 1, fact.NAME, encode(envelope, seal(fact, self._keyring)))

    def _envelope(
        self, wish: Wish, actor: str, moment: str, stream: str, version: int, name: str, schema: int
    ) -> Envelope:
        return Envelope(
            id=self._new_id(),
            source=self._source,
            type=name,
            subject=stream,
            time=moment,
            streamversion=version,
            schemaversion=schema,
            actor=actor,
            actorkind=wish.actorkind,
            actorauth=wish.actorauth,
            onbehalfof=wish.onbehalfof and self._keyring.actor_id(wish.onbehalfof, "person"),
            correlationid=wish.correlationid,
            causationid=wish.causationid,
            commandid=wish.id,
        )
