"""Ports on 127.0.0.1."""

import secrets
import socket
import time
from collections.abc import Container

import psutil

# Below the range from which kernels take the local ports of outgoing connections, which would get in the way.
_PORTS = range(20_000, 32_000)


class NoFreePort(Exception):
    """No free port was found on 127.0.0.1 between 20000 and 32000."""


def port_is_free(port: int) -> bool:
    """Return True if a server could listen on 127.0.0.1:`port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port(taken: Container[int]) -> int:
    """Return a port on 127.0.0.1 that nobody listens on and that is not in `taken`. Raises `NoFreePort`."""
    give_up = time.monotonic() + 2.0
    while time.monotonic() < give_up:
        port = secrets.choice(_PORTS)
        if port not in taken and port_is_free(port):
            return port
    raise NoFreePort("no free port on 127.0.0.1 between 20000 and 32000")


def listener(port: int) -> str | None:
    """Return a description of the process that listens on 127.0.0.1:`port`; None if the system does not tell."""
    try:
        for seen in psutil.net_connections(kind="tcp4"):
            if seen.status == psutil.CONN_LISTEN and seen.laddr and seen.laddr.port == port and seen.pid:
                return f"process {seen.pid} ({psutil.Process(seen.pid).name()})"
    except (psutil.Error, OSError):
        return None
    return None
