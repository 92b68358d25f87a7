"""HAProxy's configuration file and admin socket.

The configuration has a fixed server line for every instance that a slot can have, because servers that are added at run
time vanish on a reload. It is rewritten whenever weights change, with the weights, addresses and states that are
intended: an HAProxy that is started from it, after a crash or by hand, gives the intended shares at once.
"""

import re
import socket
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from release_management.adapters.executors.local.layout import Layout
from release_management.adapters.executors.local.settings import (
    LONGEST_WAIT,
    HealthCheck,
    server_name,
)
from release_management.adapters.executors.local.state import ComponentState, LocalFolder
from release_management.adapters.executors.local.weights import server_weights, stated_shares
from release_management.adapters.system.error_paths import naming

Mode = Literal["ready", "drain", "maint"]
_MAINT, _DRAIN = 0x01 | 0x02 | 0x20, 0x08
_BATCH = 40
_HEALTH = "health.map"
_ANSWERS = ("1xx", "2xx", "3xx", "4xx", "5xx", "other")

HARD_STOP_SECONDS = LONGEST_WAIT
"""Seconds for which a replaced HAProxy keeps its connections: as long as the most patient stream may be silent.

It is not `stop_grace`, which is for instances that end: HAProxy is replaced when a time-out or a port changes, and no
instance ends for that. It is bounded, because a stream that never ends would keep a process for every change.
"""
_SPREAD_MILLISECONDS = 100
"""Within this time a new HAProxy checks all instances first, however long the interval."""

_CONFIG = """\
global
  default-path config
  stats socket {socket} mode 600 level admin expose-fd listeners
  maxconn 2000
  nbthread 1
  noreuseport
  hard-stop-after {hard_stop}s
  max-spread-checks {spread}ms
defaults
  mode http
  timeout connect {connect}ms
  timeout queue 2s
  timeout http-request 10s
  timeout client {answer}ms
  timeout server {answer}ms
  timeout tunnel {stream}ms
  timeout check {check}ms
  timeout http-keep-alive {keep_alive}ms
  retries 3
  option redispatch 1
  option abortonclose
  option http-server-close
frontend clients
{binds}
  default_backend be
backend be
  balance roundrobin
  http-request set-timeout server {stream}ms if {{ req.hdr(accept) -m sub text/event-stream }}
  option httpchk
  http-check send meth GET uri-lf %[srv_name,map({health})] ver HTTP/1.1 hdr Host 127.0.0.1 hdr Connection close
  default-server check
"""


class BalancerError(Exception):
    """HAProxy is missing, does not start, or does not obey."""


@dataclass(frozen=True, slots=True)
class IntendedServer:
    """The intended state of a server line."""

    mode: Mode
    weight: int
    port: int


@dataclass(frozen=True, slots=True)
class Server:
    """The state of a server line, as HAProxy states it. `status` is UP, DOWN, MAINT, …; `check` its last finding.

    `answers` and `errors` (5xx) count the server's answers since HAProxy began.
    """

    mode: Mode
    weight: int
    port: int
    status: str
    sessions: int
    check: str
    answers: int = 0
    errors: int = 0


