"""Types command lines and applies files, in one process after the other's answer, as a client of somebody's bus.

`python -m chaos.hostile.typist SEED LINES FILES` works in the current directory, on the bus that `RELMAN_DATA` names,
and writes one line of JSON for each fault, and at the end one that says how many it has typed.
"""

import contextlib
import faulthandler
import io
import json
import os
import sys
import time
import traceback
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chaos.hostile.arguments import command_line
from chaos.hostile.manifests import manifest
from release_management.cli.app import run
from release_management.cli.kit.errors import (
    INTERRUPTED,
    PIPE_CLOSED,
    REFUSED,
    TIMED_OUT,
    UNREACHABLE,
    USAGE,
)

CODES = frozenset({0, REFUSED, USAGE, UNREACHABLE, TIMED_OUT, INTERRUPTED, PIPE_CLOSED})
"""The possible exit codes."""
SLOW_SECONDS = 60.0
UNANSWERED_SECONDS = 15.0
"""A command that waits so long and then says that nobody answered is a fault: the bus was there all the time."""
HANGS_SECONDS = 120
NICENESS = 3
PRINTED = frozenset("\n\t")
BIDIRECTIONAL = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C)))


class _Terminal(io.TextIOWrapper):
    """Collects the output, and claims to be a terminal."""

    def isatty(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Typed:
    """The result of one command line."""

    code: object
    printed: str
    seconds: float
    trace: str = ""


def typed(words: list[str]) -> Typed:
    """Run it in this process, on a terminal that only shows letters."""
    out = _Terminal(io.BytesIO(), encoding="utf-8", errors="replace", write_through=True)
    began = time.monotonic()
    trace = ""
    code: object = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            code = run(words)
        except SystemExit as error:
            code = error.code if error.code is not None else 0
        except BaseException:
            trace = traceback.format_exc()
    out.seek(0)
    return Typed(code, out.read(), time.monotonic() - began, trace)


def wrong(answer: Typed) -> Iterator[str]:
    """Yield the faults of a result."""
    if answer.trace:
        yield f"it ended with {answer.trace.strip().splitlines()[-1][:200]}"
    elif answer.code not in CODES:
        yield f"its exit code is {answer.code!r}"
    if "Traceback" in answer.printed or "a fault of ours" in answer.printed:
        yield "it printed a traceback"
    if answer.code not in (0, None) and not answer.printed.strip():
        yield f"it ended with code {answer.code} and said nothing"
    if raw := sorted(set(filter(obeyed, answer.printed))):
        yield f"it printed raw what a terminal obeys: {raw}"[:200]
    if answer.code == UNREACHABLE and answer.seconds > UNANSWERED_SECONDS:
        yield f"it waited {answer.seconds:.0f} s for an answer in vain: {answer.printed.strip()[-160:]}"
    elif answer.seconds > SLOW_SECONDS:
        yield f"it took {answer.seconds:.0f} s"


def obeyed(letter: str) -> bool:
    """Return True if a terminal obeys this letter, rather than show it."""
    return letter in BIDIRECTIONAL or (unicodedata.category(letter) == "Cc" and letter not in PRINTED)


def main(seed: int, lines: int, files: int) -> int:
    """Type; see the module's docstring."""
    os.nice(NICENESS)
    for number in range(lines):
        _type(command_line(seed, number), f"arguments {number}")
    file = Path("hostile.yaml")
    for number in range(files):
        file.write_bytes(manifest(seed, number))
        _type(["apply", str(file), *([] if number % 10 == 0 else ["--dry-run"])], f"file {number}")
    print(json.dumps({"typed": lines + files}), flush=True)
    return 0


def _type(words: list[str], what: str) -> None:
    faulthandler.dump_traceback_later(HANGS_SECONDS, exit=True)
    answer = typed(words)
    faulthandler.cancel_dump_traceback_later()
    for text in wrong(answer):
        shown = {"what": what, "words": [word[:80] for word in words], "wrong": text, "trace": answer.trace[-600:]}
        print(json.dumps(shown), flush=True)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
