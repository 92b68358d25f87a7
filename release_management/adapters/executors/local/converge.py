"""Make a component's processes and its HAProxy match the intended state: short passes, each under the lock.

A pass loads the state anew and does what is due for it, never for an order: an executor that was overtaken can only
help its successor. It is safe to be killed at any instruction. Before a process is started its token is recorded; the
next pass looks for a process that carries the token before it starts another.
"""

import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from release_management.adapters.executors.base import processes
from release_management.adapters.executors.base.processes import Process
from release_management.adapters.executors.base.variables import (
    SecretMissing,
    learn,
    resolve,
    secret_mask,
)
from release_management.adapters.executors.local import balancer, haproxy
from release_management.adapters.executors.local.layout import layout
from release_management.adapters.executors.local.ports import (
    NoFreePort,
    free_port,
    port_is_free,
)
from release_management.adapters.executors.local.settings import fill_in, server_name
from release_management.adapters.executors.local.state import (
    ComponentState,
    Instance,
    LocalFolder,
    ProcessPhase,
    Setback,
    SlotState,
)
from release_management.adapters.system.log_files import bound
from release_management.adapters.system.process_environment import inherited
from release_management.services.ports import Clock

REMEMBERED_ENDS = 60
LONGEST_BACKOFF = 30.0
"""Seconds. An instance that lived longer than this before it ended is restarted after one second again."""
EMPTY_SECONDS = 10.0
"""Seconds for which an idle HAProxy is kept: a recreate stops the old version before it starts the new one."""


@dataclass(slots=True)
class Progress:
    """The result of a pass. `fence` is the highest fence that the component has seen.

    `pending` are slots in which instances are still to be started or to end; `troubles` says per slot why an instance
    cannot be started, `balancer` why HAProxy cannot be set as intended; `observed` are the shares that HAProxy states.
    `affects_traffic` is True if a trouble concerns slots with traffic; `cut_off` lists instances that ended with open
    connections. `servers` is the state in which HAProxy on `socket` was left, and `repaired` is how it differed since
    the pass before, through no doing of ours.
    """

    fence: int = 0
    pending: set[str] = field(default_factory=set)
    troubles: dict[str, str] = field(default_factory=dict)
    balancer: str | None = None
    observed: dict[str, int] = field(default_factory=dict)
    affects_traffic: bool = False
    cut_off: list[str] = field(default_factory=list)
    socket: str = ""
    servers: Mapping[str, haproxy.IntendedServer] = field(default_factory=dict)
    repaired: str | None = None


def converge(folder: LocalFolder, clock: Clock, before: Progress | None = None) -> Progress:
    """Do one pass; `before` is the progress of the pass before.

    Raises `LockHeld`, `OSError` and `ValueError` if the state cannot be read or written.
    """
    with folder.locked():
        state = folder.load()
        if state.settings is None:
            return Progress(fence=state.fence)
        return _Pass(folder, state, clock.now().timestamp(), before).run()


