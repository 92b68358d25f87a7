"""Lists are pages: none is longer than a message, nothing is skipped or doubled, on every backend."""

import base64
import json
from typing import Any

import pytest

from release_management.adapters.read_model import BadQueryError, ReadStore
from release_management.domain.deployment.decide import Start
from release_management.domain.environment import (
    ApprovalRule,
    EnvironmentConfigured,
    Target,
    TargetConfigured,
)
from release_management.domain.incident import IncidentOpened
from release_management.domain.place_events import PlaceSlotProvisioned
from release_management.domain.plan.builder import RolloutTarget
from release_management.domain.plan.compiler import compile_plan
from release_management.domain.plan.strategies import parse_options
from release_management.domain.policy import PolicyVersionsConfigured
from release_management.domain.release import (
    Change,
    ReleaseChangesAdded,
    ReleaseCreated,
)
from release_management.projections.queries import QUERIES
from release_management.services.paging.cutting import (
    PAGE_BYTES,
    cut,
    length,
)
from release_management.services.paging.pages import Page, read
from tests.contract.read_models import Backend, busy
from tests.projections.event_script import (
    ANN,
    DIGEST,
    EventScript,
    binding,
    component,
    sealed,
)

LONG = "x" * 500
WINDOW = {"since": "2026-11-20T00:00:00Z", "until": "2026-12-20T00:00:00Z"}
"""The window of the stories."""


def same(value: Any) -> Any:
    return value


class Pages:
    """The read models of a story, asked page by page."""

    def __init__(self, backend: Backend, script: EventScript) -> None:
        where = backend.place()
        self.script, self.projector, self.store = script, backend.projector(script, where), backend.store(where)
        self.given: list[Page] = []

    def page(self, query: str, params: dict[str, Any]) -> Page:
        """One page, which is never longer than it may be."""
        self.projector.catch_up()
        found = cut(self.store.page(query, params, self.script.log.last_position()), same)
        assert length(found.rows) < PAGE_BYTES + 1000
        self.given.append(found)
        return found

    def all(self, query: str, **params: Any) -> list[dict[str, Any]]:
        """All rows, of as many pages as there are."""
        self.given.clear()
        return list(read(lambda asked: self.page(query, asked), params))


@pytest.fixture
def pages(backend: Backend, script: EventScript) -> Pages:
    return Pages(backend, script)


def environment(script: EventScript, name: str, order: int) -> None:
    fact = EnvironmentConfigured(name=name, label=name, tier="production", order=order, approval=ApprovalRule())
    script.tell(f"environment:{name}", fact)


def runs(script: EventScript, environment: str, name: str = "web") -> None:
    fact = PlaceSlotProvisioned(deployment="d-1", component=name, slot="blue", content=component(name), replicas=1)
    script.tell(f"place:{environment}/shop/main", fact)


