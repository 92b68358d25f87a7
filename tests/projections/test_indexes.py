"""Frequent queries use an index, however long the history is."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.dialects import sqlite

from release_management.adapters.read_model import Projector
from release_management.projections.kit.query import Query
from release_management.projections.queries import QUERIES
from tests.projections.event_script import REGISTRY, EventScript


@pytest.fixture
def path(script: EventScript, tmp_path: Path) -> Path:
    script.planned("d-1")
    where = tmp_path / "read.db"
    projector = Projector(script.log, REGISTRY, where)
    projector.catch_up()
    for name in ("approvals", "deployments", "incidents", "trail"):
        projector.rebuild(name)
    projector.close()
    return where


def how(path: Path, name: str, **params: Any) -> list[str]:
    """SQLite's plan for a query."""
    query = QUERIES[name]
    assert isinstance(query, Query)
    selected = query.select(query.params(**params))
    text = str(selected.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
    with closing(sqlite3.connect(path)) as connection:
        return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text}")]


@pytest.mark.parametrize(
    ("name", "params", "by"),
    [
        ("deployments", {"active": True}, "ended=?"),
        ("approvals", {"waiting": True}, "phase=?"),
        ("deployments", {"active": True, "application": "shop"}, "application=? AND phase=?"),
        ("deployments", {"active": True, "environment": "production"}, "environment=? AND phase=?"),
        ("incidents", {"open": True}, "resolved_at=?"),
        ("incidents", {"open": True, "application": "shop"}, "application=? AND resolved_at=?"),
        ("trail", {"application": "shop"}, "application=?"),
        ("trail", {"environment": "production"}, "environment=?"),
        ("trail", {"refused": True}, "refused=?"),
        ("trail", {"refused": False}, "refused=?"),
        ("trail", {"application": "shop", "before": 1000}, "application=? AND position<?"),
    ],
)
def test_an_index_finds_it(path: Path, name: str, params: dict[str, Any], by: str) -> None:
    found, *rest = how(path, name, **params)

    assert found.startswith(f"SEARCH {name} USING INDEX")
    assert found.endswith(f"({by})")
    if name == "trail" or params in ({"active": True}, {"waiting": True}):
        assert rest == [], "rows that are found in order are not sorted"
