"""A running program: it leads a process group, which dies with us and is ended as a whole.

A watcher in the group reads from a pipe that we hold. If we die, however suddenly, it reads the end of the pipe and
kills the group; if the program has ended by itself, we tell the watcher, and processes that the program left in the
background go on. Processes that left the group are found by the token in their environment.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from release_management.adapters.executors.base import processes
from release_management.adapters.executors.base.processes import TOKEN
from release_management.adapters.executors.command.output import Output

POLL_SECONDS = 0.02
_LAST_BYTES = 1024 * 1024
# The watcher is forked twice: a program that waits for all of its children must not wait for the watcher.
_WATCHED = """
exec 3<&0
( (trap '' HUP INT TERM; exec </dev/null >/dev/null 2>&1; read -r _ <&3 || kill -KILL 0) & )
exec 3<&-
exec "$@" <"$0"
"""


class CannotStart(Exception):
    """The program cannot be started; the text says why."""


class Program:
    """A program that runs until `finish`. Its `output` is read once an event loop has begun to `watch` it."""

    def __init__(
        self, token: str, argv: list[str], env: Mapping[str, str], cwd: str | None, stdin: Path, output: Output
    ) -> None:
        """Start the program; its standard input is the file `stdin`. Raises `CannotStart`, `OSError`."""
        _check(argv[0], env, cwd)
        watched, life = os.pipe()
        try:
            self._child = subprocess.Popen(
                ["/bin/sh", "-c", _WATCHED, str(stdin), *argv],
                env={**env, TOKEN: token},
                cwd=cwd,
                stdin=watched,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except BaseException:
            os.close(life)
            raise
        finally:
            os.close(watched)
        self._life: int | None = life
        self.process = processes.recorded(token, self._child.pid)
        self.output = output
        assert self._child.stdout is not None
        assert self._child.stderr is not None
        self._pipes = {self._child.stdout.fileno(): True, self._child.stderr.fileno(): False}
        for pipe in self._pipes:
            os.set_blocking(pipe, False)

    def watch(self) -> None:
        """Read the program's output on the running event loop."""
        for pipe in self._pipes:
            asyncio.get_running_loop().add_reader(pipe, self._read, pipe)

    async def ended(self, within: float) -> int | None:
        """Return the exit code, negative for a signal; None if the program still runs after `within` seconds."""
        give_up = time.monotonic() + within
        while (code := self._child.poll()) is None and time.monotonic() < give_up:
            await asyncio.sleep(POLL_SECONDS)
        return code

    async def finish(self, grace: float) -> None:
        """Release a program that has ended; otherwise end it and everything that it has started. Safe to repeat.

        A program is ended by SIGTERM and, after `grace` seconds, by SIGKILL. Its output is complete afterwards.
        """
        if self._life is None:
            return
        if self._child.poll() is not None:
            with suppress(BrokenPipeError):
                os.write(self._life, b"\n")
        else:
            self._tell(signal.SIGTERM)
            await self.ended(grace)
            # The watcher stays in the group until we release it, so the group's id cannot belong to another group yet.
            self._tell(signal.SIGKILL)
            await self.ended(grace)
            await asyncio.to_thread(processes.end_leftovers, self.process)
        os.close(self._life)
        self._life = None
        self._release()

    def _tell(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._child.pid, number)

    def _release(self) -> None:
        for pipe in list(self._pipes):
            left = _LAST_BYTES
            while pipe in self._pipes and left > 0 and (count := self._read(pipe)):
                left -= count
            self._forget(pipe)
        self.output.close()
        for stream in (self._child.stdout, self._child.stderr):
            if stream is not None:
                stream.close()

    def _read(self, pipe: int) -> int:
        try:
            chunk = os.read(pipe, 65536)
        except BlockingIOError:
            return 0
        if chunk:
            self.output.add(chunk, stdout=self._pipes[pipe])
        else:
            self._forget(pipe)
        return len(chunk)

    def _forget(self, pipe: int) -> None:
        if self._pipes.pop(pipe, None) is not None:
            asyncio.get_running_loop().remove_reader(pipe)


def _check(program: str, env: Mapping[str, str], cwd: str | None) -> None:
    """Raise `CannotStart` with a plain reason where the shell would only print its own."""
    folder = Path(cwd) if cwd is not None else Path.cwd()
    if not folder.is_dir():
        raise CannotStart(f"the folder {folder} does not exist")
    if os.sep not in program:
        if shutil.which(program, path=env.get("PATH", os.defpath)) is None:
            raise CannotStart(f"there is no program {program!r} on the PATH")
        return
    path = folder / program
    if not path.is_file():
        raise CannotStart(f"there is no program {path}")
    if not os.access(path, os.X_OK):
        raise CannotStart(f"{path} is not executable")
