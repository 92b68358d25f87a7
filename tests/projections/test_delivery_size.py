"""The cost of a release in the read model of delivery: its components plus its changes, not their product."""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Table

from release_management.projections.dora import delivery
from release_management.projections.dora.delivery_tables import commits
from release_management.projections.kit.projection import Key, Row
from tests.projections.dora_script import Timeline
from tests.projections.event_script import REGISTRY


class Kept:
    """Rows in memory, which says how many bytes were put of each table."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, Key], dict[str, Any]] = {}
        self.bytes: dict[str, int] = {}

    def get(self, table: Table, key: Key) -> Row | None:
        return self.rows.get((table.name, key))

    find = get

    def put(self, table: Table, key: Key, **columns: Any) -> None:
        self.rows.setdefault((table.name, key), {}).update(columns)
        self.bytes[table.name] = self.bytes.get(table.name, 0) + len(json.dumps(columns))

    def delete(self, table: Table, key: Key) -> None:
        raise NotImplementedError

    def clear(self, table: Table, first: Any) -> None:
        raise NotImplementedError


def written(components: int, changes: int) -> int:
    """The bytes that a release with so many components and changes writes about its commits."""
    told = Timeline()
    parts: Mapping[str, str] = {f"c{number}": f"1.{number}.0" for number in range(components)}
    told.release("1.0.0", {f"{number:040x}": 0 for number in range(changes)}, components=parts)
    rows = Kept()
    for recorded in told.log.read(0, 100):
        for event in REGISTRY.read(recorded, told.log.content):
            if event.fact.NAME in (delivery.PROJECTION.names or ()):
                delivery.fold(event, rows)
    return rows.bytes[commits.name]


def test_each_change_costs_the_same_however_many_components_its_release_has() -> None:
    assert written(components=500, changes=100) == written(components=1, changes=100)
    assert written(components=1, changes=200) == 2 * written(components=1, changes=100)
