"""What the executor remembers of a component, durably, beside the target.

The folder `<data>/targets/<environment>/<application>/<target>/<component>/` holds `state.json` (replaced atomically,
and flushed, by whoever holds `lock`), HAProxy's configuration and the logs. The state is an *intent*: what should run
in each slot and which share of the traffic it should get, with the highest fence that said so. Everything that is done
to processes and to HAProxy is derived from it, under the lock (see `lock` for what a stopped executor can and cannot
do). Values of secrets are not in it, only their references.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from release_management.adapters.local.lock import exclusive
from release_management.adapters.local.settings import ComponentSettings
from release_management.domain.orders import Order

KEPT_REPORTS = 50
Phase = Literal["starting", "serving", "draining", "terminating"]


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Process(_Kept):
    """A process of ours. The token stands in its environment, so that it is found when its pid was never recorded."""

    token: str
    pid: int | None = None
    started: float | None = None


class Instance(_Kept):
    """One of a slot's processes. `since` is when its phase began, `not_before` when it may be started (Unix seconds).

    *starting*: not running, to be started; *serving*: started, gets its share; *draining*: finishes its requests;
    *terminating*: was told to end. `exits` counts the exits in a row; `watched` says that the last one came under our
    eyes (its code is known), not while nobody looked. `trouble` says why it could not be started.
    """

    index: int
    port: int
    digest: str
    phase: Phase = "starting"
    since: float = 0.0
    process: Process | None = None
    log_from: int = 0
    exits: int = 0
    not_before: float = 0.0
    last_exit: str | None = None
    watched: bool = False
    trouble: str | None = None


class SlotState(_Kept):
    """What should run in a slot, and what does. A slot with 0 replicas is retired."""

    version: str
    artifact: str | None
    artifact_digest: str | None
    config: dict[str, str]
    variables: dict[str, str]
    settings: ComponentSettings
    replicas: int
    instances: list[Instance] = []

    def digest(self) -> str:
        """Names what an instance is: another digest means that it must be replaced."""
        settings = self.settings
        release = (self.version, self.artifact, self.artifact_digest, self.config)
        parts = (*release, self.variables, settings.command, settings.env, settings.cwd)
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def keeps(self, instance: Instance) -> bool:
        """Whether the instance is one that should run, as opposed to one too many or of another version."""
        return instance.index <= self.replicas and instance.digest == self.digest()


class Balancer(_Kept):
    """The component's HAProxy: its process, its admin socket, and the digest of what only a restart can change."""

    process: Process
    socket: str
    shape: str


class Answer(_Kept):
    """A report as it was given, and the order that it answers."""

    deployment: str
    leg: str
    step: int
    attempt: int
    fence: int
    report: str

    def answers(self, order: Order) -> bool:
        """Whether this is the report of that very order."""
        return (self.deployment, self.leg, self.step, self.attempt, self.fence) == (
            order.deployment,
            order.leg,
            order.step,
            order.attempt,
            order.fence,
        )


class ComponentState(_Kept):
    """All of it. `settings` is None until something has been provisioned."""

    environment: str
    component: str
    fence: int = 0
    settings: ComponentSettings | None = None
    weights: dict[str, int] = {}
    slots: dict[str, SlotState] = {}
    ports: dict[str, list[int]] = {}
    balancer: Balancer | None = None
    answers: list[Answer] = []

    def serving(self, slot: str) -> list[Instance]:
        """The slot's instances that have been started and shall stay."""
        stand = self.slots.get(slot)
        return [each for each in stand.instances if each.phase == "serving"] if stand is not None else []


class Folder:
    """A component's folder. Reading needs no lock: `state.json` is replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._state = path / "state.json"

    @classmethod
    def of(cls, data: Path, order: Order) -> "Folder":
        """The folder that an order is about, made where it is missing."""
        path = data / "targets" / order.environment / order.application / order.target / order.component
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cls(path)

    @classmethod
    def all(cls, data: Path) -> list["Folder"]:
        """Every component's folder under `data`."""
        return [cls(state.parent) for state in sorted((data / "targets").glob("*/*/*/*/state.json"))]

    @property
    def data(self) -> Path:
        """The executor's folder, which holds all components'."""
        return self.path.parents[4]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One critical section. Raises `LockHeld`."""
        with exclusive(self.path / "lock"):
            yield

    def load(self) -> ComponentState:
        """The state as it was last saved; empty where there is none. Raises `OSError`, `ValueError`."""
        try:
            return ComponentState.model_validate_json(self._state.read_bytes())
        except FileNotFoundError:
            environment = self.path.parent.parent.parent.name
            return ComponentState(environment=environment, component=self.path.name)

    def save(self, state: ComponentState) -> None:
        """Replace the state, durably. The caller holds the lock. Raises `OSError`."""
        fresh = self.path / "state.json.new"
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(state.model_dump_json().encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, self._state)
        directory = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def log(self, name: str) -> Path:
        """The log file of an instance or of HAProxy."""
        return self.path / f"{name}.log"
