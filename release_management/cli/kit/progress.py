"""Progress of long work on standard error: bars on a terminal, a line now and then elsewhere, nothing beside JSON."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from release_management.cli.kit.output import printable
from release_management.cli.kit.settings import settings

LINE_SECONDS = 1.0


class ReportProgress(Protocol):
    """A callback for progress: a name, how much of it is done, and how much there is."""

    def __call__(self, name: str, done: int, total: int) -> None:
        """Show the progress."""
        ...


@contextmanager
def progress() -> Iterator[ReportProgress]:
    """Show the progress of several things by name."""
    if settings().json:
        yield lambda name, done, total: None
    elif sys.stderr.isatty():
        with _bars() as report:
            yield report
    else:
        yield _Lines()


@contextmanager
def _bars() -> Iterator[ReportProgress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console) as bars:

        def told(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(printable(name), total=total)
            bars.update(tasks[name], completed=done, total=total)

        yield told


class _Lines:
    """Prints at most one line a second for each name, and one when it is complete."""

    def __init__(self) -> None:
        self._reported: dict[str, float] = {}
        self._complete: set[str] = set()

    def __call__(self, name: str, done: int, total: int) -> None:
        """Print the progress, unless that was done just now."""
        now = time.monotonic()
        complete = done >= total
        if complete if name in self._complete else not complete and now - self._reported.get(name, 0.0) < LINE_SECONDS:
            return
        self._reported[name] = now
        if complete:
            self._complete.add(name)
        share = 100 * done // total if total else 100
        print(printable(f"{name}: {done:,} of {total:,} ({share} %)"), file=sys.stderr, flush=True)
