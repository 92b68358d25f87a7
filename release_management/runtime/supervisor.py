"""`relman up`: the message bus and the roles as child processes, restarted when they die."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from release_management.adapters.executors.installed import executor_names
from release_management.adapters.nats.embedded.server import NatsServer
from release_management.adapters.system.error_paths import naming
from release_management.adapters.system.folder_lock import FolderLock
from release_management.adapters.system.log_files import bound
from release_management.adapters.system.process_environment import of_executor, of_role
from release_management.kernel.errors import ErrorCode, RelmanError
from release_management.runtime.data_directory import DataDirectory
from release_management.runtime.exit_codes import FINAL, SENTENCE
from release_management.runtime.roles.declared import ALL_IN_ONE, ROLES

READY_SECONDS = 30.0
STOP_SECONDS = 10.0
"""Seconds that a part may take to stop before it is killed, which it survives like a power cut."""
HALT_SECONDS = 40.0
"""The same for a part that ends deployed processes, each of which has its `stop_grace`."""
SAY_SECONDS = 3.0
LOOK_SECONDS = 0.2
QUICK_DEATHS = 5
REST_SECONDS = 5.0
"""Seconds for which a part that cannot go on, and that no other part needs, is left alone."""


@dataclass(frozen=True, slots=True)
class Part:
    """A process of `relman up`: its role, and the executor's name if it is one."""

    role: str
    executor: str = "-"


EXECUTING = (ALL_IN_ONE.name, *(role.name for role in ROLES.values() if role.per_executor))
"""The roles that deploy."""
TOGETHER = {role.name: Part(role.name) for role in (ALL_IN_ONE, *ROLES.values()) if not role.shares_process}
"""The fewest processes that serve one machine well: a busy projector must not delay the others."""


def parts_apart() -> Mapping[str, Part]:
    """Every role in a process of its own, as often as it says, and once for each executor."""
    parts: dict[str, Part] = {}
    for role in ROLES.values():
        if role.per_executor:
            parts |= {f"{role.name}-{name}": Part(role.name, name) for name in executor_names()}
        else:
            numbers = ("", *(f"-{number}" for number in range(2, role.instances + 1)))
            parts |= {f"{role.name}{number}": Part(role.name) for number in numbers}
    return parts