def ask(path: str, command: str, timeout: float = 2.0) -> str:
    """Send one line to an admin socket and return the answer. Raises `OSError`."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(timeout)
        line.connect(path)
        line.sendall(command.encode() + b"\n")
        chunks = []
        while chunk := line.recv(65536):
            chunks.append(chunk)
    return b"".join(chunks).decode()


def table(path: str) -> dict[str, Server]:
    """Return every server line by name. Raises `OSError`, `BalancerError`."""
    stats, states = ask(path, "show stat be 4 -1"), ask(path, "show servers state be")
    try:
        header, *rows = stats.removeprefix("# ").strip().splitlines()
        stats_rows = [dict(zip(header.split(","), row.split(","), strict=False)) for row in rows]
        _, names, *lines = states.strip().splitlines()
        stated = [dict(zip(names.removeprefix("# ").split(), line.split(), strict=True)) for line in lines]
        by_name = {row["svname"]: row for row in stats_rows}
        return {row["srv_name"]: _server(row, by_name[row["srv_name"]]) for row in stated}
    except (KeyError, ValueError):
        raise BalancerError(f"HAProxy gives an unexpected answer: {states.strip()[:100]}") from None


def _server(state_row: Mapping[str, str], stats_row: Mapping[str, str]) -> Server:
    admin = int(state_row["srv_admin_state"])
    return Server(
        mode="maint" if admin & _MAINT else "drain" if admin & _DRAIN else "ready",
        weight=int(state_row["srv_uweight"]),
        port=int(state_row["srv_port"]),
        status=stats_row["status"],
        sessions=int(stats_row["scur"] or 0),
        check=" ".join(
            part for part in (stats_row["check_status"], stats_row["check_code"], stats_row["last_chk"]) if part
        ),
        answers=sum(int(stats_row[f"hrsp_{kind}"] or 0) for kind in _ANSWERS),
        errors=int(stats_row["hrsp_5xx"] or 0),
    )


def is_open(path: str) -> bool:
    """Return True if HAProxy accepts connections of clients. Raises `OSError`, `BalancerError`."""
    answer = ask(path, "show stat clients 1 -1")
    try:
        header, row = answer.removeprefix("# ").strip().splitlines()
        return dict(zip(header.split(","), row.split(","), strict=False))["status"] == "OPEN"
    except (KeyError, ValueError):
        raise BalancerError(f"HAProxy gives an unexpected answer: {answer.strip()[:100]}") from None


def intended_servers(state: ComponentState, laid_out: Layout) -> dict[str, IntendedServer]:
    """Return the intended server lines by name. Instances that do not run are in maintenance, with weight 0."""
    serving = {slot: [each.index for each in state.serving(slot)] for slot in laid_out.rooms}
    weights = server_weights(state.weights, {slot: len(indexes) for slot, indexes in serving.items()})
    servers = {}
    for slot, room in laid_out.rooms.items():
        slot_state = state.slots.get(slot)
        instances = {each.index: each for each in slot_state.instances} if slot_state is not None else {}
        by_index = dict(zip(serving[slot], weights.get(slot, ()), strict=True))
        for index in range(1, room + 1):
            instance = instances.get(index)
            phase = instance.phase if instance is not None else None
            mode: Mode = "ready" if phase == "serving" else "drain" if phase == "draining" else "maint"
            port = instance.port if instance is not None else state.ports[slot][index - 1]
            servers[server_name(slot, index)] = IntendedServer(mode, by_index.get(index, 0), port)
    return servers


def difference(servers: Mapping[str, Server], targets: Mapping[str, IntendedServer]) -> str | None:
    """Return a sentence on how the server lines differ from the intended ones; None if they do not."""
    found = [
        f"{name} had {kind} {getattr(servers[name], kind)} instead of {getattr(target, kind)}"
        for name, target in targets.items()
        for kind in ("mode", "weight", "port")
        if name in servers and getattr(servers[name], kind) != getattr(target, kind)
    ]
    return f"HAProxy was changed by somebody else: {', '.join(found)}; it was set back" if found else None


def shares(laid_out: Layout, servers: Mapping[str, Server]) -> dict[str, int]:
    """Return the share in percent of each slot, by the weights that HAProxy states."""
    totals = dict.fromkeys(laid_out.rooms, 0)
    for slot, room in laid_out.rooms.items():
        for index in range(1, room + 1):
            server = servers.get(server_name(slot, index))
            if server is not None and server.mode == "ready":
                totals[slot] += server.weight
    return stated_shares(totals)


def write_config(
    folder: LocalFolder, state: ComponentState, laid_out: Layout, socket_path: str, down: Collection[str] = ()
) -> Path:
    """Write the configuration for an HAProxy that is started now, and the file of health paths that it names.

    The server lines of `down` begin in maintenance.
    """
    slots = {server_name(slot, index): slot for slot, room in laid_out.rooms.items() for index in range(1, room + 1)}
    health = [f"{name} {laid_out.health[slot]}" for name, slot in slots.items()]
    lines = [
        _server_line(name, server, laid_out.checks[slots[name]], disabled=server.mode != "ready" or name in down)
        for name, server in intended_servers(state, laid_out).items()
    ]
    head = _CONFIG.format(
        socket=socket_path,
        hard_stop=HARD_STOP_SECONDS,
        binds="\n".join(f"  bind 127.0.0.1:{port}" for port in laid_out.ports),
        health=_HEALTH,
        spread=_SPREAD_MILLISECONDS,
        connect=_milliseconds(laid_out.waits.connect_timeout),
        answer=_milliseconds(laid_out.waits.answer_timeout),
        stream=_milliseconds(laid_out.waits.stream_timeout),
        keep_alive=_milliseconds(laid_out.waits.keep_alive),
        check=_milliseconds(laid_out.check_timeout),
    )
    _replace(folder.path / _HEALTH, health)
    return _replace(folder.path / "haproxy.cfg", [head + "\n".join(lines)])


def _replace(path: Path, lines: list[str]) -> Path:
    fresh = path.with_suffix(".new")
    with naming(fresh):
        fresh.write_text("\n".join(lines) + "\n")
    fresh.replace(path)
    return path


def _server_line(name: str, server: IntendedServer, check: HealthCheck, disabled: bool) -> str:
    checks = f"inter {_milliseconds(check.interval)}ms fall {check.fall} rise {check.rise}"
    return f"  server {name} 127.0.0.1:{server.port} weight {server.weight} {checks}{' disabled' * disabled}"


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def apply(path: str, servers: Mapping[str, Server], targets: Mapping[str, IntendedServer]) -> bool:
    """Make the server lines as intended; return True if any had to change. Raises `OSError`, `BalancerError`.

    Shares are raised before others are lowered, so that there is always a server with traffic. A server that leaves
    maintenance counts as down until its first check has passed.
    """
    raising: list[str] = []
    lowering: list[str] = []
    for name, target in targets.items():
        server = servers[name]
        if server.port != target.port:
            raising.append(f"set server be/{name} addr 127.0.0.1 port {target.port}")
        if server.mode != target.mode:
            changes = raising if target.mode == "ready" else lowering
            changes.append(f"set server be/{name} state {target.mode}")
            if server.mode == "maint" and target.mode == "ready":
                changes.append(f"set server be/{name} health down")
        if server.weight != target.weight:
            changes = raising if target.weight > server.weight else lowering
            changes.append(f"set server be/{name} weight {target.weight}")
    commands = raising + lowering
    for begin in range(0, len(commands), _BATCH):
        _tell(path, commands[begin : begin + _BATCH])
    return bool(commands)


def _tell(path: str, commands: Iterable[str]) -> None:
    for answer in ask(path, "; ".join(commands)).splitlines():
        if answer.strip() and not re.match(r"(no need to change|IP changed|port changed)", answer):
            raise BalancerError(f"HAProxy refused a command: {answer.strip()}")
