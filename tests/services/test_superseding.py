"""A hotfix that cannot wait for what is on its way."""

from typing import Any

from tests.services.office import Office

CANARY: dict[str, Any] = {
    "strategy": "canary",
    "options": {"steps": [{"set_weight": 25}, {"pause": {}}], "abort_scale_down_delay": 0},
}


def test_a_hotfix_supersedes_a_running_canary_and_keeps_the_original_stable_as_its_base(office: Office) -> None:
    office.environment()
    office.carry_out(office.deploy(office.release("1.0.0")))
    canary = office.deploy(office.release("1.1.0"), **CANARY)
    for step in range(3):
        office.report(canary, step)
    assert office.facts(canary, "paused")

    hotfix = office.deploy(office.release("1.1.1"), supersede=True)

    assert office.facts(canary, "aborting")[0]["cause"] == "superseded"
    assert office.facts(hotfix, "queued")[0]["behind"] == [canary]
    while not office.facts(canary, "rolled_back"):
        started = office.facts(canary, "step_started")[-1]
        office.report(canary, started["step"], leg="rollback")
    assert office.records("place.unlocked")[-1]["data"]["next"] == hotfix
    office.do("deployment.proceed", {"deployment": hotfix})
    [binding] = office.facts(hotfix, "started")[0]["bindings"]
    assert binding["stable"]["version"] == "1.0.0"


def test_a_hotfix_goes_past_those_that_wait_before_it(office: Office) -> None:
    office.environment()
    office.carry_out(office.deploy(office.release("1.0.0")))
    running = office.deploy(office.release("1.1.0"))
    waiting = office.deploy(office.release("1.2.0"))

    hotfix = office.deploy(office.release("1.1.1"), supersede=True)

    assert office.facts(waiting, "superseded") == [{"successor": hotfix}]
    assert office.facts(running, "aborting")
    assert not office.facts(waiting, "started")


def test_without_being_asked_to_nothing_gives_way(office: Office) -> None:
    office.environment()
    running = office.deploy(office.release("1.0.0"))

    waiting = office.deploy(office.release("1.1.0"))

    assert office.facts(waiting, "queued")[0]["behind"] == [running]
    assert not office.facts(running, "aborting")
