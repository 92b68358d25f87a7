"""What can be wrong with a keyring."""

from release_management.kernel.errors import ErrorCode, RelmanError
from release_management.services.ports import LogUnavailableError


class KeyringError(RelmanError):
    """The names and keys cannot be used. The text says where they are, and what would be right."""

    code = ErrorCode.UNUSABLE


class KeyringUnavailableError(KeyringError, LogUnavailableError):
    """They cannot be read or written now. Trying again may help.

    To the services it is as if the log was away: nothing can be decided without names and keys.
    """

    code = ErrorCode.UNAVAILABLE
