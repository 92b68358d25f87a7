"""The metrics tell the same story on every backend."""

from typing import Any

from release_management.projections.dora.query import NEEDED
from tests.contract.read_models import Backend
from tests.projections.dora_script import Timeline, day
from tests.projections.event_script import EventScript


def script_of() -> Timeline:
    """A skipped release, a hotfix, a canary with an incident, an old version that is kept, and two ways back."""
    timeline = Timeline()
    timeline.environment("staging", "staging")
    timeline.release("1.8.0", components=("api", "web"))
    timeline.deploy("first", 1, "1.8.0")
    timeline.release("1.8.1", {"aaaa": 1}, at=1.5, components=("api", "web"))
    timeline.release("2.0.0-rc.2", {"bbbb": 1}, at=2, components=("api", "web"))
    timeline.release("1.9.0", {"cccc": 2}, at=3, components=("api", "web"))
    timeline.deploy("d-1", 6, "1.9.0", began=4)
    timeline.incident("kept", 5, at=5)
    timeline.release("2.0.0", at=6, components=("api", "web"))
    timeline.deploy("d-2", 9, "2.0.0", began=7)
    timeline.incident("canary", 8, at=8, resolved=8.5)
    timeline.deploy("failed", 11, "2.0.0", "RolledBack", began=9.5, failing=9.6, back=10)
    timeline.incident("given-back", 10.5, at=10.5)
    timeline.deploy("back", 12, "1.9.0", reverts="d-2")
    timeline.deploy("again", 13, "1.8.0", reverts="back")
    return timeline


def test_the_story_is_the_same_on_every_store(backend: Backend) -> None:
    timeline, where = script_of(), backend.place()
    backend.projector(EventScript(timeline.log), where, *NEEDED, page=7).catch_up()
    store = backend.store(where)
    window = {"since": day(0), "until": day(30)}

    def items(metric: str) -> list[dict[str, Any]]:
        return store.ask("metrics_dora_drill", {**window, "metric": metric})

    arrived = [(item["deployment"], item["commit"], item["stated_by"]) for item in items("change_lead_time")]
    failed = {item["deployment"]: item["why"] for item in items("change_fail_rate") if item["counted"] == "numerator"}
    blamed = {
        incident["id"]: item["deployment"] for item in items("change_fail_rate") for incident in item["incidents"]
    }
    [rate] = [row for row in store.ask("metrics_dora", window) if row["metric"] == "change_fail_rate"]

    assert arrived == [
        ("first", None, None),
        ("d-1", "aaaa", "shop@1.8.1"),
        ("d-1", "cccc", "shop@1.9.0"),
        ("d-2", "bbbb", "shop@2.0.0-rc.2"),
    ]
    assert blamed == {"kept": "d-1", "canary": "d-2", "given-back": "d-2"}
    assert failed == {
        "d-1": ["incident", "reverted_after_return"],
        "d-2": ["reverted", "incident"],
        "failed": ["went_back"],
    }
    assert (rate["numerator"], rate["denominator"]) == (3, 4)
