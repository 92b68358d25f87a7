"""Errors as one sentence and an exit code: 1 refused, 2 usage, 3 not reachable, 4 not finished in time."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from release_management.cli.kit.output import json_text, printable
from release_management.cli.kit.settings import settings
from release_management.kernel.errors import ErrorCode, RelmanError
from release_management.services.redaction import redacted_data

REFUSED, USAGE, UNREACHABLE, TIMED_OUT, INTERRUPTED, PIPE_CLOSED = 1, 2, 3, 4, 130, 141


class Failed(RelmanError):
    """The command was carried out, but its subject did not end well. `details` go into the JSON error."""

    code = ErrorCode.FAILED

    def __init__(self, reason: str, *, code: ErrorCode | None = None, **details: Any) -> None:
        """`reason` is one sentence for a person."""
        super().__init__(reason, code=code)
        self.details = details


class TimedOut(Failed):
    """The awaited event did not happen in time, and may still happen."""

    code = ErrorCode.TIMEOUT


@contextmanager
def answered() -> Iterator[None]:
    """Turn an expected error into its sentence and its exit code; others pass through."""
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        # The buffer's rest has nowhere to go; without this the interpreter complains at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(PIPE_CLOSED) from None
    except Exception as error:
        ended = exit_code(error)
        if ended is None:
            raise
        report(explained(error), ended, code_of(error), json_too=settings().json, **_details(error))
        raise typer.Exit(ended) from None


def exit_code(error: Exception) -> int | None:
    """Return 1, 3 or 4 for an expected error; None for a fault of ours, and for errors that typer reports.

    3 means that no answer came, for whatever reason. Errors that this process finds itself end with 1.
    """
    from release_management.adapters.nats.client import NotReachableError
    from release_management.services.ports.bus import BusAwayError

    if isinstance(error, NotReachableError | BusAwayError | ConnectionError):
        return UNREACHABLE
    if isinstance(error, RelmanError) and error.code is ErrorCode.TIMEOUT:
        return TIMED_OUT
    return REFUSED if isinstance(error, RelmanError | OSError) or _is_of_the_database(error) else None


def _is_of_the_database(error: Exception) -> bool:
    """Return True if the database raised the error, which it cannot while SQLAlchemy was never loaded."""
    if "sqlalchemy.exc" not in sys.modules:
        return False
    from sqlalchemy.exc import DBAPIError

    return isinstance(error, DBAPIError)


def code_of(error: Exception) -> ErrorCode:
    """Return the code of an expected error, even if the system or the database raised it."""
    match error:
        case RelmanError():
            return error.code
        case FileNotFoundError():
            return ErrorCode.NOT_FOUND
        case PermissionError():
            return ErrorCode.DENIED
        case ConnectionError():
            return ErrorCode.UNAVAILABLE
        case OSError():
            return ErrorCode.UNUSABLE
        case _:  # the database's have the driver's own error in them
            return ErrorCode.UNAVAILABLE if hasattr(error, "orig") else ErrorCode.INTERNAL


def explained(error: Exception) -> str:
    """Return the sentence for a person."""
    if isinstance(error, ConnectionError):
        return "the connection broke: relman up ended meanwhile"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    original = getattr(error, "orig", None)
    if original is not None:
        return f"the database does not answer: {original}"
    return str(error) or type(error).__name__


def report(reason: str, ended: int, code: ErrorCode, *, json_too: bool, **details: Any) -> None:
    """Print an error on stderr, and with `json_too` as a JSON object on stdout. `ended` is the exit code."""
    print(printable(f"relman: {reason}"), file=sys.stderr)
    if json_too:
        kind = {USAGE: "usage", UNREACHABLE: "unreachable", TIMED_OUT: "timeout"}.get(ended, "refused")
        error = {"kind": kind, "code": code, "reason": reason, "exit": ended, **details}
        print(json_text({"error": redacted_data(error)}, indent=2), flush=True)


def notice(text: str) -> None:
    """Print a sentence on the progress on stderr."""
    print(printable(f"relman: {text}"), file=sys.stderr, flush=True)


def _details(error: Exception) -> dict[str, Any]:
    if isinstance(error, Failed):
        return error.details
    verdicts: Sequence[Any] = getattr(error, "verdicts", ())
    return {"verdicts": [verdict.model_dump() for verdict in verdicts]}
