"""Deployments on a running `up`: every way that they can go. Each test has an application of its own."""

from typing import Any

import pytest

from release_management import Deployment, Refused
from tests.acceptance.installation import (
    Installation,
    canary,
    until,
)

GOOD, ILL, BROKEN = "--delay=0", "--fail", "--nonsense"


class Shop:
    """An application with environment `staging`, and 1.0.0 running there unless told otherwise."""

    def __init__(self, running: Installation, name: str, *components: str, first: bool = True, **settings: Any) -> None:
        self.up = running
        self.name = name
        self.parts = components or ("web",)
        self.manager = running.manager(name)
        target = running.target(*self.parts, arguments=["{artifact}"], **settings)
        self.environment = f"staging-{name}"
        self.manager.configure_environments({self.environment: target})
        if first:
            assert self.go("1.0.0").succeeded

    def release(self, version: str, **artifacts: str) -> str:
        parts = [{"name": part, "artifact": artifacts.get(part, GOOD)} for part in self.parts]
        return self.manager.create_release(version, parts).ref

    def begin(
        self, version: str, strategy: str = "recreate", *, artifacts: dict[str, str] | None = None, **options: Any
    ) -> Deployment:
        return self.manager.deploy(self.release(version, **(artifacts or {})), self.environment, strategy, options)

    def go(self, version: str, strategy: str = "recreate", **options: Any) -> Deployment:
        return self.manager.wait(self.begin(version, strategy, **options), 30)

    def shares(self, component: str = "web") -> dict[str, int]:
        return self.up.shares(self.environment, self.name, component)

    def runs(self, component: str = "web") -> list[tuple[str, str]]:
        """The versions that run, with their roles, once the projections have taken in the log as it is now."""
        question = {"environment": self.environment}
        rows = self.manager._backend.query("running", question, self.up.log.last_position())
        return [(row["version"], row["role"]) for row in rows if row["replicas"] and row["component"] == component]


def test_an_aborted_canary_leaves_all_traffic_on_the_stable_version(running: Installation) -> None:
    shop = Shop(running, "abort")
    going = shop.go("1.1.0", "canary", **canary(25, 50, pause=None))
    assert (going.phase, going.weight, shop.shares()) == ("Paused", 25, {"1.0.0": 75, "1.1.0": 25})

    shop.manager.abort(going, reason="enough")

    assert running.ended(going.id) == "rolled_back"
    assert shop.shares() == {"1.0.0": 100}
    assert shop.runs() == [("1.0.0", "stable")]
    assert shop.manager.abort(going).phase == "RolledBack"
    assert running.facts(going.id).count("aborting") == 1


def test_a_canary_is_promoted_by_one_step_however_often_it_is_said_and_then_in_full(running: Installation) -> None:
    shop = Shop(running, "promote")
    going = shop.go("1.1.0", "canary", **canary(20, 40, 60, 80, pause=None))
    shop.manager.promote(going)
    shop.manager.promote(going)
    twice = shop.manager.wait(going)
    assert (twice.phase, twice.weight) == ("Paused", 40)

    shop.manager.promote(twice, full=True)

    assert running.ended(going.id) == "succeeded"
    assert shop.shares() == {"1.1.0": 100}
    actions = [data["action"] for data in running.data(going.id, "step_started")]
    routed = [action["weights"] for action in actions if action["verb"] == "route"]
    assert [sorted(weights.values()) for weights in routed] == [[20, 80], [40, 60], [0, 100]]
    until(lambda: shop.manager.deployment(going).phase == "Succeeded")
    assert shop.manager.promote(going).phase == "Succeeded"


def test_a_succeeded_deployment_is_rolled_back_by_a_new_one(running: Installation) -> None:
    shop = Shop(running, "rollback")
    shop.manager.configure_deployment_strategy("blue-green", {"scale_down_delay": 0})
    second = shop.go("1.1.0")

    back = shop.manager.rollback(second, reason="the numbers are wrong")

    assert (back.reverts, back.version, back.strategy) == (second.id, "1.0.0", "blue-green")
    assert running.ended(back.id) == "succeeded"
    assert shop.shares() == {"1.0.0": 100}
    with pytest.raises(Refused, match="is not what runs on main in staging-rollback any more; roll back the newest"):
        shop.manager.rollback(second)
    with pytest.raises(
        Refused, match=f"no version from before deployment {back.id} is left to go back to; each was rolled"
    ):
        shop.manager.rollback(back)