def running_parts(home: DataDirectory) -> list[tuple[str, psutil.Process]]:
    """Return the running parts, by name, of the present or previous `relman up` of a folder."""
    try:
        noted: Any = json.loads(home.children.read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return []
    running = []
    for child in noted if isinstance(noted, list) else ():
        with contextlib.suppress(psutil.NoSuchProcess, KeyError, TypeError, ValueError, OverflowError):
            process = psutil.Process(child["pid"])
            is_it = abs(process.create_time() - child["started"]) < 0.1
            if is_it and process.status() != psutil.STATUS_ZOMBIE:
                running.append((str(child.get("name", "a part")), process))
    return running


class NotStartedError(RelmanError):
    """A part of `relman up` did not start; the text says which, and where its log is."""

    code = ErrorCode.UNUSABLE


class Supervisor:
    """Holds the folder's lock and keeps the parts running until `stop` is set.

    Raises `FolderBusyError` if another process holds the folder.
    """

    def __init__(
        self,
        home: DataDirectory,
        parts: Mapping[str, Part] = TOGETHER,
        clients: Iterable[str] = (),
        passed: Iterable[str] = (),
    ) -> None:
        """`clients` get users of their own on the bus; `passed` are further variables for executors."""
        self._home = home
        self._passed = tuple(passed)
        self._parts = parts
        self._lock = FolderLock(home.folder)
        self._server = NatsServer(home.folder, clients=clients)
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._begins: dict[str, int] = {}
        self._deaths: dict[str, list[float]] = {name: [] for name in parts}
        self._resting: dict[str, float] = {}
        self._is_ready = False
        self.stop = threading.Event()
        self.left: list[str] = []
        """Sentences on processes that could not be ended; known once it has run."""
        self.tell: Callable[[str], None] = lambda _: None
        """Called with sentences: what a long stop waits for, or which part cannot go on while the others do."""

    def run(self, on_ready: Callable[[], None]) -> None:
        """Start everything, call `on_ready`, supervise until `stop`, then end everything."""
        self._home.prepare()
        self._lock.acquire()
        try:
            self._clear_away()
            self._server.start()
            for name in self._parts:
                self._start(name)
            self._note()
            for name in self._parts:
                self._await_ready(name)
            self._is_ready = True
            if not self.stop.is_set():
                on_ready()
            while not self.stop.wait(LOOK_SECONDS):
                self._look_after()
        finally:
            self._end()
            self._lock.release()

    def _clear_away(self) -> None:
        """End the parts that a killed `up` has left; they die by themselves, but perhaps not yet."""
        left = [process for _, process in running_parts(self._home)]
        _, alive = psutil.wait_procs(left, timeout=3)
        for process in alive:
            process.kill()
        psutil.wait_procs(alive, timeout=3)

    def _start(self, name: str) -> None:
        part = self._parts[name]
        self._home.logs.mkdir(exist_ok=True)
        with open(self._log_file(name), "ab") as log:
            self._begins[name] = log.tell()
            self._children[name] = subprocess.Popen(
                [
                    *(sys.executable, "-m", "release_management.runtime.roles"),
                    *(part.role, str(self._home.folder), part.executor),
                ],
                env=of_executor(self._passed) if part.role in EXECUTING else of_role(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )

    def _await_ready(self, name: str) -> None:
        """Wait for a part. Restart it if it was killed meanwhile, but not if it gave up."""
        began = time.monotonic()
        deadline, was_told = began + READY_SECONDS, False
        while time.monotonic() < deadline and not self.stop.is_set():
            if not was_told and time.monotonic() - began > SAY_SECONDS and (trouble := self._trouble(name)) is not None:
                self.tell(f"waiting: {name} is not ready yet: {trouble}")
                was_told = True
            child = self._children[name]
            assert child.stdout is not None
            os.set_blocking(child.stdout.fileno(), False)
            if child.stdout.read(64):
                return
            if (code := child.poll()) is not None and code >= 0:
                break
            if code is not None or not self._server.alive:
                self._look_after()
            time.sleep(0.005)
        if not self.stop.is_set():
            raise NotStartedError(f"{name} did not start: {self._last_words(name)} (see {self._log_file(name)})")

    def _look_after(self) -> None:
        if not self._server.alive or self._server.is_stuck():
            address = self._server.url
            self._server.stop()
            self._server.start()
            if self._server.url != address:
                # Its port was taken meanwhile. The roles would look for it at the old one for ever.
                for child in self._children.values():
                    child.kill()
                    child.wait()
        for name, child in list(self._children.items()):
            if child.poll() is None:
                if bound(self._log_file(name)):
                    self._begins[name] = 0
                continue
            now = time.monotonic()
            if name not in self._resting:
                self._deaths[name] = [
                    time_of_death for time_of_death in self._deaths[name] if now - time_of_death < 30
                ] + [now]
                if child.returncode == FINAL:
                    self._give_up(name, "cannot go on")
                elif len(self._deaths[name]) > QUICK_DEATHS:
                    self._give_up(name, "keeps dying")
            if now >= self._resting.get(name, now):
                self._resting.pop(name, None)
                self._start(name)
                self._note()

    def _give_up(self, name: str, ending: str) -> None:
        """End everything, and so what was deployed, since a part cannot go on; the projector, which deploys nothing,
        only rests.

        Its trouble can be repaired meanwhile.
        """
        words = f"{name} {ending}: {self._last_words(name)} (see {self._log_file(name)})"
        if self._parts[name].role != "projector" or not self._is_ready:
            raise NotStartedError(words)
        self.tell(f"{words}. Deployments go on, questions are not answered; trying again in {REST_SECONDS:g} s")
        self._resting[name] = time.monotonic() + REST_SECONDS

    def _note(self) -> None:
        noted = [
            {"name": name, "pid": child.pid, "started": psutil.Process(child.pid).create_time()}
            for name, child in self._children.items()
            if psutil.pid_exists(child.pid)
        ]
        with naming(self._home.children):
            self._home.children.write_text(json.dumps(noted))

    def _end(self) -> None:
        for child in self._children.values():
            if child.poll() is None:
                child.send_signal(signal.SIGCONT)  # one that was paused would not receive it
                child.send_signal(signal.SIGTERM)
        self._await_ends()
        for child in self._children.values():
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()
        self._server.stop()
        self._halt_deployed()

    def _await_ends(self) -> None:
        """Wait until the parts have stopped; kill those that take too long."""
        began = reported_at = time.monotonic()
        while left := [name for name, child in self._children.items() if child.poll() is None]:
            now = time.monotonic()
            for name in left:
                halts = self._parts[name].role == "road" or self._parts[name].executor != "-"
                if now - began > (HALT_SECONDS if halts else STOP_SECONDS):
                    self.tell(
                        f"{name} has not stopped after {now - began:.0f} s and is killed; see {self._log_file(name)}"
                    )
                    self._children[name].kill()
                    self._children[name].wait()
            if now - reported_at > SAY_SECONDS:
                reported_at = now
                self.tell(f"waiting for {', '.join(left)} to stop ({now - began:.0f} s)")
            time.sleep(0.01)

    def _halt_deployed(self) -> None:
        """End the deployed processes, which outlive the executor that started them.

        An all-in-one process that was not killed has ended them; after a clean stop we check again that none is left.
        """
        all_in_one = self._children.get("road")
        if self.stop.is_set() or all_in_one is None or all_in_one.returncode < 0 or self._deaths["road"]:
            from release_management.adapters.executors.local.halt import halt_all

            self.left = asyncio.run(halt_all(self._home.folder))

    def _log_file(self, name: str) -> Path:
        return self._home.logs / f"{name}.log"

    def _trouble(self, name: str) -> str | None:
        """Return the last warning or error in a part's log since its last start."""
        with open(self._log_file(name), "rb") as log:
            log.seek(self._begins[name])
            lines = log.read().decode(errors="replace").splitlines()
        for line in reversed(lines):
            with contextlib.suppress(ValueError, AttributeError):
                entry = json.loads(line)
                if entry.get("level") in ("warning", "error"):
                    return str(entry.get("says") or entry.get("error") or entry.get("event"))[:500]
        return None

    def _last_words(self, name: str) -> str:
        """Return the sentence with which a part gave up since its last start, else its last line."""
        with open(self._log_file(name), "rb") as log:
            log.seek(self._begins[name])
            lines = log.read().decode(errors="replace").strip().splitlines()
        sentences = [line.removeprefix(SENTENCE) for line in lines if line.startswith(SENTENCE)]
        return (sentences or lines)[-1][:500] if lines else "it said nothing"
