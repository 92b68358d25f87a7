"""From a decision to records: personal texts sealed, envelopes filled in, sizes bounded."""

from collections.abc import Callable, Mapping
from typing import Any

from release_management.domain.errors import ErrorCode
from release_management.domain.record import MAX_CONTENT_BYTES, Envelope, encode, write
from release_management.domain.registry import CommandRefused
from release_management.domain.streams import fold
from release_management.domain.words import Fact, Refused, Unsealed
from release_management.services.desk import Desk
from release_management.services.newcomers import Names
from release_management.services.ports import NewRecord
from release_management.services.sealing import seal
from release_management.services.states import Folded
from release_management.services.wishes import Wish

LONGEST_REASON = 4000
"""Characters of a refusal's reason."""


class Scribe:
    """Writes the records of one store."""

    def __init__(self, store_id: str, new_id: Callable[[], str]) -> None:
        self._source = f"urn:uuid:{store_id}"
        self._new_id = new_id

    def records(
        self, wish: Wish, names: Names, moment: str, desk: Desk, carried: Mapping[str, Folded]
    ) -> tuple[tuple[NewRecord, ...], dict[str, Folded]]:
        """The records' bytes, and the states that follow from what is recorded (with texts sealed)."""
        versions: dict[str, int] = {}
        written: dict[str, list[Fact]] = {}
        opened: set[str] = set()
        records = []
        for stream, fact in desk.writes:
            version = versions[stream] = versions.get(stream, carried[stream][0]) + 1
            sealed = seal(fact, names)
            if sealed is not fact:
                opened.add(stream)
            written.setdefault(stream, []).append(sealed)
            record, content = write(self._envelope(wish, names, moment, stream, version, fact), sealed)
            if content is not None and len(content) > MAX_CONTENT_BYTES:
                raise Refused(
                    f"{fact.NAME} would need {len(content):,} bytes in the log and at most {MAX_CONTENT_BYTES:,} are "
                    "kept; say less at once",
                    code=ErrorCode.INVALID,
                )
            records.append(NewRecord(stream, version, fact.NAME, record, content))
        states: dict[str, Folded] = {}
        for stream, version in versions.items():
            state = fold(stream, written[stream], carried[stream][1]) if stream in opened else desk.read(stream)
            states[stream] = (version, state)
        return tuple(records), states

    def refusal(
        self,
        wish: Wish,
        names: Names,
        moment: str,
        said: Mapping[str, Any],
        about: Mapping[str, str],
        unkept: int,
    ) -> NewRecord:
        """A refusal is a fact too, on a stream of its own, so that the population of attempts is complete.

        `said` is the outcome, with its reason and code. `about` are the application, release, environment and
        deployment, as far as they are known. `unkept` is how many refusals before it only are counted.
        """
        stream = f"refusal:{self._new_id()}"
        actor = names.identify(wish.actor, wish.actorkind)
        fact = CommandRefused(
            command=wish.command,
            sender=wish.sender,
            by=actor,
            reason=Unsealed(subject=actor, text=said["reason"][:LONGEST_REASON]),
            application=about.get("application"),
            release=about.get("release"),
            environment=about.get("environment"),
            deployment=about.get("deployment"),
            unkept=unkept or None,
            code=said["code"],
        )
        envelope = self._envelope(wish, names, moment, stream, 1, fact)
        return NewRecord(stream, 1, fact.NAME, encode(envelope, seal(fact, names)))

    def _envelope(self, wish: Wish, names: Names, moment: str, stream: str, version: int, fact: Fact) -> Envelope:
        return Envelope(
            id=self._new_id(),
            source=self._source,
            type=fact.NAME,
            subject=stream,
            time=moment,
            streamversion=version,
            schemaversion=fact.VERSION,
            actor=names.identify(wish.actor, wish.actorkind),
            actorkind=wish.actorkind,
            actorauth=wish.actorauth,
            onbehalfof=wish.onbehalfof and names.identify(wish.onbehalfof),
            correlationid=wish.correlationid,
            causationid=wish.causationid,
            commandid=wish.id,
        )