class _Pass:
    def __init__(self, folder: LocalFolder, state: ComponentState, now: float, before: Progress | None) -> None:
        self.before = before
        self.folder = folder
        self.state = state
        self.now = now
        self.dirty = False
        self.progress = Progress(fence=state.fence)

    def run(self) -> Progress:
        if self.before is None:
            self._learn_secrets()
        for slot_state in self.state.slots.values():
            for instance in list(slot_state.instances):
                self._look_after(slot_state, instance)
                if instance.process is None and not slot_state.keeps(instance):
                    slot_state.instances.remove(instance)
                    self.dirty = True
        if balancer.let_leave(self.state):
            self.dirty = True
        self._allocate_ports()
        servers = self._servers()
        for slot, slot_state in self._busiest_first():
            for instance in list(slot_state.instances):
                if not slot_state.keeps(instance) or instance.phase == "terminating":
                    self._end(slot, slot_state, instance, servers)
            self._add_missing(slot, slot_state)
            for instance in slot_state.instances:
                if instance.phase == "starting" and self.now >= instance.not_before:
                    self._start(slot, slot_state, instance)
        if servers:
            self._apply(servers)
        self._bound_logs()
        if self.dirty:
            self.folder.save(self.state)
        self._report()
        return self.progress

    def _learn_secrets(self) -> None:
        """Learn the secrets of running processes, to redact them: another executor may have started these processes."""
        for slot_state in self.state.slots.values():
            for instance in slot_state.instances:
                if instance.process is not None:
                    learn(self.folder, processes.environment(instance.process))

    def _look_after(self, slot_state: SlotState, instance: Instance) -> None:
        """Adopt a process that a crash left unrecorded; record the end of one that has ended."""
        process = instance.process
        if instance.phase == "starting" and process is not None:
            instance.process = processes.find(process.token)
            if instance.process is not None:
                self._enter(instance, "serving")
            self.dirty = True
        elif instance.phase == "draining" and slot_state.keeps(instance) and processes.alive(process):
            self._enter(instance, "serving")
        elif instance.phase != "starting" and process is not None and not processes.alive(process):
            if instance.phase == "serving":
                self._note_exit(slot_state, instance, process)
            processes.end_leftovers(process)
            instance.process = None
            self._enter(instance, "starting")

    def _bound_logs(self) -> None:
        """Limit the logs of processes that run for months."""
        for slot, slot_state in self.state.slots.items():
            for instance in slot_state.instances:
                if bound(self.folder.log(server_name(slot, instance.index))):
                    instance.log_from = 0
                    self.dirty = True
        bound(self.folder.log("haproxy"))

    def _note_exit(self, slot_state: SlotState, instance: Instance, process: Process) -> None:
        lifetime = self.now - instance.since
        code = processes.exit_code(process)
        log = self.folder.log(self._name(slot_state, instance))
        last_line = processes.last_line(log, instance.log_from, secret_mask(slot_state.variables, self.folder))
        instance.last_exit = processes.describe_exit(code, last_line, lifetime)
        instance.watched = code is not None
        instance.ended = [*instance.ended, self.now][-REMEMBERED_ENDS:]
        if instance.lapses is not None:
            instance.lapses, instance.lapsed = instance.lapses + 1, instance.last_exit
        self._back_off(instance, 0 if lifetime > LONGEST_BACKOFF else instance.exits)

    def _back_off(self, instance: Instance, exits: int) -> None:
        instance.not_before = self.now + min(LONGEST_BACKOFF, 2.0 ** min(exits, 10))
        instance.exits = exits + 1
        self.dirty = True

    def _enter(self, instance: Instance, phase: ProcessPhase) -> None:
        instance.phase, instance.since = phase, self.now
        self.dirty = True

    def _name(self, slot_state: SlotState, instance: Instance) -> str:
        slot = next(name for name, each in self.state.slots.items() if each is slot_state)
        return server_name(slot, instance.index)

    def _allocate_ports(self) -> None:
        for slot, room in layout(self.state).rooms.items():
            ports = self.state.ports.setdefault(slot, [])
            while len(ports) < room:
                ports.append(free_port(self._taken()))
                self.dirty = True

    def _taken(self) -> set[int]:
        """Return the ports of all components of all targets: those that do not run now will need theirs later.

        Ports of a component whose state cannot be read are not known; of these, only ports in use are avoided.
        """
        states = [self.state]
        for folder in LocalFolder.all(self.folder.data):
            with suppress(OSError, ValueError):
                states.append(folder.load())
        taken = {port for state in states for ports in state.ports.values() for port in ports}
        return taken.union(*(state.listens for state in states))

    def _busiest_first(self) -> list[tuple[str, SlotState]]:
        return sorted(self.state.slots.items(), key=lambda slot: -self.state.weights.get(slot[0], 0))

    def _servers(self) -> dict[str, haproxy.Server]:
        """Return HAProxy's servers; none if it is not needed, or cannot run, which the progress then says."""
        if self.state.is_empty and self._is_left_alone():
            return {}
        if not self.state.is_empty and self.state.empty_since is not None:
            self.state.empty_since = None
            self.dirty = True
        setback = self.state.setback
        is_deferred = setback is not None and self.now < setback.not_before
        if setback is not None and is_deferred and not balancer.serves(self.state):
            self.progress.balancer = setback.reason
            return {}
        try:
            servers = haproxy.table(balancer.ensure(self.folder, self.state))
        except (haproxy.BalancerError, OSError) as error:
            self.progress.balancer = str(error)
            tries = setback.tries if setback is not None else 0
            pause = min(LONGEST_BACKOFF, 2.0 ** min(tries, 10))
            self.state.setback = Setback(reason=str(error), tries=tries + 1, not_before=self.now + pause)
            self.dirty = True
            return {}
        if setback is not None:
            self.state.setback = None
            self.dirty = True
        return servers

    def _is_left_alone(self) -> bool:
        """Return True if HAProxy of an empty component is not to be set: it is not started, and ended after a while."""
        if self.state.empty_since is None:
            self.state.empty_since = self.now
            self.dirty = True
        if self.state.balancer is not None and self.now - self.state.empty_since < EMPTY_SECONDS:
            return balancer.running(self.state.balancer) is None
        if self.state.balancer is not None or self.state.setback is not None or self.state.serving_since is not None:
            balancer.end(self.state)
            self.state.setback = self.state.serving_since = None
            self.dirty = True
        return True

    def _end(self, slot: str, slot_state: SlotState, instance: Instance, servers: dict[str, haproxy.Server]) -> None:
        """Move an instance that should not run one phase nearer to its end."""
        process = instance.process
        assert process is not None, "what does not run was forgotten before"
        late = self.now - instance.since >= slot_state.settings.stop_grace
        if instance.phase == "serving":
            self._enter(instance, "draining")
        elif instance.phase == "draining":
            server = servers.get(server_name(slot, instance.index))
            busy = server.sessions if server is not None else 0
            busy += balancer.connections(self.state.leaving, instance.port)
            if late or not busy:
                if busy:
                    name, grace = server_name(slot, instance.index), slot_state.settings.stop_grace
                    cut = f"{name} is ended though {busy} of its connections did not end within stop_grace, {grace:g} s"
                    self.progress.cut_off.append(cut)
                processes.tell(process, signal.SIGTERM)
                self._enter(instance, "terminating")
        elif late:
            processes.tell(process, signal.SIGKILL)

    def _add_missing(self, slot: str, slot_state: SlotState) -> None:
        present = {each.index for each in slot_state.instances}
        for index in range(1, slot_state.replicas + 1):
            if index not in present:
                port = self.state.ports[slot][index - 1]
                slot_state.instances.append(Instance(index=index, port=port, digest=slot_state.digest()))
                self.dirty = True

    def _start(self, slot: str, slot_state: SlotState, instance: Instance) -> None:
        try:
            if not port_is_free(instance.port):
                instance.port = free_port(self._taken())
                self.state.ports[slot][instance.index - 1] = instance.port
            values = {
                "port": str(instance.port),
                "version": slot_state.version,
                "artifact": slot_state.artifact or "",
                "component": self.state.component,
                "slot": slot,
                "instance": str(instance.index),
                "environment": self.state.environment,
            }
            argv = fill_in(slot_state.settings.command, values)
            variables = {f"RELMAN_{name.upper()}": value for name, value in values.items() if name != "instance"}
            variables["RELMAN_DIGEST"] = instance.digest
            own = {**slot_state.settings.env, **slot_state.config, **resolve(slot_state.variables, self.folder)}
            env = {**inherited(), "PORT": str(instance.port), **own, **variables}
            instance.process = Process(token=processes.new_token())
            self.folder.save(self.state)
            log = self.folder.log(server_name(slot, instance.index))
            token = instance.process.token
            instance.process, instance.log_from = processes.start(token, argv, env, log, slot_state.settings.cwd)
            instance.trouble = None
            self._enter(instance, "serving")
            self.folder.save(self.state)
        except (OSError, ValueError, SecretMissing, NoFreePort) as error:
            instance.process = None
            instance.trouble = f"cannot be started: {error}"
            self._back_off(instance, instance.exits)

    def _apply(self, servers: dict[str, haproxy.Server]) -> None:
        assert self.state.balancer is not None
        path = self.state.balancer.socket
        try:
            laid_out = layout(self.state)
            intended = haproxy.intended_servers(self.state, laid_out)
            if self.before is not None and (self.before.servers, self.before.socket) == (intended, path):
                self.progress.repaired = haproxy.difference(servers, intended)
            if haproxy.apply(path, servers, intended):
                haproxy.write_config(self.folder, self.state, laid_out, path)
                servers = haproxy.table(path)
            self.progress.observed = haproxy.shares(laid_out, servers)
            if self.state.serving_since is None and any(self.progress.observed.values()):
                self.state.serving_since = self.now
                self.dirty = True
            self.progress.servers, self.progress.socket = intended, path
        except (haproxy.BalancerError, OSError) as error:
            self.progress.balancer = str(error)

    def _report(self) -> None:
        for slot, slot_state in self.state.slots.items():
            for instance in slot_state.instances:
                if instance.trouble is not None:
                    self.progress.troubles[slot] = f"{server_name(slot, instance.index)} {instance.trouble}"
                elif not slot_state.keeps(instance) or (instance.phase != "serving" and instance.last_exit is None):
                    self.progress.pending.add(slot)
        troubled = any(self.state.weights.get(slot) for slot in self.progress.troubles)
        self.progress.affects_traffic = self.state.serves and (troubled or self.progress.balancer is not None)
