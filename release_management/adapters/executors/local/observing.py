"""Observe a component's real condition: its processes, its HAProxy and its port as they are, not as they were left.

The state says what is intended; the rest is read from the process table, the instances themselves, HAProxy and the
kernel. An observation takes no lock and changes nothing.
"""

import threading
from collections.abc import Mapping

import psutil

from release_management.adapters.executors.base import processes
from release_management.adapters.executors.base.executor import line, plain
from release_management.adapters.executors.base.look import Look
from release_management.adapters.executors.base.variables import secret_mask
from release_management.adapters.executors.local import balancer, haproxy
from release_management.adapters.executors.local.answers import ErrorRate
from release_management.adapters.executors.local.health import end_of, ill
from release_management.adapters.executors.local.layout import layout
from release_management.adapters.executors.local.settings import server_name
from release_management.adapters.executors.local.state import (
    ComponentState,
    Instance,
    LocalFolder,
    SlotState,
)
from release_management.domain.condition import (
    Condition,
    Observation,
    SeenSlot,
    worst,
)
from release_management.kernel.record import timestamp
from release_management.services.ports import Clock

RESTARTS_SECONDS = 60.0
ASKING_SECONDS = 1.0
"""Seconds to wait for an instance's answer. If its settings allow longer, HAProxy's last check counts instead."""
STARTING_SECONDS = 60.0
"""Seconds for which an instance that has never ended may take to answer, and only counts as starting."""


class Observer:
    """Observes one component repeatedly; it remembers HAProxy's counters, of which only the increase counts."""

    def __init__(self, folder: LocalFolder) -> None:
        self._folder = folder
        self._errors = ErrorRate()
        self._looking = threading.Lock()

    def look(self, clock: Clock, repaired: str | None = None) -> Look | None:
        """Observe the component: None if nothing was ever provisioned, *unknown* if the observation itself fails.

        `repaired` says what had changed through no doing of ours, and was set back just now. The observation has the
        time of its beginning.
        """
        now = clock.now()
        observedat = timestamp(now)
        environment, application, target, component = self._folder.path.parts[-4:]
        about = {"environment": environment, "application": application, "target": target, "component": component}
        try:
            state = self._folder.load()
            if state.settings is None:
                return None
            return _Sight(self._folder, state, self._errors, now.timestamp()).look(about, observedat, repaired)
        except (OSError, ValueError) as error:
            reason = line(plain(error))
        except Exception as error:  # a fault in this look must not cost the looks at the other components
            reason = line(f"the look failed: {type(error).__name__}: {error}")
        unknown = {**about, "condition": "unknown", "reason": reason, "observedat": observedat}
        return Look(Observation.model_validate(unknown))


