"""What executors see, through the gateway: written once, beside the place that it is about."""

from typing import Any

from tests.services.office import Office, on_both_stores

LOOK: dict[str, Any] = {
    "environment": "staging",
    "application": "shop",
    "target": "main",
    "component": "web",
    "condition": "well",
    "slots": [{"slot": "blue", "version": "1.0.0", "condition": "well", "wanted": 1, "running": 1, "healthy": 1}],
    "by": "local",
    "fence": 1,
}
EXECUTOR = {"sender": "executor:local", "actor": "executor:local", "actorkind": "service"}


def look(office: Office, id: str | None = None, **data: Any) -> Any:
    office.clock.advance(1)
    said = {**LOOK, "observedat": office.clock.now().isoformat(), **data}
    return office.ask("place.report_condition", said, **EXECUTOR, **({"id": id} if id else {}))


def changes(office: Office) -> list[str]:
    return [record["data"]["condition"] for record in office.records("place.condition_changed")]


@on_both_stores
def test_a_change_is_recorded_once_however_often_it_is_reported(office: Office) -> None:
    office.environment()
    office.carry_out(office.deploy(office.release("1.0.0")))

    assert look(office, id="look-1").status == "accepted"
    assert look(office, id="look-2").status == "accepted"
    down = {**LOOK["slots"][0], "condition": "down", "running": 0, "healthy": 0}
    assert look(office, condition="down", reason="web1 exited with code 3", slots=[down]).status == "accepted"
    assert look(office, id="look-1", observedat="2026-11-23T09:30:01Z").status in ("repeated", "refused")

    assert changes(office) == ["well", "down"]
    [_, last] = office.records("place.condition_changed")
    assert last["subject"] == "place:staging/shop/main"
    assert last["data"]["slots"][0]["role"] == "stable"


@on_both_stores
def test_a_step_that_was_carried_out_outdates_every_look_from_before_it(office: Office) -> None:
    office.environment()
    office.carry_out(office.deploy(office.release("1.0.0")))

    look(office, fence=0, condition="down")

    assert changes(office) == []
