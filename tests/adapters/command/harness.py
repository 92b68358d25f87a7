"""A component of the executor `command`, whose programs write what they do to a journal outside of our code."""

import os
import shlex
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import JsonValue

from release_management.adapters.executors.command.state import CommandFolder
from release_management.domain.plan import ACTIONS
from tests.adapters.component import Component, runs

VERBS = tuple(ACTIONS)
PROGRAM = """#!/bin/sh
echo "begin $RELMAN_VERB $RELMAN_FENCE $$" >> {journal}
{body}
echo "end $RELMAN_VERB $RELMAN_FENCE $$" >> {journal}
"""


class CommandExecutorHarness(Component):
    """Programs are shell scripts; `program` says what one does between its two lines in the journal."""

    EXECUTOR = "command"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._programs = folder / "programs"
        self._programs.mkdir()
        self.settings: dict[str, JsonValue] = {"stop_grace": 0.5}
        for verb in VERBS:
            self.program(verb, ":")

    def path(self, verb: str) -> Path:
        return self._programs / verb

    def program(self, verb: str, body: str) -> None:
        path = self.path(verb)
        path.write_text(PROGRAM.format(body=body, journal=shlex.quote(str(self.journal))))
        path.chmod(0o755)

    def all_settings(self) -> dict[str, JsonValue]:
        return {"commands": {verb: [str(self._programs / verb)] for verb in VERBS}, **self.settings}

    def never_healthy(self) -> None:
        self.program("await_healthy", "sleep 600")

    def effects(self) -> list[str]:
        return self.written("end provision")

    def written(self, beginning: str) -> list[str]:
        """The journal's lines that begin so."""
        lines = self.journal.read_text().splitlines() if self.journal.exists() else []
        return [line for line in lines if line.startswith(beginning)]

    def pids(self, beginning: str = "") -> list[int]:
        """The pids that such lines end with."""
        return [int(word) for line in self.written(beginning) if (word := line.split()[-1]).isdecimal()]

    @property
    def folder(self) -> CommandFolder:
        return CommandFolder(self.place)

    def log(self) -> str:
        return self.folder.log("command").read_text()

    def end_everything(self) -> None:
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def all_gone(pids: Sequence[int]) -> bool:
    return not any(runs(pid) for pid in pids)
