"""All names of records, with their models; and the upcasters of older versions.

Names and versions are permanent. To change a fact's shape, raise its `VERSION` and add an upcaster from the version
before: it takes the old `data` and returns the new `(name, data)` pairs, none or several of them.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field, ValidationError

from release_management.domain.aggregates import AGGREGATES
from release_management.kernel.errors import ErrorCode
from release_management.kernel.gathering import gathered
from release_management.kernel.record import (
    DATA,
    Envelope,
    Event,
    Recorded,
    UnreadableRecordError,
)
from release_management.kernel.types import (
    ActorId,
    Fact,
    Id,
    KnownCode,
    Line,
    Name,
    Personal,
    Unsealed,
    explain,
)

Contents = Callable[[str], bytes]
"""Returns a content that stands beside a record, by the record's `dataref`."""
Upcaster = Callable[[dict[str, Any]], Iterable[tuple[str, dict[str, Any]]]]


LONGEST_REASON = 4000
"""Characters of a refusal's reason."""


class CommandRefused(Fact):
    """A rule forbade a command. Stream `refusal:<new id>`.

    The record names the things that the command was about, as far as the command named them; older records do not.
    `unkept` is the number of earlier refusals of the same sender that were answered and not recorded, since there were
    too many. `code` is the kind of the refusal; older records have none.
    """

    NAME: ClassVar[str] = "command.refused"
    command: Line = Field(description="the command that was refused")
    sender: Line = Field(description="the program that sent it")
    by: ActorId = Field(description="who did it")
    reason: Personal = Field(description="why, in a sentence")
    application: Name | None = Field(None, description="the application")
    release: Line | None = Field(None, description="the release")
    environment: Name | None = Field(None, description="the environment")
    deployment: Id | None = Field(None, description="the deployment's id")
    unkept: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description="how many refusals of the same sender before this one are only counted, since there were too "
        "many; absent: none",
    )
    code: KnownCode = Field(None, description="the kind of the refusal; absent in older records")

    def _summary(self) -> str:
        before = f" (and {self.unkept:,} others of this sender before it)" if self.unkept else ""
        return f"refused: {self.command}, requested by {self.by} through {self.sender}{before}"


def refusal(
    command: str, sender: str, actor: str, reason: str, code: ErrorCode, about: Mapping[str, str], unkept: int
) -> CommandRefused:
    """Return the fact that a command of `actor` was refused. `about` are the things that it was about, as far as known.

    `unkept` is the number of earlier refusals of the sender that were only counted. A longer reason than may be
    recorded is cut.
    """
    return CommandRefused(
        command=command,
        sender=sender,
        by=actor,
        reason=Unsealed(subject=actor, text=reason[:LONGEST_REASON]),
        application=about.get("application"),
        release=about.get("release"),
        environment=about.get("environment"),
        deployment=about.get("deployment"),
        unkept=unkept or None,
        code=code,
    )


_ALL: tuple[type[Fact], ...] = (*(fact for each in AGGREGATES.values() for fact in each.facts), CommandRefused)
FACTS = gathered((fact.NAME, fact) for fact in _ALL)


def _started_with_configurations(data: dict[str, Any]) -> dict[str, Any]:
    """Upcast bindings of version 1, which had one set of settings and variables for both roles, with the slots."""
    return {**data, "bindings": [_binding_of_version_1(binding) for binding in data["bindings"]]}


