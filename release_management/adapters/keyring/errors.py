"""What can be wrong with a keyring."""

from release_management.services.ports import LogUnavailableError


class KeyringError(Exception):
    """The names and keys cannot be used. The text says where they are, and what would be right."""


class KeyringUnavailableError(KeyringError, LogUnavailableError):
    """They cannot be read or written now. Trying again may help.

    To the services it is as if the log was away: nothing can be decided without names and keys.
    """
