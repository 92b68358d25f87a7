"""A working directory in which `relman` is typed, and what it answers."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from release_management.adapters.executors.local.ports import free_port

ROOT = Path(__file__).parents[3]
SECONDS = 100
"""How long a command may take on a machine that is busy: what hangs, hangs longer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A command's output and exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its one JSON document."""
        return json.loads(self.out)


class CommandLine:
    """One working directory. What is started here is ended here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / ".relman"
        kept = {key: value for key, value in os.environ.items() if not key.startswith("RELMAN")}
        self.environment = {**kept, "PYTHONPATH": str(ROOT), "LOGNAME": "alice", "USER": "alice", "COLUMNS": "80"}

    def relman_command(self) -> list[str]:
        """The command that `relman` stands for."""
        return [sys.executable, "-m", "release_management.cli"]

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """Type a command line, in a process of its own."""
        return subprocess.Popen(
            [*self.relman_command(), *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def relman(self, *arguments: str) -> Answer:
        """Type a command line, and wait."""
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=SECONDS)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        assert "Traceback" not in err, err
        return Answer(process.returncode, out, err)

    def done(self, *arguments: str) -> Answer:
        """One that must succeed."""
        answer = self.relman(*arguments)
        assert answer.code == 0, (arguments, answer)
        return answer

    def init(self) -> None:
        """A `relman.yaml` with ports that nobody else in this run has."""
        self.done("init")
        file = self.folder / "relman.yaml"
        text = file.read_text()
        for line in (line for line in text.splitlines() if line.strip().startswith("port:")):
            text = text.replace(line.split("#")[0].rstrip(), f"            port: {free_port(())}", 1)
        file.write_text(text)

    def children(self) -> list[psutil.Process]:
        """Everything that runs for this folder."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def end_everything(self) -> None:
        """Stop `up` if it runs, then kill what is left."""
        lock = self.data / "lock"
        pid = lock.read_text().strip() if lock.exists() else ""
        if pid.isdecimal():
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(int(pid))
                if "up" in process.cmdline():
                    process.terminate()
                    until(lambda: not lock.read_text().strip())
        for left in self.children():
            with suppress(psutil.NoSuchProcess):
                left.kill()

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            words = [*process.cmdline(), process.cwd()]
            return process.status() != psutil.STATUS_ZOMBIE and any(str(self.folder) in word for word in words)
        except psutil.Error:
            return False


def until(true: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)