def _binding_of_version_1(binding: dict[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in binding.items() if name not in ("settings", "variables")}
    settings = dict(binding.get("settings", {}))
    bound = dict.fromkeys([binding["candidate_slot"], binding.get("stable_slot") or binding["candidate_slot"]])
    slots = settings.pop("slots", list(bound))
    replicas = settings.pop("replicas", 1)
    configuration = {"settings": settings, "variables": binding.get("variables", {})}
    return {**fields, "slots": slots, "replicas": replicas, "configuration": configuration}


_DATA_BYTES = len(DATA)
_LATER = 200
"""Bytes at the beginning of a record, in our format, before its schema version."""
UPCASTERS: Mapping[tuple[str, int], Upcaster] = {
    ("deployment.planned", 1): lambda data: [("deployment.planned", data)],
    ("deployment.started", 1): lambda data: [("deployment.started", _started_with_configurations(data))],
    ("policy.gates_configured", 1): lambda data: [("policy.gates_configured", data)],
}


def _reader(fact: type[Fact]) -> tuple[bytes, Callable[[bytes], Fact]]:
    """Return the text before the data of newest-version records in our format, and the parser of these data."""
    return f'"schemaversion":{fact.VERSION},'.encode(), fact.__pydantic_validator__.validate_json


class Registry:
    """Reads records of every version that was ever written."""

    def __init__(
        self,
        facts: Mapping[str, type[Fact]] = FACTS,
        upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS,
    ) -> None:
        """Raises `ValueError` if a version of a fact can no longer be read, since its upcaster is missing."""
        self._facts = facts
        self._readers = {name: _reader(fact) for name, fact in facts.items()}
        self._upcasters = upcasters
        self.changed_names = frozenset(name for name, _ in upcasters)
        """The names whose older records may mean other facts today."""
        for name, fact in facts.items():
            if name != fact.NAME:
                raise ValueError(f"{fact.__name__} is named {fact.NAME} and registered as {name}")
            for version in range(1, fact.VERSION):
                if (name, version) not in upcasters:
                    raise ValueError(f"{name} is at version {fact.VERSION} and version {version} has no upcaster")

    def knows(self, name: str, version: int) -> bool:
        """Return True if records of this name and version can be read."""
        fact = self._facts.get(name)
        return (name, version) in self._upcasters or (fact is not None and version == fact.VERSION)

    def read(self, recorded: Recorded, contents: Contents | None = None) -> tuple[Event, ...]:
        """Return the events of a record, upcast to today's versions. `contents` returns data that stand beside it.

        Raises `UnreadableRecordError`, and the errors of `contents`.
        """
        position, stream, _, name, record = recorded
        try:
            version, read = self._readers[name]
            if (offset := record.find(version, _LATER)) > 0 and (data := record.find(DATA, offset)) > 0:
                return (Event(position, stream, record, read(record[data + _DATA_BYTES : -1])),)
        except (KeyError, ValidationError):
            pass
        return self._read_in_steps(recorded, contents)

    def _read_in_steps(self, recorded: Recorded, contents: Contents | None) -> tuple[Event, ...]:
        """Read a record without data in it or in another format than today's. Raises `UnreadableRecordError`."""
        try:
            document = json.loads(recorded.record)
            data = {} if "dataref" in document else document.pop("data")
        except (ValueError, AttributeError, TypeError, KeyError, RecursionError) as error:
            raise UnreadableRecordError(
                f"record {recorded.position} ({recorded.name}) is no CloudEvents document: {error!r}"
            ) from None
        try:
            envelope = Envelope.model_validate(document)
            if envelope.dataref is not None:
                facts = self._facts_beside(envelope, envelope.dataref, recorded.position, contents)
            else:
                facts = self._facts_of(envelope.type, envelope.schemaversion, data, recorded.position)
            return tuple(Event(recorded.position, envelope.subject, envelope, fact) for fact in facts)
        except ValidationError as error:
            raise UnreadableRecordError(
                f"record {recorded.position} ({recorded.name}) does not fit its model: {explain(error)}"
            ) from None

    def _facts_beside(
        self, envelope: Envelope, dataref: str, position: int, contents: Contents | None
    ) -> Iterable[Fact]:
        if contents is None:
            raise UnreadableRecordError(f"the data {dataref} of record {position} stand beside it, and are not at hand")
        content = contents(dataref)
        fact = self._facts.get(envelope.type)
        if fact is not None and envelope.schemaversion == fact.VERSION:
            return [fact.model_validate_json(content)]
        return self._facts_of(envelope.type, envelope.schemaversion, json.loads(content), position)

    def _facts_of(self, name: str, version: int, data: dict[str, Any], position: int) -> list[Fact]:
        fact = self._facts.get(name)
        if fact is not None and version == fact.VERSION:
            return [fact.model_validate_json(json.dumps(data))]
        upcast = self._upcasters.get((name, version))
        if upcast is None:
            raise UnreadableRecordError(
                f"record {position} is {name} version {version}, which this program does not know; "
                "it was written by a newer one: use that, or a later one"
            )
        return [
            fact
            for newer, content in upcast(data)
            for fact in self._facts_of(newer, version + 1 if newer == name else self._oldest(newer), content, position)
        ]

    def _oldest(self, name: str) -> int:
        fact = self._facts.get(name)
        return fact.VERSION if fact is not None else 1
