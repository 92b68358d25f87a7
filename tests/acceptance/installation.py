"""An installation under test: `relman up` in processes of its own, its log, its processes, its traffic."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Literal

import psutil

from release_management import ReleaseManager
from release_management.adapters.event_store import SQLiteEventLog
from release_management.adapters.executors.local import haproxy
from release_management.adapters.executors.local.layout import layout
from release_management.adapters.executors.local.ports import free_port
from release_management.adapters.executors.local.state import LocalFolder
from release_management.adapters.nats.wire.urls import read_url
from release_management.adapters.read_model import Projector, ReadStore
from release_management.domain.registry import Registry
from release_management.kernel.record import Recorded
from tests.servers.small_disk import SmallDisk

ROOT = Path(__file__).parents[2]
REGISTRY = Registry()
ENDS = frozenset(
    f"deployment.{name}"
    for name in (
        "succeeded",
        "rolled_back",
        "rollback_failed",
        "halted",
        "rejected",
        "expired",
        "cancelled",
        "superseded",
    )
)
Part = Literal["road", "projector", "nats-server"]


class Installation:
    """One folder. Every component is the sample, which writes to a journal outside of our code."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / ".relman"
        self.journal = root / "journal"
        self.ports: set[int] = set()
        self.disk: SmallDisk | None = None
        """The disk under a part of the folder, for the processes of `up`."""
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._log: SQLiteEventLog | None = None
        self._managers: list[ReleaseManager] = []

    # The processes

    def start(self) -> float:
        """Start `up` and wait until it is ready; how many seconds that took."""
        began = time.monotonic()
        self.begin()
        self.await_ready()
        return time.monotonic() - began

    def await_ready(self) -> None:
        assert self._supervisor is not None
        assert self._supervisor.stdout is not None
        assert self._supervisor.stdout.readline() == b"ready\n", (self.root / "up.log").read_text()[-2000:]

    def begin(self) -> None:
        """Start `up`."""
        command = [sys.executable, "-m", "tests.acceptance.up", str(self.folder)]
        with (self.root / "up.log").open("ab") as log:
            self._supervisor = subprocess.Popen(
                command if self.disk is None else self.disk.within(command),
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )

    def stop(self) -> int:
        """End `up` as a person would; its exit code."""
        assert self._supervisor is not None
        self._supervisor.send_signal(signal.SIGTERM)
        code = self._supervisor.wait(40)
        self._close_pipe()
        return code

    @property
    def supervisor(self) -> int:
        assert self._supervisor is not None
        return self._supervisor.pid

    @property
    def alive(self) -> bool:
        return self._supervisor is not None and self._supervisor.poll() is None

    def pid(self, part: Part) -> int:
        """A part's process, once there is one."""
        found: list[int] = []

        def runs() -> bool:
            found[:] = [each.pid for each in psutil.Process(self.supervisor).children() if _plays(each, part)]
            return bool(found)

        until(runs, 20)
        return found[0]

    def kill(self, part: Part) -> None:
        """With -9."""
        pid = self.pid(part)
        os.kill(pid, signal.SIGKILL)

    def end(self, pid: int) -> None:
        """A deployed process, with -9."""
        os.kill(pid, signal.SIGKILL)

    def kill_everything(self) -> None:
        """The supervisor and all of its parts with -9, in one go. HAProxy and what was deployed go on."""
        parts = psutil.Process(self.supervisor).children()
        for pid in [self.supervisor, *(part.pid for part in parts)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._bury(parts)

    def kill_supervisor(self, within: float = 10.0) -> None:
        """With -9, and wait until the parts have followed it."""
        parts = psutil.Process(self.supervisor).children()
        os.kill(self.supervisor, signal.SIGKILL)
        self._bury([part for part in parts if part.status() != psutil.STATUS_STOPPED], within)

    def _bury(self, parts: Sequence[psutil.Process], within: float = 10.0) -> None:
        assert self._supervisor is not None
        self._supervisor.wait(10)
        self._close_pipe()
        until(lambda: all(_gone(part) for part in parts), within)

    def _close_pipe(self) -> None:
        if self._supervisor is not None and self._supervisor.stdout is not None:
            self._supervisor.stdout.close()

    def freeze(self, pid: int) -> None:
        """Stop a process, but not while it holds a file's write lock: that would hold up everybody, not just it."""
        while True:
            os.kill(pid, signal.SIGSTOP)
            until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED)
            if all(_free(self.folder / name) for name in ("log.db", "private.db", "road.db")):
                return
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.001)

    def deployed(self) -> list[int]:
        """The sample processes that really run here, whatever is recorded about them."""
        return _running(lambda words: str(self.journal) in words)

    def ours(self) -> list[int]:
        """Every process that has to do with this folder."""
        inside = str(self.root)
        return _running(lambda words: any(word.startswith(inside) for word in words))

    def end_everything(self) -> None:
        """Whatever happened, nothing is left."""
        for manager in self._managers:
            with suppress(Exception):
                manager.close()
        if self._log is not None:
            self._log.close()
            self._log = None
        if self.alive:
            with suppress(subprocess.TimeoutExpired):
                self.stop()
        give_up = time.monotonic() + 10
        while (left := self.ours()) and time.monotonic() < give_up:
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if self._supervisor is not None:
            self._supervisor.wait(10)
            self._close_pipe()

    # Its users

    def manager(self, application: str = "shop", actor: str = "alice") -> ReleaseManager:
        made = ReleaseManager(application, data=str(self.folder), actor=actor)
        self._managers.append(made)
        return made

    @property
    def url(self) -> str:
        found = read_url(self.folder)
        assert found is not None
        return found

    def target(self, *components: str, arguments: Sequence[str] = (), **settings: Any) -> dict[str, Any]:
        """A target for components, each behind a port of its own, for `configure_environments`."""
        sample = ["{python}", "-m", "release_management.sample", "--port", "{port}", "--version", "{version}"]
        command = [*sample, "--component", "{component}", "--journal", str(self.journal), *arguments]
        declared: dict[str, Any] = {}
        for name in components:
            port = free_port(self.ports)
            self.ports.add(port)
            common = {"command": command, "port": port, "health": "/health", "stop_grace": 2}
            declared[name] = {**common, "env": {"PYTHONPATH": str(ROOT)}, **settings}
        return {"targets": {"main": {"executor": "local", "components": declared}}}

    # What it has recorded

    @property
    def log(self) -> SQLiteEventLog:
        """The log, read from this process."""
        if self._log is None:
            self._log = SQLiteEventLog.open(self.folder / "log.db", REGISTRY.knows)
        return self._log

    def records(self) -> list[Recorded]:
        found: list[Recorded] = []
        while page := self.log.read(len(found)):
            found += page
        return found

    def facts(self, deployment: str) -> list[str]:
        """The names of a deployment's records, in order."""
        return [one.name.removeprefix("deployment.") for one in self.log.read_stream(f"deployment:{deployment}")]

    def data(self, deployment: str, name: str) -> list[dict[str, Any]]:
        """The content of a deployment's records of one name."""
        stream = self.log.read_stream(f"deployment:{deployment}")
        return [json.loads(one.record)["data"] for one in stream if one.name == f"deployment.{name}"]

    def has_ended(self, deployment: str) -> bool:
        return any(one.name in ENDS for one in self.log.read_stream(f"deployment:{deployment}"))

    def ended(self, deployment: str, within: float = 30.0) -> str:
        """Wait for the deployment's end, and return it, such as `succeeded`."""
        until(lambda: self.has_ended(deployment), within, lambda: f"its facts: {self.facts(deployment)}")
        (end,) = [name for name in self.facts(deployment) if f"deployment.{name}" in ENDS]
        return end

    def starts(self) -> Counter[tuple[str, str]]:
        """Return how often each (component, version) was started, by the journal."""
        return Counter((component, version) for _, component, version, *_ in self._journal("start"))

    def instances(self) -> Counter[str]:
        """Return how often each instance was started."""
        return Counter(instance for *_, instance in self._journal("start"))

    def _journal(self, what: str) -> list[list[str]]:
        if not self.journal.exists():
            return []
        return [line.split() for line in self.journal.read_text().splitlines() if line.startswith(what)]

    # What is so

    def component(self, environment: str, application: str, component: str) -> LocalFolder:
        return LocalFolder(self.folder / "targets" / environment / application / "main" / component)

    def shares(self, environment: str = "staging", application: str = "shop", component: str = "web") -> dict[str, int]:
        """The traffic shares in percent per version, as HAProxy itself states them."""
        state = self.component(environment, application, component).load()
        assert state.balancer is not None
        slots = haproxy.shares(layout(state), haproxy.table(state.balancer.socket))
        return {state.slots[slot].version: share for slot, share in slots.items() if share}

    def intended(
        self, environment: str = "staging", application: str = "shop", component: str = "web"
    ) -> dict[str, int]:
        """The shares that the log's last word about the place intends, per slot."""
        facts = self.log.read_stream(f"place:{environment}/{application}/main")
        intentions = [json.loads(one.record)["data"] for one in facts if one.name == "place.traffic_intended"]
        last = [data["weights"] for data in intentions if data["component"] == component][-1]
        return {slot: share for slot, share in last.items() if share}

    def projections_equal_a_rebuild(self) -> None:
        """Check that the projections equal a rebuild from the whole log, which may grow meanwhile."""
        fresh = self.root / f"fresh-{time.monotonic_ns()}.db"
        projector = Projector(self.log, REGISTRY, fresh)
        projector.catch_up()
        kept, made = ReadStore(self.folder / "read.db"), ReadStore(fresh)

        def are_equal(name: str, params: dict[str, Any]) -> bool:
            last = self.log.last_position()
            projector.catch_up()
            equal = kept.ask(name, params, last) == made.ask(name, params, last)
            return equal or (self.log.last_position() > last and are_equal(name, params))

        try:
            questions: list[tuple[str, dict[str, Any]]] = [
                *((name, {}) for name in ("running", "environments", "policies", "pipelines")),
                *((name, {"limit": 1000}) for name in ("releases", "deployments", "approvals", "trail")),
                *(("deployment", {"id": row["id"]}) for row in made.ask("deployments", {"limit": 1000})),
                *(("release", {"ref": row["ref"]}) for row in made.ask("releases", {"limit": 1000})),
            ]
            for name, params in questions:
                assert are_equal(name, params), name
        finally:
            kept.close()
            made.close()
            projector.close()


