"""Write the records of a decision: seal personal texts, fill in envelopes, bound sizes."""

from collections.abc import Callable, Mapping
from typing import Any

from release_management.domain.aggregates import fold
from release_management.domain.registry import refusal
from release_management.kernel.errors import ErrorCode
from release_management.kernel.record import (
    MAX_CONTENT_BYTES,
    Envelope,
    encode,
    write,
)
from release_management.kernel.types import Fact, Refused
from release_management.services.envelope import CommandEnvelope
from release_management.services.gateway.newcomers import Names
from release_management.services.gateway.states import Folded
from release_management.services.gateway.unit_of_work import UnitOfWork
from release_management.services.ports import NewRecord
from release_management.services.sealing import seal


class RecordWriter:
    """Writes the records of one store."""

    def __init__(self, store_id: str, new_id: Callable[[], str]) -> None:
        self._source = f"urn:uuid:{store_id}"
        self._new_id = new_id

    def records(
        self, envelope: CommandEnvelope, names: Names, moment: str, uow: UnitOfWork, carried: Mapping[str, Folded]
    ) -> tuple[tuple[NewRecord, ...], dict[str, Folded]]:
        """Return the records' bytes, and the states that follow from what is recorded (with texts sealed)."""
        versions: dict[str, int] = {}
        written: dict[str, list[Fact]] = {}
        opened: set[str] = set()
        records = []
        for stream, fact in uow.writes:
            version = versions[stream] = versions.get(stream, carried[stream][0]) + 1
            sealed = seal(fact, names)
            if sealed is not fact:
                opened.add(stream)
            written.setdefault(stream, []).append(sealed)
            record, content = write(self._envelope(envelope, names, moment, stream, version, fact), sealed)
            if content is not None and len(content) > MAX_CONTENT_BYTES:
                raise Refused(
                    f"{fact.NAME} would need {len(content):,} bytes in the log and at most {MAX_CONTENT_BYTES:,} are "
                    "kept; say less at once",
                    code=ErrorCode.INVALID,
                )
            records.append(NewRecord(stream, version, fact.NAME, record, content))
        states: dict[str, Folded] = {}
        for stream, version in versions.items():
            state = fold(stream, written[stream], carried[stream][1]) if stream in opened else uow.read(stream)
            states[stream] = (version, state)
        return tuple(records), states

    def refusal(
        self,
        envelope: CommandEnvelope,
        names: Names,
        moment: str,
        outcome: Mapping[str, Any],
        about: Mapping[str, str],
        unkept: int,
    ) -> NewRecord:
        """Return the record of a refusal, a fact on a stream of its own, so that the population of attempts is
        complete.

        `outcome` has the refusal's reason and code. `about` are the application, release, environment and deployment,
        as far as they are known. `unkept` is how many refusals before it were only counted.
        """
        stream = f"refusal:{self._new_id()}"
        actor = names.identify(envelope.actor, envelope.actorkind)
        fact = refusal(envelope.command, envelope.sender, actor, outcome["reason"], outcome["code"], about, unkept)
        record_envelope = self._envelope(envelope, names, moment, stream, 1, fact)
        return NewRecord(stream, 1, fact.NAME, encode(record_envelope, seal(fact, names)))

    def _envelope(
        self, envelope: CommandEnvelope, names: Names, moment: str, stream: str, version: int, fact: Fact
    ) -> Envelope:
        return Envelope(
            id=self._new_id(),
            source=self._source,
            type=fact.NAME,
            subject=stream,
            time=moment,
            streamversion=version,
            schemaversion=fact.VERSION,
            actor=names.identify(envelope.actor, envelope.actorkind),
            actorkind=envelope.actorkind,
            actorauth=envelope.actorauth,
            onbehalfof=envelope.onbehalfof and names.identify(envelope.onbehalfof),
            correlationid=envelope.correlationid,
            causationid=envelope.causationid,
            commandid=envelope.id,
        )
