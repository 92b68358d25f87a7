"""What the executor remembers of a component: an *intent*.

It says what should run in each slot and which share of the traffic it should get, with the highest fence that said so.
Everything that is done to processes and to HAProxy is derived from it, under the lock (see `targets.lock` for what a
stopped executor can and cannot do).
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
    *terminating*: was told to end. `exits` counts the exits in a row; `watched` says that the last one came under our
    eyes (its code is known), not while nobody looked. `ended` are the times of its last ends. `trouble` says why it
    could not be started. `lapses` counts its exits since it was found healthy, None before that; `lapsed` is how the
    last of those was.
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
    """What should run in a slot, and what does. A slot with 0 replicas is retired.

    `asked` names who provisioned it last: the deployment and its leg.
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
        """Names what an instance is: another digest means that it must be replaced."""
        settings = self.settings
        release = (self.version, self.artifact, self.artifact_digest, self.config)
        parts = (*release, self.variables, settings.command, settings.env, settings.cwd)
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def keeps(self, instance: Instance) -> bool:
        """Whether the instance is one that should run, as opposed to one too many or of another version."""
        return instance.index <= self.replicas and instance.digest == self.digest()


class Balancer(Kept):
    """The component's HAProxy: its process, its admin socket, and the digest of what only a restart can change.

    `hands_over`: it gives its listening sockets to the one that replaces it, so that no connection is refused.
    """

    process: Process
    socket: str
    shape: str
    hands_over: bool = False


class Setback(Kept):
    """HAProxy could not be had: why, how often in a row, and when it is tried again (Unix seconds)."""

    reason: str
    tries: int
    not_before: float


class ComponentState(TargetState):
    """All of it. `settings` are those of the version to which the traffic goes; None until something was provisioned.

    `serving_since` is when HAProxy was first seen to give instances a share (Unix seconds), for as long as anything
    shall run; `empty_since` is when nothing should run any more. `leaving` are HAProxies that were replaced and still
    have connections.
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
        """The ports of 127.0.0.1 on which HAProxy is to listen: those of all versions that stand; the last one's."""
        if self.settings is None:
            return ()
        return tuple(sorted({stand.settings.port for stand in self.standing})) or (self.settings.port,)

    @property
    def standing(self) -> list[SlotState]:
        """The slots where something shall run, or has to end."""
        return [stand for stand in self.slots.values() if stand.replicas or stand.instances]

    @property
    def is_empty(self) -> bool:
        """Whether nothing shall run, and nothing has to end."""
        return not self.standing

    @property
    def serves(self) -> bool:
        """Whether it serves, or would if its processes ran: what only was provisioned does not."""
        return not self.is_empty and (self.serving_since is not None or any(self.weights.values()))

    def serves_on(self, port: int) -> bool:
        """Whether it serves, or would, for a version that has the port; another may only be about to come."""
        assert self.settings is not None
        routed = {stand.settings.port for slot, stand in self.slots.items() if self.weights.get(slot)}
        return self.serves and port in (routed or {self.settings.port})

    def serving(self, slot: str) -> list[Instance]:
        """The slot's instances that have been started and shall stay."""
        stand = self.slots.get(slot)
        return [each for each in stand.instances if each.phase == "serving"] if stand is not None else []


class Folder(TargetFolder[ComponentState]):
    """A component's folder, which holds HAProxy's configuration too."""

    FILE = "state.json"

    def _parse(self, raw: bytes) -> ComponentState:
        return ComponentState.model_validate_json(raw)

    def _new(self) -> ComponentState:
        return ComponentState(environment=self.path.parents[2].name, component=self.path.name)