def test_an_unhealthy_version_fails_at_its_deadline_and_gets_no_traffic(running: Installation) -> None:
    shop = Shop(running, "ill")

    ended = shop.go("1.1.0", "canary", **canary(25), healthy_deadline=0.6, artifacts={"web": ILL})

    assert ended.phase == "RolledBack"
    assert "not healthy" in str(ended.reason)
    assert shop.shares() == {"1.0.0": 100}
    assert shop.runs() == [("1.0.0", "stable")]


def test_a_version_that_does_not_start_says_how_it_ended_and_is_retried_as_a_new_deployment(
    running: Installation,
) -> None:
    shop = Shop(running, "broken")
    failed = shop.go("1.1.0", "blue-green", artifacts={"web": BROKEN}, scale_down_delay=0, abort_scale_down_delay=0)
    assert failed.phase == "RolledBack"
    assert "exited with code 2" in str(failed.reason)
    assert "unrecognized arguments: --nonsense" in str(failed.reason)

    again = shop.manager.retry(failed)

    assert (again.retries, again.strategy) == (failed.id, "blue-green")
    assert again.id != failed.id
    assert shop.manager.wait(again).phase == "RolledBack"
    assert shop.shares() == {"1.0.0": 100}


def test_a_failed_recreate_brings_the_old_version_back(running: Installation) -> None:
    shop = Shop(running, "outage")

    ended = shop.go("1.1.0", "recreate", healthy_deadline=0.6, artifacts={"web": ILL})

    assert ended.phase == "RolledBack"
    assert shop.shares() == {"1.0.0": 100}
    assert shop.runs() == [("1.0.0", "stable")]


def test_a_pause_for_a_person_ends_at_its_deadline(running: Installation) -> None:
    shop = Shop(running, "deadline")
    going = shop.begin("1.1.0", "canary", **canary(25, pause=None, pause_deadline=0.5))

    assert running.ended(going.id) == "rolled_back"
    (aborting,) = running.data(going.id, "aborting")
    assert (aborting["cause"], aborting["reason"]) == ("deadline", "nobody promoted it before the pause's deadline")
    assert shop.shares() == {"1.0.0": 100}


def test_a_timed_pause_says_until_when_and_ends_by_itself(running: Installation) -> None:
    shop = Shop(running, "timed")
    going = shop.begin("1.1.0", "canary", **canary(25, pause=1))
    until(lambda: shop.manager.deployment(going).paused_until is not None)
    assert not shop.manager.deployment(going).awaits_person

    assert running.ended(going.id) == "succeeded"

    (resumed,) = running.data(going.id, "resumed")
    assert resumed["by"] == "system:timers"


def test_a_second_deployment_queues_behind_the_first_and_starts_after_it(running: Installation) -> None:
    shop = Shop(running, "queue")
    first = shop.go("1.1.0", "canary", **canary(25, pause=None))
    second = shop.begin("1.2.0")
    third = shop.begin("1.3.0")
    assert (second.phase, third.phase) == ("Queued", "Queued")
    assert running.data(second.id, "queued")[0]["behind"] == [first.id]
    assert f"deployment {first.id} holds or awaits" in str(second)

    assert shop.manager.abort(second).phase == "Cancelled"
    shop.manager.promote(first)

    assert running.ended(first.id) == "succeeded"
    assert running.ended(third.id) == "succeeded"
    assert shop.shares() == {"1.3.0": 100}
    assert "started" not in running.facts(second.id)
    told = [(one.stream, one.name) for one in running.records()]
    ended = told.index((f"deployment:{first.id}", "deployment.succeeded"))
    assert ended < told.index((f"deployment:{third.id}", "deployment.started"))


def test_the_next_deployment_does_not_wait_while_only_the_old_version_is_kept(running: Installation) -> None:
    shop = Shop(running, "bake")
    first = shop.begin("1.1.0", "blue-green", scale_down_delay=600)
    until(lambda: shop.manager.deployment(first).phase == "Baking")
    assert sorted(version for version, _ in shop.runs()) == ["1.0.0", "1.1.0"]

    following = shop.begin("1.2.0", "blue-green", scale_down_delay=0)

    assert f"deployment {first.id} holds" in str(following.waits_for)
    assert "begins right then" in str(following.waits_for)
    assert running.ended(following.id) == "succeeded"
    assert running.ended(first.id) == "succeeded"
    assert shop.shares() == {"1.2.0": 100}
    (resumed,) = running.data(first.id, "resumed")
    assert resumed["successor"] == following.id
    until(lambda: shop.runs() == [("1.2.0", "stable")])
    told = shop.manager.deployment(first)
    assert told.phase == "Succeeded"
    assert told.plan is not None
    why = f"ended early for deployment {following.id}"
    assert [step["reason"] for step in told.plan.steps if step.get("reason")] == [why]
    assert why in " ".join(str(told).split()), "the table may break the line"


