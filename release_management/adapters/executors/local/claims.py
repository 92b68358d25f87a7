"""Decide which component may listen on a port that several claim, and find the one that does."""

from collections.abc import Iterator
from contextlib import suppress
from math import inf

from release_management.adapters.executors.base import processes
from release_management.adapters.executors.local.haproxy import BalancerError
from release_management.adapters.executors.local.ports import listener
from release_management.adapters.executors.local.state import ComponentState, LocalFolder

PortReservation = tuple[int, float, str]
"""The lower, the better: a serving component comes before one that shall run, and that before an empty one."""


def claim(folder: LocalFolder, state: ComponentState, port: int | None = None) -> PortReservation:
    """Return the rank of a component's claim to a port, by default to the port on which it serves.

    Of two that serve, the one that began earlier has the better claim.
    """
    serves = state.serves if port is None else state.serves_on(port)
    rank = 2 if state.is_empty else 0 if serves else 1
    return rank, inf if state.serving_since is None else state.serving_since, str(folder.path)


def lesser(folder: LocalFolder, state: ComponentState, port: int) -> list[LocalFolder]:
    """Return the components that have a balancer on the port and a lesser claim to it.

    Raises `BalancerError` if a serving component has the better claim, whether it listens now or not.
    """
    own = claim(folder, state, port)
    found = []
    for other, its in _rivals(folder, port):
        other_claim = claim(other, its, port)
        if other_claim < own and its.serves_on(port):
            raise BalancerError(f"port {port} of 127.0.0.1 is that of {name(other)}, which serves")
        if is_lesser(other_claim, own) and its.balancer is not None:
            found.append(other)
    return found


def is_lesser(other_claim: PortReservation, own: PortReservation) -> bool:
    """Return True if their balancer must make way for ours. Among equal ranks the one that listens goes on."""
    return own[0] < other_claim[0]


def holder(folder: LocalFolder, port: int) -> str:
    """Return a description, for people, of the component or program that listens on a port."""
    for other, its in _rivals(folder, port):
        if its.balancer is not None and processes.alive(its.balancer.process):
            return name(other)
    return listener(port) or "another program"


def name(folder: LocalFolder) -> str:
    """Return a component's description for people."""
    environment, application, target, component = folder.path.parts[-4:]
    return f"{component} ({application} in {environment}, target {target})"


def in_order(folders: list[LocalFolder]) -> list[LocalFolder]:
    """Sort components by claim: serving ones first, those with an unreadable state last."""

    def rank(folder: LocalFolder) -> PortReservation:
        with suppress(OSError, ValueError):
            return claim(folder, folder.load())
        return 3, 0.0, str(folder.path)

    return sorted(folders, key=rank)


def _rivals(folder: LocalFolder, port: int) -> Iterator[tuple[LocalFolder, ComponentState]]:
    """Yield the other components with a readable state whose balancer is to listen on the same port."""
    for other in LocalFolder.all(folder.data):
        if other.path == folder.path:
            continue
        with suppress(OSError, ValueError):
            state = other.load()
            if port in state.listens:
                yield other, state
