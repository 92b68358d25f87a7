"""Observe how components really are: by requests to their ports, and by the process table, not by relman."""

import json
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import psutil

REQUESTS = 4
ANSWER_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Truth:
    """A component: the versions that answered on its port ("" for no answer), its processes, and those that answer."""

    answers: frozenset[str]
    living: int
    healthy: int

    @property
    def serves(self) -> bool:
        """Return True if every request was answered."""
        return bool(self.answers) and "" not in self.answers


class Witness:
    """Observes the components by their ports. `mark` and a name stand in the command line of each process."""

    def __init__(self, mark: str, ports: Mapping[str, int]) -> None:
        self._mark = mark
        self._ports = ports
        self._asking = ThreadPoolExecutor(16, thread_name_prefix="witness")

    def name(self, component: str) -> str:
        """Return the text that the command line of a component's processes contains."""
        return f"{self._mark}-{component}"

    def look(self) -> dict[str, Truth]:
        """Observe every component now, with all requests at once: one that hangs takes a second."""
        own = {component: [_port(each) for each in self.processes(component)] for component in self._ports}
        asked = {
            component: (
                self._asking.map(answer, [port] * REQUESTS),
                self._asking.map(answer, own[component]),
            )
            for component, port in self._ports.items()
        }
        return {
            component: Truth(frozenset(front), len(own[component]), sum(each != "" for each in behind))
            for component, (front, behind) in asked.items()
        }

    def processes(self, component: str) -> list[psutil.Process]:
        """Return the component's living processes, by the process table."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if self.name(component) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found


def answer(port: int) -> str:
    """Return the version that answers on a port, or ""."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Connection": "close"})
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as found:
            return str(json.load(found)["version"])
    except (OSError, ValueError):
        return ""


def _port(process: psutil.Process) -> int:
    """Return the port in a process's command line; 0, where nothing answers, if it has just ended."""
    try:
        words = process.cmdline()
        return int(words[words.index("--port") + 1])
    except (psutil.Error, ValueError, IndexError):
        return 0
