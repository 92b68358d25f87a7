"""Errors of the read models.

ReadModelError
├── NotCaughtUpError (also a TimeoutError)
├── NewerVersionError
├── NotAnsweringError
├── ParkedError
└── UnknownProjectionError

QueryNotUnderstood (of services.bus: the text goes to the caller)
├── UnknownQueryError
└── BadQueryError
"""

from release_management.kernel.errors import ErrorCode, RelmanError
from release_management.services.ports.bus import QueryNotUnderstood


class ReadModelError(RelmanError):
    """The read models cannot answer, or cannot answer yet."""

    code = ErrorCode.UNUSABLE


class NotCaughtUpError(ReadModelError, TimeoutError):
    """A projection has not reached the requested position within the given time."""

    code = ErrorCode.UNAVAILABLE


class NewerVersionError(ReadModelError):
    """A newer version of the program has made the projection, and this one does not touch it."""


class NotAnsweringError(ReadModelError):
    """The database is away, busy or full."""

    code = ErrorCode.UNAVAILABLE


class ParkedError(ReadModelError):
    """Events on which the answer depends could not be folded and are parked."""


class UnknownProjectionError(ReadModelError):
    """There is no projection of this name."""

    code = ErrorCode.NOT_FOUND


class UnknownQueryError(QueryNotUnderstood):
    """There is no query of this name."""

    code = ErrorCode.NOT_FOUND


class BadQueryError(QueryNotUnderstood):
    """The query's parameters are wrong; the text says which and what would be right."""


class OvertakenError(Exception):
    """Another worker has moved the projection in the meantime. Never leaves this package."""
