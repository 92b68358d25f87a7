"""What can go wrong when the read models are asked.

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
    """A projection has not taken in the position that was asked for within the time that was given."""

    code = ErrorCode.UNAVAILABLE


class NewerVersionError(ReadModelError):
    """A newer version of the program has made the projection, and this one leaves it alone."""


class NotAnsweringError(ReadModelError):
    """The database is away, busy or full."""

    code = ErrorCode.UNAVAILABLE


class ParkedError(ReadModelError):
    """Events that the answer would rest on could not be taken in and were set aside."""


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
