"""One installation of separate role processes: started, killed, and started again."""

import ctypes
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from chaos.plan import BUS, DATABASE, EVERY_ROLE, EVERYTHING, Blow, Roles, parts_of
from chaos.servers import Bus, Database, Server
from release_management.runtime.data_directory import DataDirectory

ROOT = Path(__file__).parents[1]
EXECUTOR = "command"
AGAIN_SECONDS = 0.5
"""Seconds after which a role that ended by itself is restarted, as by a supervisor."""
STOP_SECONDS = 20.0
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)
T = TypeVar("T")


def die_with_us() -> None:
    """Have this child killed when its parent ends; called before it becomes its program."""
    if sys.platform == "linux":
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Strike:
    """The victims of a blow: `roles` processes at once, and whatever the servers' threads find alive."""

    roles: int
    servers: list[Future[int]]

    def is_over(self) -> bool:
        """Return True if all victims are known."""
        return all(each.done() for each in self.servers)

    def killed(self) -> int:
        """Return how many live processes were killed; a server counts as one. Raises the error of a server's thread."""
        return self.roles + sum(each.result() for each in self.servers)


class Installation:
    """A folder, its roles, its servers. `executors` says by pid until when (Unix seconds) each executor has lived.

    `deaths` are the last lines of roles that ended by themselves.
    """

    def __init__(self, folder: Path, bus: Bus, database: Database | None, replicas: int, roles: Roles) -> None:
        self.folder = folder
        self.bus = bus
        self.store = database.url if database is not None else None
        self.names = parts_of(roles)
        self.executors: dict[int, float] = {}
        self.deaths: list[str] = []
        self._servers: dict[str, Server] = {BUS: bus} | ({} if database is None else {DATABASE: database})
        # A server takes its time to start; the roles need not wait for it to be killed and restarted.
        self._threads = {name: ThreadPoolExecutor(1, thread_name_prefix=name) for name in self._servers}
        self._doing: list[Future[Any]] = []
        self._replicas = replicas
        self._parts: dict[str, subprocess.Popen[bytes]] = {}
        self._due: dict[str, float] = {}
        self._logs = folder / "roles"

    @property
    def home(self) -> DataDirectory:
        """Return the places of the installation's data."""
        return DataDirectory.at(self.folder, self.store)

    def start(self) -> None:
        """Start everything."""
        self._logs.mkdir(parents=True, exist_ok=True)
        for server in self._servers.values():
            server.start()
        for part in self.names:
            self._start(part)

    def strike(self, blow: Blow) -> Strike:
        """Kill at once; the victims come back when their time has come and `tend` is called."""
        servers = list(self._servers) if blow.what == EVERYTHING else [blow.what] if blow.what in self._servers else []
        every = blow.what in (EVERYTHING, EVERY_ROLE)
        parts = [part for part in self.names if every or part == blow.what]
        now = time.time()
        alive = [part for part in parts if part in self._parts and self._parts[part].poll() is None]
        for part in alive:
            self._parts[part].kill()
        killing = [
            self._at(server, partial(self._servers[server].kill, whole=blow.what == EVERYTHING)) for server in servers
        ]
        killed = [part for part in alive if self._parts[part].wait() == -signal.SIGKILL]
        for part in killed:
            self._gone(part, now)
        for name in (*servers, *killed):
            self._due.setdefault(name, time.monotonic() + blow.away)
        return Strike(len(killed), killing)

    def tend(self) -> None:
        """Start what is due, servers first; restart roles that ended by themselves."""
        now = time.monotonic()
        for part, process in list(self._parts.items()):
            if (code := process.poll()) is not None:
                self.deaths.append(f"{part} ended with code {code}: {self._last_words(part)}")
                self._gone(part, time.time())
                self._due[part] = now + AGAIN_SECONDS
        for name in [*self._servers, *self.names]:
            if self._due.get(name, now + 1) <= now:
                del self._due[name]
                if name in self._servers:
                    self._at(name, self._servers[name].start)
                else:
                    self._start(name)

    def restore(self) -> None:
        """Start everything that is away."""
        self._due = dict.fromkeys(self._due, 0.0)
        self.tend()

    def stop_roles(self) -> list[str]:
        """End the roles in order; return a sentence on each that did not end well."""
        for process in self._parts.values():
            process.terminate()
        give_up = time.monotonic() + STOP_SECONDS
        bad = []
        for part, process in self._parts.items():
            try:
                code = process.wait(max(0.1, give_up - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
            if code not in (0, -signal.SIGTERM):  # the latter where it had only begun to start
                bad.append(f"{part} was told to stop and ended with code {code}: {self._last_words(part)}")
        self._parts.clear()
        return bad

    def end(self) -> None:
        """End everything, whatever happened."""
        for process in self._parts.values():
            process.kill()
            process.wait()
        self._parts.clear()
        for name, server in self._servers.items():
            self._threads[name].shutdown()
            server.stop()

    def _at(self, server: str, what: Callable[[], T]) -> "Future[T]":
        """Do something with a server once its earlier work is done. Raises an earlier error."""
        for done in [each for each in self._doing if each.done()]:
            self._doing.remove(done)
            done.result()
        future = self._threads[server].submit(what)
        self._doing.append(future)
        return future

    def _start(self, part: str) -> None:
        role = part.partition("-")[0]
        user = f"executor-{EXECUTOR}" if role == "executor" else role
        words = ["serve", role, "--executor", EXECUTOR, "--bus", self.bus.urls[user], "--replicas", str(self._replicas)]
        words += ["--store", self.store] if self.store is not None else []
        with (self._logs / f"{part}.log").open("ab") as log:
            self._parts[part] = subprocess.Popen(
                [sys.executable, "-m", "release_management.cli", *words],
                cwd=self.folder,
                env={**_environment(), "PYTHONPATH": str(ROOT), "RELMAN_DATA": str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_us,
            )
        if role == "executor":
            self.executors[self._parts[part].pid] = math.inf

    def _gone(self, part: str, at: float) -> None:
        pid = self._parts.pop(part).pid
        if pid in self.executors:
            self.executors[pid] = at

    def _last_words(self, part: str) -> str:
        lines = (self._logs / f"{part}.log").read_text(errors="replace").strip().splitlines()
        return lines[-1][:500] if lines else "it said nothing"


def _environment() -> Mapping[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("RELMAN_")}
