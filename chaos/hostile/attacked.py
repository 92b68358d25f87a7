"""The attacked installation: an ordinary `relman up`, watched from outside."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from chaos.hostile.logs import Logs
from chaos.installation import ROOT, die_with_us
from release_management.adapters.nats.access import permissions
from release_management.adapters.nats.wire.urls import credentials, read_url

STOP_SECONDS = 100.0
ANSWER_SECONDS = 5.0
BUS = "nats-server"
HONEST = "honest"
"""The name of the honest client, which shares nothing with the attacker."""
TYPIST = "typist"
"""The name of the client that types command lines."""


class NotStarted(Exception):
    """The installation did not start; the text is its output."""


class Attacked:
    """One installation in a folder. `begun` counts the processes of each role since its last start."""

    def __init__(self, folder: Path, store: str | None) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.logs = Logs(self.data / "logs")
        self._store = store
        self._up: subprocess.Popen[str] | None = None
        self._seen: dict[str, set[int]] = {}

    def start(self) -> None:
        """Start it, and wait until it is ready. Raises `NotStarted`."""
        words = [
            "up",
            "--client",
            HONEST,
            "--client",
            TYPIST,
            *(["--store", self._store] if self._store is not None else []),
        ]
        variables = {name: value for name, value in os.environ.items() if not name.startswith("RELMAN_")}
        self._seen.clear()
        with (self.folder / "up.log").open("ab") as log:
            self._up = subprocess.Popen(
                [sys.executable, "-m", "release_management.cli", *words],
                cwd=self.folder,
                env={**variables, "PYTHONPATH": str(ROOT), "RELMAN_DATA": str(self.data)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
                preexec_fn=die_with_us,
            )
        assert self._up.stdout is not None
        if "is up" not in self._up.stdout.readline():
            raise NotStarted(f"relman up did not start: {(self.folder / 'up.log').read_text()[-2000:]}")

    def stop(self) -> int:
        """Stop cleanly; return the exit code, 0 if it did not run."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9. Its roles die with it."""
        self._end(signal.SIGKILL)

    @property
    def is_alive(self) -> bool:
        """Return True if it still runs."""
        return self._up is not None and self._up.poll() is None

    @property
    def url(self) -> str:
        """Return the bus's URL for unnamed clients: the attacker's."""
        found = read_url(self.data)
        assert found is not None
        return found

    def url_of(self, client: str) -> str:
        """Return the bus's URL for a named client."""
        found = credentials(self.data, permissions.named(client))
        assert found is not None
        return found

    def look(self) -> None:
        """Note the present processes; a new one has replaced one that ended."""
        for name, process in self._processes().items():
            self._seen.setdefault(name, set()).add(process.pid)

    @property
    def restarts(self) -> Counter[str]:
        """Return how often each role was restarted."""
        return Counter({name: len(pids) - 1 for name, pids in self._seen.items() if len(pids) > 1})

    def memory(self) -> dict[str, int]:
        """Return the resident set of each role, in MiB."""
        found = {}
        for name, process in self._processes().items():
            with suppress(psutil.Error):
                found[name] = process.memory_info().rss // 2**20
        return found

    def probes(self) -> tuple[str, ...]:
        """Return the addresses of the roles' health probes."""
        return tuple(sorted(told["address"] for told in self._notes()))

    def health(self) -> Mapping[str, Any]:
        """Return the health of each role: the document, or why there is none."""
        said: dict[str, Any] = {}
        for told in self._notes():
            name = f"{told['role']} {told['pid']}"
            try:
                said[name] = httpx.get(
                    f"http://{told['address']}/health", timeout=ANSWER_SECONDS, trust_env=False
                ).json()
            except (httpx.HTTPError, ValueError) as error:
                said[name] = {"healthy": False, "troubles": [{"part": "process", "says": repr(error)}], "silent": True}
        return said

    def sizes(self) -> dict[str, int]:
        """Return the sizes on disk, in MiB: the log, the streams, the processes' logs."""
        parts = {"log": "log.db*", "read models": "r*.db*", "bus": "nats/**/*", "logs": "logs/*"}
        return {name: sum(_size(file) for file in self.data.glob(pattern)) // 2**20 for name, pattern in parts.items()}

    def _notes(self) -> list[dict[str, Any]]:
        found = []
        for note in (self.data / "run").glob("*.json"):
            with suppress(OSError, ValueError):
                told = json.loads(note.read_text())
                if psutil.pid_exists(told["pid"]):
                    found.append(told)
        return found

    def _processes(self) -> dict[str, psutil.Process]:
        """Return the processes of the supervisor, the roles and the bus."""
        found: dict[str, psutil.Process] = {}
        if self._up is None:
            return found
        with suppress(psutil.Error, OSError, ValueError, KeyError):
            supervisor = psutil.Process(self._up.pid)
            found["supervisor"] = supervisor
            for noted in json.loads((self.data / "up.json").read_text()):
                with suppress(psutil.Error):
                    found[noted["name"]] = psutil.Process(noted["pid"])
            for child in supervisor.children():
                with suppress(psutil.Error):
                    if child.name() == BUS:
                        found[BUS] = child
        return found

    def _end(self, how: signal.Signals) -> int:
        if self._up is None:
            return 0
        self._up.send_signal(how)
        try:
            code = self._up.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._up.kill()
            code = self._up.wait()
        assert self._up.stdout is not None
        self._up.stdout.close()
        self._up = None
        return code


def _size(file: Path) -> int:
    with suppress(OSError):
        return file.stat().st_size if file.is_file() else 0
    return 0
