"""The executor's durable state of a component: the *intent*, and what runs for it.

The intent is the version that each slot should run and the share of the traffic that it should get, with the highest
fence that ordered so. Every change to processes and to HAProxy is derived from it, under the lock (see `targets.lock`
for what a stopped executor can and cannot do).
"""

import hashlib
import json
from typing import Literal

from release_management.adapters.executors.base.folder import (
    Kept,
    TargetFolder,
    TargetState,
)
from release_management.adapters.executors.base.processes import Process
from release_management.adapters.executors.local.settings import ComponentSettings

ProcessPhase = Literal["starting", "serving", "draining", "terminating"]


class Instance(Kept):
    """One of a slot's processes. `since` is when its phase began, `not_before` when it may be started (Unix seconds).

    *starting*: not running, to be started; *serving*: started, gets its share; *draining*: finishes its requests;
    *terminating*: was told to end. `exits` counts the exits in a row; `watched` is True if this executor watched the
    last one (its code is known). `ended` are the times of its last ends. `trouble` says why it could not be started.
    `lapses` counts its exits since it was found healthy, None before that; `lapsed` describes the last of those.
    """

    index: int
    port: int
    digest: str
    phase: ProcessPhase = "starting"
    since: float = 0.0
    process: Process | None = None
    log_from: int = 0
    exits: int = 0
    not_before: float = 0.0
    last_exit: str | None = None
    watched: bool = False
    ended: list[float] = []
    trouble: str | None = None
    lapses: int | None = None
    lapsed: str | None = None


class SlotState(Kept):
    """The version that should run in a slot, and its processes. A slot with 0 replicas is retired.

    `asked` names the order that provisioned it last: the deployment and its leg.
    """

    version: str
    artifact: str | None
    artifact_digest: str | None
    config: dict[str, str]
    variables: dict[str, str]
    settings: ComponentSettings
    replicas: int
    instances: list[Instance] = []
    asked: str = ""

    def digest(self) -> str:
        """Return a digest of all that an instance runs with: an instance with another digest must be replaced."""
        settings = self.settings
        release = (self.version, self.artifact, self.artifact_digest, self.config)
        parts = (*release, self.variables, settings.command, settings.env, settings.cwd)
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def keeps(self, instance: Instance) -> bool:
        """Return True if the instance should run; False if it is one too many, or of another version."""
        return instance.index <= self.replicas and instance.digest == self.digest()


class Balancer(Kept):
    """The component's HAProxy: its process, its admin socket, and the digest of its layout, which only a restart
    changes.

    With `hands_over` it passes its listening sockets to the one that replaces it, so that no connection is refused.
    """

    process: Process
    socket: str
    shape: str
    hands_over: bool = False


class Setback(Kept):
    """HAProxy could not be started: why, how often in a row, and when it is tried again (Unix seconds)."""

    reason: str
    tries: int
    not_before: float


class ComponentState(TargetState):
    """The whole state of a component. `settings` are those of the version to which the traffic goes.

    They are None until something was provisioned. `serving_since` is when HAProxy was first seen to give instances a
    share (Unix seconds), for as long as anything shall run; `empty_since` is when nothing should run any more.
    `leaving` are replaced HAProxies that still have connections.
    """

    environment: str
    component: str
    settings: ComponentSettings | None = None
    weights: dict[str, int] = {}
    slots: dict[str, SlotState] = {}
    ports: dict[str, list[int]] = {}
    balancer: Balancer | None = None
    leaving: list[Process] = []
    setback: Setback | None = None
    serving_since: float | None = None
    empty_since: float | None = None

    @property
    def listens(self) -> tuple[int, ...]:
        """The ports of 127.0.0.1 on which HAProxy is to listen: those of all present versions, else of the last one."""
        if self.settings is None:
            return ()
        return tuple(sorted({slot_state.settings.port for slot_state in self.occupied})) or (self.settings.port,)

    @property
    def occupied(self) -> list[SlotState]:
        """The slots in which instances shall run, or have yet to end."""
        return [slot_state for slot_state in self.slots.values() if slot_state.replicas or slot_state.instances]

    @property
    def is_empty(self) -> bool:
        """True if no instance shall run, and none has yet to end."""
        return not self.occupied

    @property
    def serves(self) -> bool:
        """True if the component serves, or would if its processes ran; being provisioned alone does not count."""
        return not self.is_empty and (self.serving_since is not None or any(self.weights.values()))

    def serves_on(self, port: int) -> bool:
        """Return True if the component serves, or would, for a version with this port (not one yet to come)."""
        assert self.settings is not None
        routed = {slot_state.settings.port for slot, slot_state in self.slots.items() if self.weights.get(slot)}
        return self.serves and port in (routed or {self.settings.port})

    def serving(self, slot: str) -> list[Instance]:
        """Return the slot's instances that have been started and shall stay."""
        slot_state = self.slots.get(slot)
        return [each for each in slot_state.instances if each.phase == "serving"] if slot_state is not None else []


class LocalFolder(TargetFolder[ComponentState]):
    """A component's folder, which also holds HAProxy's configuration."""

    FILE = "state.json"

    def _parse(self, raw: bytes) -> ComponentState:
        return ComponentState.model_validate_json(raw)

    def _new(self) -> ComponentState:
        return ComponentState(environment=self.path.parents[2].name, component=self.path.name)
