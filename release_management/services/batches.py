"""Split commands that are too long for one message into several. Each is safe to repeat, and so are all together."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from release_management.domain.environment import ConfigureEnvironment
from release_management.domain.release import MAX_CHANGES
from release_management.domain.release_commands import AddChanges, CreateRelease, PublishRelease
from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import Refused

BATCH_BYTES = 150_000
"""Bytes of the long part of a command, as JSON; with the rest it fits into a message."""
Sent = tuple[str, dict[str, Any]]


def in_batches(items: Sequence[Any]) -> Iterator[list[Any]]:
    """Yield the items in their order, in lists that fit into a message. An item that does not fit goes alone."""
    batch: list[Any] = []
    size = 0
    for item in items:
        length = len(json.dumps(item, ensure_ascii=False, default=str).encode())
        if batch and size + length > BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += length
    if batch:
        yield batch


def creating_release(data: Mapping[str, Any]) -> list[Sent]:
    """Return the commands that create a release.

    If its changes need several, it is a draft until it has all of them, so that it is not deployed without some.
    """
    ref = f"{data.get('application', 'default')}@{data['version']}"
    changes = list(data.get("changes", ()))
    if len(changes) > MAX_CHANGES:
        raise Refused(
            f"release {ref} would have {len(changes):,} changes and may have {MAX_CHANGES:,}; "
            "sum some up in its changelog",
            code=ErrorCode.INVALID,
        )
    first, *rest = list(in_batches(changes)) or [[]]
    if not rest:
        return [(CreateRelease.NAME, dict(data))]
    sent: list[Sent] = [(CreateRelease.NAME, {**data, "changes": first, "draft": True}), *adding_changes(ref, rest)]
    return sent if data.get("draft") else [*sent, (PublishRelease.NAME, {"release": ref})]


def adding_changes(ref: str, batches: Sequence[Sequence[Any]]) -> list[Sent]:
    """Return the commands that add changes to a release."""
    return [(AddChanges.NAME, {"release": ref, "changes": list(batch)}) for batch in batches]


def configuring_environment(data: Mapping[str, Any]) -> list[Sent]:
    """Return the commands that configure an environment; if its targets need several, the rest follows the first."""
    first, *rest = list(in_batches(list(data.get("targets", ())))) or [[]]
    if not rest:
        return [(ConfigureEnvironment.NAME, dict(data))]
    more = [(ConfigureEnvironment.NAME, {"name": data["name"], "targets": batch}) for batch in rest]
    return [(ConfigureEnvironment.NAME, {**data, "targets": first}), *more]