def until(condition: Callable[[], bool], within: float = 45.0, why: Callable[[], str] = lambda: "") -> None:
    """Look until it is so; fail where it is not in time."""
    give_up = time.monotonic() + within
    while not condition():
        assert time.monotonic() < give_up, f"it did not come to pass within {within:g} s. {why()}"
        time.sleep(0.01)


def canary(*shares: int, pause: float | None = 0.2, **options: Any) -> dict[str, Any]:
    """A canary's options: the shares with a pause after each; None waits for a person."""
    wait = {} if pause is None else {"duration": pause}
    steps = [step for share in shares for step in ({"set_weight": share}, {"pause": wait})]
    return {"steps": steps, "scale_down_delay": 0, "abort_scale_down_delay": 0, **options}


def _plays(process: psutil.Process, part: Part) -> bool:
    with suppress(psutil.Error):
        words = process.cmdline()
        if part == "nats-server":
            return bool(words) and words[0].endswith("nats-server")
        return "release_management.runtime.roles" in words and part in words
    return False


def _free(database: Path) -> bool:
    with closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return False
    return True


def _gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _running(belongs: Callable[[Iterable[str]], bool]) -> list[int]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and belongs(process.cmdline()):
                found.append(process.pid)
    return [pid for pid in found if pid != os.getpid()]
