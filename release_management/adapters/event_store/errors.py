"""Errors of an event store."""

from release_management.kernel.errors import ErrorCode, RelmanError
from release_management.services.ports import LogDamagedError, LogUnavailableError


class EventStoreError(RelmanError):
    """The store cannot do what was requested. The text says what, where, and what would be right."""

    code = ErrorCode.UNUSABLE


class StoreUnavailableError(EventStoreError, LogUnavailableError):
    """The store cannot be reached, read or written, or is locked for too long. Trying again may help."""

    code = ErrorCode.UNAVAILABLE


class ForeignStoreError(EventStoreError):
    """The store is not one of ours, or a newer version made it. It was left unchanged."""


class DamagedStoreError(EventStoreError, LogDamagedError):
    """The store's own structure is broken."""


class UnreadableStoreError(EventStoreError):
    """The store holds kinds of records that this version cannot read. Nothing was read or written.

    `kinds` are their names and schema versions.
    """

    def __init__(self, store: str, kinds: tuple[tuple[str, int], ...]) -> None:
        """`store` is the store's file, or its place on a server."""
        listed = ", ".join(f"{name} (schema version {version})" for name, version in kinds)
        super().__init__(
            f"{store} holds records that this version cannot read: {listed}; open it with a version that knows them"
        )
        self.kinds = kinds


class GapError(EventStoreError, LogDamagedError):
    """A record is missing: the log has `found` where `expected` should be (None: it ends there)."""

    def __init__(self, subject: str, expected: int, found: int | None) -> None:
        """`subject` is missing: "position 7", or "version 2 of the stream 'flag:dark'"."""
        ending = "the log ends there" if found is None else f"the next is {found}"
        super().__init__(
            f"{subject} is missing, {ending}: records were removed; restore the log from a copy that has them"
        )
        self.expected = expected
        self.found = found


class CorruptRecordError(EventStoreError, LogDamagedError):
    """A record does not agree with its index columns: one of them was altered after it was written."""

    def __init__(self, position: int, disagreement: str) -> None:
        """`disagreement` says which of its columns differs, and how."""
        super().__init__(
            f"the record at position {position} was altered: {disagreement}; "
            "restore the log from a copy, and compare the two"
        )
        self.position = position


class LostContentError(EventStoreError, LogDamagedError):
    """Content that stands beside a record is missing, or was altered after it was written."""

    def __init__(self, dataref: str, missing: bool) -> None:
        """`dataref` is its name in the record."""
        wrong = "are missing" if missing else "were altered"
        super().__init__(f"the data {dataref} beside a record {wrong}; restore the log from a copy that has them")


class LostLogError(EventStoreError):
    """The log is missing though its keys exist; a new log in its place would hide that."""
