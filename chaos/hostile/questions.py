"""Queries that cost as much as possible, and malformed ones."""

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

from chaos.hostile import values
from release_management.adapters.nats.queues import streams
from release_management.services.queries import QUERIES

LIMITS = (1, 100, 500, 1_000, 1_001, 10_000, 2**31, 2**63, -1, 0)
WORST: Mapping[str, Callable[[random.Random], dict[str, Any]]] = {
    "trail": lambda chance: {"limit": chance.choice(LIMITS), "order": chance.choice(("newest", "oldest"))},
    "releases": lambda chance: {"limit": chance.choice(LIMITS)},
    "deployments": lambda chance: {"limit": chance.choice(LIMITS)},
    "approvals": lambda chance: {"limit": chance.choice(LIMITS)},
    "incidents": lambda chance: {"limit": chance.choice(LIMITS)},
    "steps": lambda chance: {"deployment": "0" * 36, "limit": chance.choice(LIMITS)},
    "metrics_dora": lambda chance: {"since": chance.choice(("0001-01-01", "1970-01-01", "9999-12-31", "36500d"))},
    "metrics_dora_drill": lambda chance: {"metric": "deployment_frequency", "since": "1970-01-01"},
}
AFTER = (0, 1, 10**6, 2**31, 2**63 - 1, 2**63, -1)
OFFSETS = (None, 0, 1, 60_000, 2**31, 2**63, -1)


def question(chance: random.Random) -> tuple[str, bytes]:
    """Return a query that requests as much as it may, or a little more."""
    match chance.randrange(6):
        case 0:
            return streams.ASK_DEAD_LETTERS, json.dumps({"limit": chance.choice(LIMITS)}).encode()
        case 1:
            return streams.ASK_DEAD_LETTERS, json.dumps({"id": chance.choice((1, 2, 500, 2**31, 2**63))}).encode()
        case 2:
            asked = {"sender": chance.choice(("hostile", "honest")), "id": f"honest-{chance.randrange(2_000)}"}
            return streams.ASK_OUTCOME, json.dumps(asked).encode()
        case 3:
            dataref = f"sha256:{chance.getrandbits(256):064x}"
            return streams.ASK_CONTENT, json.dumps({"dataref": dataref, "offset": chance.choice(AFTER[:5])}).encode()
        case _:
            return _query(chance)


def none(chance: random.Random) -> tuple[str, bytes]:
    """Return a malformed query: one of its members is something else."""
    asked: tuple[tuple[str, dict[str, Any]], ...] = (
        (streams.ASK_OUTCOME, {"sender": "hostile", "id": "a"}),
        (streams.ASK_CONTENT, {"dataref": f"sha256:{0:064x}", "offset": 0}),
        (streams.ASK_DEAD_LETTERS, {"limit": 10}),
        (streams.ASK_DEAD_LETTERS, {"id": 1}),
        (streams.REPLAY_DEAD_LETTERS, {"ids": [10**9]}),
        *((f"{streams.ASK_QUERY}.{name}", {"params": {}, "after": 0}) for name in QUERIES),
    )
    subject, fields = chance.choice(asked)
    return subject, values.members(fields, {chance.choice(tuple(fields)): values.written(chance)})


def flood(chance: random.Random, size: int = 1_500) -> list[tuple[str, bytes]]:
    """Return small queries with large answers, to be sent all at once."""
    asked = (
        (streams.ASK_DEAD_LETTERS, b'{"limit":1000}'),
        (f"{streams.ASK_QUERY}.trail", b'{"params":{"limit":1000}}'),
        (f"{streams.ASK_QUERY}.metrics_dora", b'{"params":{"since":"1970-01-01"}}'),
        (f"{streams.ASK_QUERY}.releases", b'{"params":{"limit":1000}}'),
        (f"{streams.ASK_QUERY}.environments", b"{}"),
    )
    return [chance.choice(asked) for _ in range(size)]


def _query(chance: random.Random) -> tuple[str, bytes]:
    name = chance.choice(tuple(QUERIES))
    params = WORST[name](chance) if name in WORST else {}
    if chance.random() < 0.3:
        params[chance.choice(("application", "environment", "release", "ref", "id", "name"))] = "hostile"
    asked: dict[str, Any] = {"params": params}
    if chance.random() < 0.3:
        asked["after"] = chance.choice(AFTER)
    if chance.random() < 0.3:
        asked["offset"] = chance.choice(OFFSETS)
    return f"{streams.ASK_QUERY}.{name}", json.dumps(asked).encode()
