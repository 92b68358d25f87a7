"""The page on error codes and exit codes."""

from collections.abc import Iterator

from docs.reference.fields import row
from docs.reference.layout import page
from release_management.cli.kit.errors import (
    REFUSED,
    TIMED_OUT,
    UNREACHABLE,
    USAGE,
)
from release_management.kernel.errors import ErrorCode

EXITS = {
    ErrorCode.INVALID: f"{REFUSED}, or {USAGE} for the command line itself",
    ErrorCode.UNAUTHORIZED: f"{UNREACHABLE}",
    ErrorCode.BUSY: f"{UNREACHABLE}, once waiting for it is over",
    ErrorCode.UNAVAILABLE: f"{UNREACHABLE}, or {REFUSED} where this process uses the store itself",
    ErrorCode.TIMEOUT: f"{TIMED_OUT}",
    ErrorCode.UNUSABLE: f"{REFUSED}, or {UNREACHABLE} where it keeps everybody from answering",
    ErrorCode.INTERNAL: f"{REFUSED}, or {UNREACHABLE} where nothing was decided",
}
"""The exit codes that go with a code, where they are not always 1."""


def text() -> str:
    """Return the page on error codes."""

    def listed() -> Iterator[str]:
        yield from ("| code | meaning | exit code |", "|---|---|---|")
        yield from (row(f"`{code}`", code.meaning, EXITS.get(code, f"{REFUSED}")) for code in ErrorCode)
        yield ""

    return page(
        "Errors",
        """
        Whatever is refused or goes wrong says one sentence for people, and beside it a code for programs. Sentences may
        change; the list of codes is closed, and what a code means stays. The code stands in the
        [outcome](commands.md#the-outcome) of a command (`code`), beside `"error"` and in `not_understood` answers on
        the bus, in dead letters, in the event [command.refused](events.md#commandrefused), as `error.code` of every
        `RelmanError` in Python (`Refused`, `NotReachableError` and `NotFinishedError` are some), and with `--json` in
        `{"error": {"kind": …, "code": …, "reason": …, "exit": …}}`.

        Outcomes, events and dead letters of before there were codes have none: `null`, or no field.

        A command line of `relman` ends with 0 where it is done. It ends with 2 where the command line itself is wrong,
        with 3 where nobody answered, whatever kept them from it, with 4 where what was waited for has not happened in
        time, and with 1 for everything else.
        """,
        listed(),
    )
