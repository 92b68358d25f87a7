"""What went wrong, as one sentence and an exit code: 1 refused, 2 usage, 3 not reachable, 4 not finished in time."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from release_management.cli.output import json_text, printable
from release_management.cli.settings import settings
from release_management.services.redaction import redacted_data

REFUSED, USAGE, UNREACHABLE, TIMED_OUT, INTERRUPTED, PIPE_CLOSED = 1, 2, 3, 4, 130, 141


class Failed(Exception):
    """The command was carried out and what it was about did not end well. `details` go into the JSON error."""

    def __init__(self, reason: str, **details: Any) -> None:
        """`reason` is one sentence for a person."""
        super().__init__(reason)
        self.details = details


class TimedOut(Failed):
    """What was waited for did not happen in time, and may still happen."""


@contextmanager
def answered() -> Iterator[None]:
    """Turn an expected error into its sentence and its exit code; others pass through."""
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        # What is still in the buffer has nowhere to go; without this the interpreter complains at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(PIPE_CLOSED) from None
    except Exception as error:
        code = exit_code(error)
        if code is None:
            raise
        report(explained(error), code, json_too=settings().json, **_details(error))
        raise typer.Exit(code) from None


def exit_code(error: Exception) -> int | None:
    """1, 3 or 4 for an error that can be expected; None for a mistake of ours, and for those that typer reports."""
    from sqlalchemy.exc import DBAPIError

    from release_management.adapters.event_store import EventStoreError
    from release_management.adapters.folder import FolderBusyError, FolderOpenError
    from release_management.adapters.keyring import KeyringError
    from release_management.adapters.nats.client import NotReachableError
    from release_management.adapters.nats.server import NatsServerError
    from release_management.adapters.read_model import ReadModelError
    from release_management.adapters.stack.supervisor import NotStartedError
    from release_management.domain.words import Refused
    from release_management.manager import NotFinishedError
    from release_management.services.bus import BusAwayError, BusError, BusUnfitError, QueryNotUnderstood
    from release_management.services.wishes import NotUnderstood

    if isinstance(error, NotReachableError | BusAwayError | ConnectionError):
        return UNREACHABLE
    if isinstance(error, TimedOut | NotFinishedError):
        return TIMED_OUT
    refusals = (
        Failed,
        Refused,
        NotUnderstood,
        QueryNotUnderstood,
        FolderBusyError,
        FolderOpenError,
        EventStoreError,
        KeyringError,
        ReadModelError,
        NatsServerError,
        NotStartedError,
        BusError,
        BusUnfitError,
        DBAPIError,
        OSError,
    )
    return REFUSED if isinstance(error, refusals) else None


def explained(error: Exception) -> str:
    """The sentence for a person."""
    if isinstance(error, ConnectionError):
        return "the connection broke: relman up ended meanwhile"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    original = getattr(error, "orig", None)
    if original is not None:
        return f"the database does not answer: {original}"
    return str(error) or type(error).__name__


def report(reason: str, code: int, *, json_too: bool, **details: Any) -> None:
    """Say it on stderr, and as a JSON object on stdout where JSON is wanted."""
    print(printable(f"relman: {reason}"), file=sys.stderr)
    if json_too:
        kind = {USAGE: "usage", UNREACHABLE: "unreachable", TIMED_OUT: "timeout"}.get(code, "refused")
        error = {"kind": kind, "reason": reason, "exit": code, **details}
        print(json_text({"error": redacted_data(error)}, indent=2), flush=True)


def notice(text: str) -> None:
    """Say on stderr what is going on."""
    print(printable(f"relman: {text}"), file=sys.stderr, flush=True)


def _details(error: Exception) -> dict[str, Any]:
    if isinstance(error, Failed):
        return error.details
    verdicts: Sequence[Any] = getattr(error, "verdicts", ())
    return {"verdicts": [verdict.model_dump() for verdict in verdicts]}