class _Sight:
    def __init__(self, folder: LocalFolder, state: ComponentState, errors: ErrorRate, now: float) -> None:
        self.folder = folder
        self.state = state
        self.errors = errors
        self.now = now
        self.settles = False
        self.trouble: str | None = None
        self.servers = self._ask_balancer()

    def look(self, about: Mapping[str, str], observedat: str, repaired: str | None) -> Look:
        shares = haproxy.shares(layout(self.state), self._serving()) if self.servers else {}
        slot_states = {slot: slot_state for slot, slot_state in self.state.slots.items() if slot_state.replicas}
        seen = tuple(self._slot(slot, slot_state, shares.get(slot, 0)) for slot, slot_state in slot_states.items())
        condition, reason = self._whole(seen, repaired)
        found = {
            **about,
            "condition": condition,
            "reason": line(reason) if reason is not None else None,
            "slots": seen,
            "fence": self.state.fence,
            "observedat": observedat,
        }
        return Look(Observation.model_validate(found), self.settles)

    def _ask_balancer(self) -> dict[str, haproxy.Server]:
        """Return HAProxy's servers; set `trouble` if it does not work."""
        stated = self.state.balancer
        process = balancer.running(stated)
        if stated is None or process is None:
            self.trouble = "HAProxy does not run" if stated is None else "HAProxy does not answer on its socket"
            return {}
        try:
            if not haproxy.is_open(stated.socket):
                self.trouble = f"HAProxy has closed port {', '.join(map(str, self.state.listens))}"
            elif ports := balancer.closed(process, self.state.listens):
                self.trouble = f"port {', '.join(map(str, ports))} of 127.0.0.1 is not HAProxy's"
            return haproxy.table(stated.socket)
        except (haproxy.BalancerError, OSError) as error:
            self.trouble = f"HAProxy does not answer: {plain(error)}"
            return {}

    def _serving(self) -> dict[str, haproxy.Server]:
        """Return the servers to which HAProxy would send a request."""
        return {name: server for name, server in self.servers.items() if server.status.startswith("UP")}

    def _slot(self, slot: str, slot_state: SlotState, share: int) -> SeenSlot:
        instances = [each for each in slot_state.instances if slot_state.keeps(each)]
        living = [each for each in instances if processes.alive(each.process)]
        faults = [text for each in living if (text := self._ill(slot, slot_state, each)) is not None]
        ended = [end_of(self.folder, slot, slot_state, each)[0] for each in instances if each not in living]
        restarts = sum(1 for each in instances for time in each.ended if self.now - time < RESTARTS_SECONDS)
        healthy = len(living) - len(faults)
        condition: Condition = "well" if healthy >= slot_state.replicas else "degraded" if healthy else "down"
        reason = next(iter(ended + faults), None)
        if condition != "well" and self._starts(instances, living):
            self.settles = True
            reason = reason or f"{len(instances)} of {slot_state.replicas} instances of {slot} are there"
        if condition != "well" and restarts > 1:
            reason = f"restarted {restarts} times in {RESTARTS_SECONDS:.0f} s; {reason}"
        if condition == "well":
            names = [server_name(slot, each.index) for each in living]
            condition, reason = self.errors.judge(slot, [self.servers[each] for each in names if each in self.servers])
        if condition == "well":
            reason = next((text for each in living if (text := _other(slot_state, each)) is not None), None)
            condition = "well" if reason is None else "drifted"
        if reason is not None:
            reason = secret_mask(slot_state.variables, self.folder).text(reason)
        return SeenSlot(
            slot=slot,
            version=slot_state.version,
            condition=condition,
            reason=line(reason) if reason is not None else None,
            wanted=slot_state.replicas,
            running=len(living),
            healthy=healthy,
            restarts=restarts,
            share=share,
        )

    def _starts(self, instances: list[Instance], living: list[Instance]) -> bool:
        """Return True if all missing instances have just been started, and none has ended before."""
        if any(each.trouble is not None or each.last_exit is not None or each.ended for each in instances):
            return False
        if any(each.phase != "starting" for each in instances if each not in living):
            return False
        return all(self.now - each.since < STARTING_SECONDS for each in instances if each in living)

    def _ill(self, slot: str, slot_state: SlotState, instance: Instance) -> str | None:
        name = server_name(slot, instance.index)
        server = self.servers.get(name)
        try:
            if (text := ill(slot, slot_state, instance, within=ASKING_SECONDS)) is not None:
                return text
            checked = bool(self.state.weights.get(slot))
        except TimeoutError:
            if server is None:
                return f"{name} does not answer GET {slot_state.settings.health} within {ASKING_SECONDS:g} s"
            checked = True
        if server is None or not checked or (server.mode == "ready" and server.status.startswith("UP")):
            return None
        return f"HAProxy sees {name} {server.status} ({server.check})"

    def _whole(self, seen: tuple[SeenSlot, ...], repaired: str | None) -> tuple[Condition, str | None]:
        serve = [slot for slot in seen if self.state.weights.get(slot.slot)]
        if self.state.weights and self.trouble is not None:
            return "down", self.trouble
        if serve and all(slot.condition == "down" for slot in serve):
            return "down", serve[0].reason
        conditions: list[Condition] = ["degraded" if slot.condition == "down" else slot.condition for slot in seen]
        condition = worst(*conditions)
        if condition != "well":
            return condition, next(slot.reason for slot in seen if slot.condition not in ("well", "unknown"))
        if repaired is not None:
            return "drifted", repaired
        if self.state.weights and not self.settles:
            return self._traffic(seen)
        return "well", None

    def _traffic(self, seen: tuple[SeenSlot, ...]) -> tuple[Condition, str | None]:
        wrong = [slot for slot in seen if slot.share != self.state.weights.get(slot.slot, 0)]
        if not wrong:
            return "well", None
        parts = [f"{slot.slot} has {slot.share} % of the traffic" for slot in wrong]
        intended = ", ".join(f"{slot} {share} %" for slot, share in sorted(self.state.weights.items()))
        return "drifted", f"{', '.join(parts)}; intended: {intended}"


def _other(slot_state: SlotState, instance: Instance) -> str | None:
    """Return how a process's environment contradicts the recorded version or digest, or None.

    The process is known to be ours by its pid and start time; one that overwrote its environment contradicts nothing.
    """
    assert instance.process is not None
    try:
        stated = psutil.Process(instance.process.pid).environ()
    except psutil.Error:
        return None
    for name, recorded in (("RELMAN_VERSION", slot_state.version), ("RELMAN_DIGEST", instance.digest)):
        if stated.get(name, recorded) != recorded:
            return f"process {instance.process.pid} was started with {name}={stated[name]}; recorded is {recorded}"
    return None
