"""Requests to JetStream that a client needs to follow the events, and hostile variants."""

import json
import random
from typing import Any

from chaos.hostile import values
from release_management.adapters.nats.queues import streams

API = "$JS.API"
CONFIGURED: tuple[tuple[str, str], ...] = (
    ("name", '"hostile"'),
    ("durable_name", '"hostile"'),
    ("deliver_subject", '"relman.commands.release.create"'),
    ("deliver_subject", '"_INBOX.a"'),
    ("deliver_group", '"projectors"'),
    ("deliver_policy", '"by_start_sequence"'),
    ("opt_start_seq", "18446744073709551615"),
    ("opt_start_time", '"0001-01-01T00:00:00Z"'),
    ("ack_policy", '"explicit"'),
    ("ack_wait", "1"),
    ("max_deliver", "-1"),
    ("backoff", "[1,1,1]"),
    ("filter_subject", '"relman.commands.>"'),
    ("filter_subjects", json.dumps([f"relman.events.{n}" for n in range(300)])),
    ("replay_policy", '"original"'),
    ("rate_limit_bps", "1"),
    ("sample_freq", '"100"'),
    ("max_waiting", "1000000"),
    ("max_ack_pending", "1000000000"),
    ("flow_control", "true"),
    ("idle_heartbeat", "100000000"),
    ("headers_only", "true"),
    ("max_batch", "1000000"),
    ("max_expires", "9223372036854775807"),
    ("inactive_threshold", "9223372036854775807"),
    ("num_replicas", "5"),
    ("mem_storage", "true"),
    ("metadata", '{"a":"b"}'),
    ("priority_groups", '["a"]'),
    ("pause_until", '"2999-01-01T00:00:00Z"'),
)


def asked(chance: random.Random) -> tuple[str, bytes]:
    """Return a request about the events' stream or another one, perhaps malformed."""
    name = chance.choice(
        ("hostile", "client-1", "client-honest-1", "gateway", "local", "a" * 300, "é", "x.y", "*", ">")
    )
    stream = chance.choice((streams.EVENTS, streams.EVENTS, streams.EVENTS, streams.COMMANDS, streams.DEAD))
    verb = chance.choice(
        (
            f"CONSUMER.CREATE.{stream}",
            f"CONSUMER.CREATE.{stream}.{name}",
            f"CONSUMER.CREATE.{stream}.{name}.relman.events.>",
            f"CONSUMER.DURABLE.CREATE.{stream}.{name}",
            f"CONSUMER.DELETE.{stream}.{name}",
            f"CONSUMER.INFO.{stream}.{name}",
            f"CONSUMER.MSG.NEXT.{stream}.{name}",
            f"STREAM.MSG.GET.{stream}",
            f"DIRECT.GET.{stream}",
            f"STREAM.INFO.{stream}",
            f"STREAM.PURGE.{stream}",
            f"STREAM.DELETE.{stream}",
            "STREAM.NAMES",
            "INFO",
        )
    )
    return f"{API}.{verb}", _body(stream, chance)


def consumer(name: str, stream: str = streams.EVENTS) -> tuple[str, bytes]:
    """Return the request for one durable consumer, as any client may make it."""
    config = {"durable_name": name, "ack_policy": "explicit", "deliver_policy": "all"}
    return f"{API}.CONSUMER.DURABLE.CREATE.{stream}.{name}", json.dumps(
        {"stream_name": stream, "config": config}
    ).encode()


def _body(stream: str, chance: random.Random) -> bytes:
    if chance.random() < 0.2:
        return values.written(chance).encode("utf-8", "surrogatepass")
    config = ",".join(f'"{name}":{value}' for name, value in chance.sample(CONFIGURED, chance.randint(0, 6)))
    whole: dict[str, Any] = {
        "stream_name": stream,
        "config": None,
        "batch": chance.choice((1, 10**6)),
        "expires": chance.choice((1, 10**9, 2**63 - 1)),
        "seq": chance.choice((0, 1, 2**63)),
        "last_by_subj": "relman.events.>",
    }
    fields = {name: value for name, value in whole.items() if chance.random() < 0.6}
    return values.members({**fields, "config": None}, {"config": f"{{{config}}}"})
