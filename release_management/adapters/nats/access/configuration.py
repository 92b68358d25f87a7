"""The configuration of a nats-server that somebody else runs, as text for its file."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from release_management.adapters.nats.access.accounts import (
    Account,
    accounts,
    exports,
)
from release_management.adapters.nats.access.permissions import RESPONSE_SECONDS, Permissions
from release_management.adapters.nats.queues.streams import CLIENT_QUEUE_MEBIBYTES, MEBIBYTE

CLUSTER = "relman"
MAX_PAYLOAD_BYTES = MEBIBYTE
_STORE_BYTES = 8 * 1024 * MEBIBYTE
PING_INTERVAL = "5s"
"""A process that was stopped, but not killed, soon gets no more requests if several share them."""

_HEAD = """\
# The configuration of a nats-server (2.12 or newer) for relman, written by: relman nats-config
#
# Passwords are read from the environment of nats-server, from the variables after the $ signs. Let each be letters and
# digits that begin with a letter: nats-server takes 1234 for a number. Check it with: nats-server -t -c FILE
"""
_CLUSTER_HEAD = """\
# Every server of the cluster has this same file. $RELMAN_NATS_SERVER is its own name, and $RELMAN_NATS_ROUTES is where
# the others are: [nats://route:PASSWORD@ONE:6222, nats://route:PASSWORD@OTHER:6222]. Have the gateways
# and relays make the streams with three replicas: relman serve gateway --replicas 3, relman serve relay --replicas 3
"""


def store_bytes(clients: int) -> int:
    """Return how many bytes the streams may hold, with so many named clients."""
    return _STORE_BYTES + clients * CLIENT_QUEUE_MEBIBYTES * MEBIBYTE


def variable(user: str) -> str:
    """Return the environment variable that holds a user's password."""
    return f"RELMAN_NATS_{user.upper().replace('-', '_')}"


def configuration(executors: Iterable[str], clients: Iterable[str] = (), *, cluster: bool = False) -> str:
    """Return the file. `executors` and `clients` are names that get users; with `cluster` the servers replicate."""
    return "\n".join(_lines(executors, clients, cluster)) + "\n"


def _lines(executors: Iterable[str], clients: Iterable[str], cluster: bool) -> Iterator[str]:
    clients = tuple(clients)
    yield _HEAD + (_CLUSTER_HEAD if cluster else "")
    if cluster:
        yield "server_name: $RELMAN_NATS_SERVER"
    yield 'listen: "0.0.0.0:4222"'
    yield 'http: "127.0.0.1:8222"'
    yield f"max_payload: {MAX_PAYLOAD_BYTES}"
    yield f'ping_interval: "{PING_INTERVAL}"'
    yield "ping_max: 2"
    yield ""
    yield "jetstream {"
    yield '  store_dir: "/data"'
    yield f"  max_file_store: {store_bytes(len(clients))}"
    yield "  # What is acknowledged is on the disk."
    yield "  sync_interval: always"
    yield "}"
    yield ""
    if cluster:
        yield "cluster {"
        yield f"  name: {CLUSTER}"
        yield '  listen: "0.0.0.0:6222"'
        yield "  routes: $RELMAN_NATS_ROUTES"
        yield "  authorization { user: route, password: $RELMAN_NATS_ROUTE }"
        yield "}"
        yield ""
    yield "accounts {"
    everybody = accounts(executors, clients)
    for name, account in everybody.items():
        yield f"  {json.dumps(name)}: {{"
        yield from _account(account, list(exports(name, everybody)))
        yield "  }"
    yield "}"


def _account(account: Account, exported: Iterable[dict[str, Any]]) -> Iterator[str]:
    if account.jetstream:
        yield "    jetstream: enabled"
    yield "    users: ["
    for user, permissions in account.users.items():
        yield from _user(user, permissions)
    yield "    ]"
    for verb, ways in (("exports", list(exported)), ("imports", list(account.imports()))):
        if ways:
            yield f"    {verb}: ["
            yield from (f"      {json.dumps(way)}" for way in ways)
            yield "    ]"


def _user(user: str, permissions: Permissions) -> Iterator[str]:
    yield f"      {{ user: {json.dumps(user)}, password: ${variable(user)}, permissions: {{"
    yield from _allowed("publish", permissions.publish)
    yield from _allowed("subscribe", permissions.subscribe)
    if permissions.responds:
        yield f'        allow_responses: {{ max: 1, expires: "{RESPONSE_SECONDS}s" }}'
    yield "      } }"


def _allowed(verb: str, subjects: Iterable[str]) -> Iterator[str]:
    yield f"        {verb}: {{ allow: ["
    yield from (f"          {json.dumps(subject)}" for subject in subjects)
    yield "        ] }"