def test_a_bake_that_begins_while_another_waits_ends_at_once(running: Installation) -> None:
    shop = Shop(running, "bake-later")
    first = shop.go("1.1.0", "canary", **canary(25, pause=None, scale_down_delay=600))
    following = shop.begin("1.2.0")
    assert following.phase == "Queued"

    shop.manager.promote(first)

    assert running.ended(following.id) == "succeeded"
    assert running.ended(first.id) == "succeeded"
    assert shop.shares() == {"1.2.0": 100}


def test_a_first_version_that_fails_leaves_nothing_and_one_that_succeeds_has_nothing_before_it(
    running: Installation,
) -> None:
    shop = Shop(running, "firstborn", first=False)

    failed = shop.go("1.0.0", healthy_deadline=0.6, artifacts={"web": ILL})
    assert failed.phase == "RolledBack"
    assert running.data(failed.id, "rolled_back") == [{"empty": True}]
    assert shop.runs() == []
    assert shop.shares() == {}

    first = shop.go("1.0.1")
    with pytest.raises(Refused, match="had succeeded there before"):
        shop.manager.rollback(first)
    with pytest.raises(Refused, match="has succeeded; to leave its version, roll it back"):
        shop.manager.abort(first)


def test_components_walk_in_lockstep_and_one_that_fails_returns_all(running: Installation) -> None:
    shop = Shop(running, "pair", "web", "api")

    going = shop.go("1.1.0", "canary", **canary(25, pause=None))
    assert shop.shares("web") == shop.shares("api") == {"1.0.0": 75, "1.1.0": 25}
    assert shop.manager.wait(shop.manager.promote(going)).succeeded
    failed = shop.go("1.2.0", "canary", **canary(25), healthy_deadline=0.6, artifacts={"api": ILL})

    assert failed.phase == "RolledBack"
    for component in ("web", "api"):
        assert shop.shares(component) == {"1.1.0": 100}
        assert shop.runs(component) == [("1.1.0", "stable")]


def test_an_abort_does_not_wait_for_health_and_neither_do_other_places(running: Installation) -> None:
    slow, quick = Shop(running, "slow"), Shop(running, "quick", first=False)
    going = slow.begin("1.1.0", "canary", artifacts={"web": ILL}, **canary(25, healthy_deadline=300))
    until(lambda: running.facts(going.id).count("step_started") == 2)
    assert quick.go("1.0.0").succeeded

    slow.manager.abort(going)

    assert running.ended(going.id, within=10) == "rolled_back"
    assert slow.shares() == {"1.0.0": 100}
    assert slow.runs() == [("1.0.0", "stable")]


def test_a_deployed_process_that_dies_is_started_again(running: Installation) -> None:
    shop = Shop(running, "keeper")
    state = running.component(shop.environment, "keeper", "web").load()
    (victim,) = [each.process for stand in state.slots.values() for each in stand.instances]
    assert victim is not None
    assert victim.pid is not None
    running.end(victim.pid)

    def restarted() -> bool:
        state = running.component(shop.environment, "keeper", "web").load()
        (now,) = [each.process for stand in state.slots.values() for each in stand.instances]
        return now is not None and now.pid not in (None, victim.pid)

    until(restarted)
    until(lambda: shop.shares() == {"1.0.0": 100})


def test_replicas_share_the_traffic_of_their_version(running: Installation) -> None:
    shop = Shop(running, "many", replicas=2)

    going = shop.go("1.1.0", "rolling", max_surge=1, max_unavailable=0)

    assert going.succeeded
    assert shop.shares() == {"1.1.0": 100}
    assert [row.replicas for row in shop.manager.environment(shop.environment).running if row.replicas] == [2]


def test_closing_accounts_at_the_end(running: Installation) -> None:
    """Whatever the tests above did: no place was held by two, and the projections are as a rebuild makes them."""
    holders: dict[str, str] = {}
    for record in running.records():
        if record.name == "place.locked":
            assert record.stream not in holders
            holders[record.stream] = record.name
        elif record.name == "place.unlocked":
            del holders[record.stream]
    running.projections_equal_a_rebuild()
