"""The base of all errors that people and programs meet, and the closed list of codes that tell them apart.

The sentence is for people and may change; the code is for programs and stays.
"""

from enum import StrEnum


class ErrorCode(StrEnum):
    """The kind of an error; `meaning` says it in words. The list is closed, and no code ever changes its meaning."""

    meaning: str

    def __new__(cls, value: str, meaning: str = "") -> "ErrorCode":
        """A member is its value and its meaning."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    INVALID = (
        "invalid",
        "What was sent is not understood, contradicts itself or is more than is taken; it will never be accepted as it "
        "is. Change it.",
    )
    UNAUTHORIZED = ("unauthorized", "The user or the password is not the right one.")
    DENIED = (
        "denied",
        "A rule or a right forbids it, such as a freeze, a gate, or that nobody approves what is their own. "
        "The verdicts, where there are some, say which rule.",
    )
    NOT_FOUND = ("not_found", "What was named does not exist.")
    CONFLICT = (
        "conflict",
        "What stands does not allow it: it is over already, another one is there, or the id or the version was used "
        "before. Look at it again.",
    )
    BUSY = (
        "busy",
        "Nothing was decided: too much was asked at once, or its turn has not come. The same, sent again, will be.",
    )
    UNAVAILABLE = (
        "unavailable",
        "What would answer cannot be reached: the store, the bus, or a role. What was asked may have happened; ask "
        "again under the same id.",
    )
    TIMEOUT = ("timeout", "What was waited for has not happened in time, and may still happen.")
    FAILED = ("failed", "It was done, and did not end well.")
    UNUSABLE = (
        "unusable",
        "A part of the installation cannot be used as it is: it is damaged, is not ours, is of a newer version, or "
        "does not start. A person must mend it.",
    )
    INTERNAL = ("internal", "A fault of ours; the log of the role that was asked says more.")


def known_code(value: object) -> ErrorCode | None:
    """Return the code that another program has written; None if it wrote none, or one of a newer version."""
    try:
        return None if value is None else ErrorCode(str(value))
    except ValueError:
        return None


class RelmanError(Exception):
    """An error that people meet: its text is one sentence for them, its `code` stays when the sentence changes."""

    code: ErrorCode

    def __init__(self, reason: str, *, code: ErrorCode | None = None) -> None:
        """`code` is given if it differs from the class's."""
        super().__init__(reason)
        if code is not None:
            self.code = code
