"""Errors of a keyring."""

from release_management.kernel.errors import ErrorCode, RelmanError
from release_management.services.ports import LogUnavailableError


class KeyringError(RelmanError):
    """The names and keys cannot be used. The text says where they are, and what would be right."""

    code = ErrorCode.UNUSABLE


class KeyringUnavailableError(KeyringError, LogUnavailableError):
    """The names and keys cannot be read or written now. Trying again may help.

    It is a `LogUnavailableError` too, since services can decide nothing without names and keys.
    """

    code = ErrorCode.UNAVAILABLE