def ordinary(store: ReadStore, query: str, params: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a query's answer without pages."""
    return store.ask(query, params)


PAGED: dict[str, dict[str, Any]] = {
    **{name: {} for name, query in QUERIES.items() if "limit" in query.params.model_fields},
    "steps": {"deployment": "d-1"},
    "metrics_dora_drill": {**WINDOW, "metric": "change_lead_time"},
}


def test_every_list_in_pages_of_any_size_is_the_list(pages: Pages) -> None:
    script = pages.script
    for number in range(7):
        environment(script, f"e-{number}", number // 3)
        runs(script, f"e-{number}")
        incident = IncidentOpened(
            incident=f"i-{number}",
            application="shop",
            environment="production",
            title=sealed("broken"),
            detected_at=script.now,
            attribution="inferred",
        )
        script.tell(f"incident:i-{number}", incident)
        script.tell(f"policy:app-{number}", PolicyVersionsConfigured(versions="any"))
    environment(script, "production", 9)
    script.release("1.0.0")
    busy(script, [0, 1, 2, 9, 8, 0, 1, 2, 0, 0, 1, 1, 2, 2, 9] * 3)
    lengths = {}
    for query, params in PAGED.items():
        whole = pages.all(query, **params)
        assert whole == ordinary(pages.store, query, params), query
        for limit in (1, 2, 3):
            rows: list[dict[str, Any]] = []
            cursor: dict[str, str] = {}
            while True:
                page = pages.page(query, {**params, "limit": limit, **cursor})
                rows += page.rows
                if page.next_cursor is None:
                    break
                assert page.rows
                cursor = {"cursor": page.next_cursor}
            assert rows == whole, (query, limit)
        assert pages.all(query, **params, limit=2) == whole[:2]
        lengths[query] = len(whole)
    assert {query for query, count in lengths.items() if count < 3} <= {"pipelines", "parked"}


def test_1500_environments_with_what_runs_there(pages: Pages) -> None:
    for number in range(1500):
        environment(pages.script, f"e-{number:04}", number)
        runs(pages.script, f"e-{number:04}")

    names = [row["name"] for row in pages.all("environments")]
    assert names == [f"e-{number:04}" for number in range(1500)]
    for query in ("running", "conditions"):
        assert [row["environment"] for row in pages.all(query)] == names
        assert len(pages.given) > 2


def test_200_releases_with_80_long_changes_each(pages: Pages) -> None:
    for number in range(200):
        ref = release(pages.script, f"{number}.0.0", changes=80 if number == 199 else 1)

    assert [row["version"] for row in pages.all("releases")] == [f"{number}.0.0" for number in reversed(range(200))]
    assert len(pages.given) > 200 * 80 * 500 // PAGE_BYTES
    [whole] = pages.all("release", ref=ref)
    assert [change["commit"] for change in whole["changes"]] == commits(80)


def release(script: EventScript, version: str, changes: int = 80) -> str:
    made = ReleaseCreated(
        application="shop",
        version=version,
        author=ANN,
        components=(component("web", version),),
        changes=tuple(changed(commits(changes))),
        changelog=tuple(sealed(LONG) for _ in range(80)),
        content=DIGEST,
    )
    script.tell(f"release:shop@{version}", made)
    return f"shop@{version}"


def commits(count: int, first: int = 0) -> list[str]:
    return [f"{number:040x}" for number in range(first, first + count)]


def changed(names: list[str]) -> list[Change]:
    return [Change(commit=name, committed_at="2026-11-20T08:00:00Z", message=sealed(LONG)) for name in names]


def test_a_row_longer_than_a_page_continues_on_the_next_ones_even_if_it_grows(pages: Pages) -> None:
    ref = release(pages.script, "1.0.0", 2000)
    asked = pages.page("release", {"ref": ref})
    assert asked.unfinished
    assert len(asked.rows[0]["changes"]) < 2000
    pages.script.tell(f"release:{ref}", ReleaseChangesAdded(changes=tuple(changed(commits(3, 2000))), by=ANN))

    [whole] = read(lambda params: pages.page("release", params) if "cursor" in params else asked, {"ref": ref})

    assert [change["commit"] for change in whole["changes"]] == commits(2003)
    assert whole == ordinary(pages.store, "release", {"ref": ref})[0] | {"change_count": 2000}


def test_a_long_row_that_has_changed_meanwhile_is_to_be_read_anew(pages: Pages) -> None:
    environment(pages.script, "production", 1)
    for number in range(1, 500):
        target(pages.script, f"t-{number:04}")
    first = pages.page("environment", {"name": "production"})
    assert first.unfinished
    target(pages.script, "t-0000")

    with pytest.raises(Exception, match="has changed since its first page; begin again without one"):
        pages.page("environment", {"name": "production", "cursor": first.next_cursor})
    [whole] = pages.all("environment", name="production")
    assert [each["name"] for each in whole["targets"]] == [f"t-{number:04}" for number in range(500)]


def target(script: EventScript, name: str) -> None:
    settings = {"web": {"note": LONG * 2}}
    made = Target.model_validate({"name": name, "executor": "local", "components": settings})
    script.tell("environment:production", TargetConfigured(target=made))


def test_rows_that_come_and_go_meanwhile_neither_skip_nor_double_others(pages: Pages) -> None:
    script = pages.script
    for number in range(10):
        environment(script, f"e-{number}", number)
        script.release(f"{number}.0.0")
    seen: dict[str, list[str]] = {"environments": [], "releases": []}
    cursors: dict[str, dict[str, str]] = {query: {} for query in seen}
    for turn in range(10):
        for query, name in (("environments", "name"), ("releases", "version")):
            page = pages.page(query, {"limit": 1, **cursors[query]})
            seen[query] += [row[name] for row in page.rows]
            cursors[query] = {"cursor": page.next_cursor or ""}
        script.release(f"1{turn}.0.0")
        environment(script, f"d-{turn}", -turn)

    assert seen["environments"] == [f"e-{number}" for number in range(10)]
    assert seen["releases"] == [f"{number}.0.0" for number in reversed(range(10))]


def forged(cursor: str, content: list[Any]) -> str:
    """Another content with the check of this cursor's."""
    check = base64.urlsafe_b64decode(cursor + "==")[:8]
    return base64.urlsafe_b64encode(check + json.dumps(content).encode()).rstrip(b"=").decode()


def test_a_cursor_that_is_not_of_the_question_is_refused_with_the_reason(pages: Pages) -> None:
    for number in range(4):
        pages.script.release(f"{number}.0.0")
    ours = pages.page("releases", {"limit": 1}).next_cursor or ""
    others = pages.page("trail", {"limit": 1}).next_cursor
    assert 0 < len(ours) < 100
    wrong = [others, ours[:-2], f"x{ours}", "abc", "A" * 1999, forged(ours, [1, "", ""]), forged(ours, [None])]
    for each in wrong:
        with pytest.raises(BadQueryError, match="cursor: it is none of the query releases with these parameters; give"):
            pages.page("releases", {"cursor": each})
    with pytest.raises(BadQueryError, match="none of the query releases with these parameters"):
        pages.page("releases", {"cursor": ours, "application": "shop"})
    for cursor in ("", "ü", "x" * 2001, 7, "a b"):
        with pytest.raises(BadQueryError, match="query releases: cursor: "):
            pages.page("releases", {"cursor": cursor})
    assert [row["version"] for row in pages.page("releases", {"cursor": ours, "limit": 2}).rows] == ["2.0.0", "1.0.0"]


def long_deployment(script: EventScript, targets: int) -> None:
    names = [f"t-{number}" for number in range(targets)]
    stands = [RolloutTarget(target=name, component="web", serving=True, replicas=2) for name in names]
    plan = compile_plan(parse_options("recreate", {}), "1.0.0", stands)
    script.planned("d-1", plan=plan, digest=plan.digest, targets=tuple(names))
    script.requested("d-1")
    bindings = tuple(binding().model_copy(update={"target": name}) for name in names)
    script.walk("d-1", script.decided("d-1", Start(bindings)))


def test_a_deployment_that_is_longer_than_a_page_is_read_whole_while_it_moves(pages: Pages) -> None:
    long_deployment(pages.script, 200)
    asked = pages.page("deployment", {"id": "d-1"})
    assert asked.unfinished

    def moving(params: dict[str, Any]) -> Page:
        if "cursor" not in params:
            return asked
        pages.script.reported("d-1")
        return pages.page("deployment", params)

    [whole] = read(moving, {"id": "d-1"})

    now = ordinary(pages.store, "deployment", {"id": "d-1"})[0]
    assert [step["step"] for step in whole["steps"]] == [step["step"] for step in now["steps"]]
    assert whole["plan"] == now["plan"]
    seen = max(step["position"] for step in asked.rows[0]["steps"])
    moved = pages.all("steps", deployment="d-1", changed_after=seen)
    assert [step["position"] for step in moved] == sorted(step["position"] for step in moved)
    for step in moved:
        whole["steps" if step["leg"] == "forward" else "rollback"][step["step"]].update(step)
    assert {(it["step"], it["status"]) for it in whole["steps"]} == {(it["step"], it["status"]) for it in now["steps"]}
