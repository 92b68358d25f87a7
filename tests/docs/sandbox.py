"""The sandbox of a page's examples: a folder of their own, the commands of this Python first on the path."""

import json
import os
import random
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.docs.markdown import ROOT, Block
from tests.private_venv import PrivateVenv

SECONDS = 60
GRACE_SECONDS = 5
ENVIRONMENT = dict(os.environ)
"""As it was at first: pytest changes it in the tests' thread, while pages run in others."""
_PORT = re.compile(r"\b18[0-9]{3}\b")
_INTERPRETER = """
import contextlib, io, json, sys, traceback
names = {"__name__": "__main__"}
for line in sys.stdin:
    text, out, trouble = json.loads(line), io.StringIO(), None
    with contextlib.redirect_stdout(out):
        try:
            exec(compile(text, "the example", "exec"), names)
        except BaseException:
            trouble = traceback.format_exc()
    print(json.dumps([out.getvalue(), trouble]), flush=True)
"""


class Room:
    """Runs blocks one after the other; what they define and start stays until the end, and then is gone.

    The user is alice, so that pages can name her.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "work"
        self._state = folder / "shell-state"
        self._python: subprocess.Popen[str] | None = None
        self._ports: dict[str, int] = {}
        shims = folder / "bin"
        for made in (self._folder, shims):
            made.mkdir()
        self._state.touch()
        self._shims = shims
        self._venv = folder / "venv"
        self._type_with(Path(sys.executable))
        kept = {key: value for key, value in ENVIRONMENT.items() if not key.startswith(("RELMAN", "PYTEST", "COV"))}
        path = os.pathsep.join([str(shims), str(Path(sys.executable).parent), ENVIRONMENT["PATH"]])
        mine = {"PATH": path, "PYTHONPATH": str(ROOT), "LOGNAME": "alice", "USER": "alice", "TERM": "dumb"}
        self._environment: Mapping[str, str] = kept | mine

    def run(self, block: Block, expected: str | None) -> None:
        """Run one block and compare what it prints with what the page says that it prints."""
        text = self._with_free_ports(block.text)
        match block.language:
            case "console":
                for command, output in commands(text):
                    is_pip = command.startswith("pip install ")
                    compare(self._install(command) if is_pip else self._shell(harmless(command)), output)
                    if command == "relman init":
                        manifest = self._folder / "relman.yaml"
                        manifest.write_text(self._with_free_ports(manifest.read_text()))
            case "yaml" | "json" | "toml" | "sh" | "python" if block.title:
                file = self._folder / block.title
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
                file.chmod(0o755 if block.language == "sh" else 0o644)
            case "python":
                compare(self._exec(text), expected or "")
            case _:
                raise ValueError(f"line {block.line}: a block of {block.language!r} is not run; it is text, or console")

    def _type_with(self, interpreter: Path) -> None:
        """Have `relman` and `python` be those of an interpreter."""
        for name, words in (("relman", "-m release_management.cli"), ("python", "")):
            shim = self._shims / name
            shim.write_text(f'#!/bin/sh\nexec {shlex.quote(str(interpreter))} {words} "$@"\n')
            shim.chmod(0o755)

    def _install(self, command: str) -> str:
        """Install what lies in the folder into an environment that only this page has, and use that from now on."""
        venv = PrivateVenv(self._venv)
        output = venv.install(*shlex.split(command)[2:], cwd=self._folder)
        self._type_with(venv.python)
        return output

    def _with_free_ports(self, text: str) -> str:
        """The text with each port of a page (18000 to 18999) become one that is free here."""
        return _PORT.sub(lambda found: str(self._ports.setdefault(found[0], free_port())), text)

    def _shell(self, command: str) -> str:
        """Run a command line; variables stay for the next one."""
        state, out = shlex.quote(str(self._state)), self._state.with_name("output")
        script = f". {state}\nset -a\n{command}\nstatus=$?\nexport -p > {state}\nexit $status\n"
        with out.open("w+") as output:
            # A file, not a pipe: what is left running in the background keeps it open.
            done = subprocess.run(
                ["bash", "-c", script],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=SECONDS,
                check=False,
            )
        printed = out.read_text()
        assert done.returncode == 0, f"$ {command}\n{printed}\nexit {done.returncode}"
        return printed

    def _exec(self, text: str) -> str:
        if self._python is None:
            self._python = subprocess.Popen(
                [sys.executable, "-c", _INTERPRETER],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._python.stdin is not None
        assert self._python.stdout is not None
        print(json.dumps(text), file=self._python.stdin, flush=True)
        printed, trouble = json.loads(self._python.stdout.readline())
        assert trouble is None, f"{text}\n{printed}\n{trouble}"
        return str(printed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._python is not None:
            assert self._python.stdin is not None
            self._python.stdin.close()
            self._python.wait(SECONDS)
            assert self._python.stdout is not None
            self._python.stdout.close()
        self._stop_owners()
        deadline = time.monotonic() + GRACE_SECONDS
        while (left := self._left()) and error is None and time.monotonic() < deadline:
            time.sleep(0.05)
        for process in left:
            process.kill()
        assert error is not None or not left, f"still running: {left}"

    def _stop_owners(self) -> None:
        """End what was started with `relman up`: the folders' locks name them."""
        for lock in self._folder.glob("**/lock"):
            pid = lock.read_text().strip() if lock.parent.name.startswith(".relman") else ""
            if pid.isdecimal() and psutil.pid_exists(int(pid)):
                os.kill(int(pid), signal.SIGTERM)
                deadline = time.monotonic() + SECONDS
                while psutil.pid_exists(int(pid)) and time.monotonic() < deadline:
                    time.sleep(0.02)

    def _left(self) -> list[psutil.Process]:
        """Processes that work in this folder, or were started for it."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            running = process.status() != psutil.STATUS_ZOMBIE
            return running and (str(self._folder) in (process.cwd(), *process.cmdline(), process.environ().get("PWD")))
        except psutil.Error:
            return False


def commands(text: str) -> list[tuple[str, str]]:
    """The command lines of a console block (`$ …`, going on where a line ends in a backslash), each with its output."""
    found: list[list[str]] = []
    command = False
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append([line[2:], ""])
            command = True
        elif command and found[-1][0].endswith("\\"):
            found[-1][0] += "\n" + line
        else:
            found[-1][1] += line + "\n"
            command = False
    return [(each[0], each[1]) for each in found]


def harmless(command: str) -> str:
    """The command; for the repository's own ones, which would run these tests again, only a look whether they exist."""
    root = shlex.quote(str(ROOT))
    if command.startswith("make "):
        return f"make -n -C {root} {command.removeprefix('make ')}"
    return f"bash -n {root}/{command}" if command.startswith(".ci/") else command


def compare(printed: str, expected: str) -> None:
    """Every expected line stands in what was printed, in this order; `…` stands for anything, spaces count once."""
    rest = [squeezed(line) for line in printed.splitlines()]
    for line in filter(None, map(squeezed, expected.splitlines())):
        pattern = re.compile(".*".join(re.escape(part.strip()) for part in line.split("…")))
        place = next((index for index, had in enumerate(rest) if pattern.fullmatch(had)), None)
        assert place is not None, f"the page says {line!r}, but this was printed:\n{printed}"
        rest = rest[place + 1 :]


def free_port() -> int:
    """A port that nobody listens on, below those that a system gives to outgoing connections."""
    while True:
        port = random.randrange(12_000, 18_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return port


def squeezed(line: str) -> str:
    """A line with each run of spaces as one."""
    return " ".join(line.split())
