"""What a deployment's facts mean for its places."""

from release_management.domain.deployment.effects import doubts, effects
from release_management.domain.deployment.events import DeploymentStepStarted, DeploymentStepSucceeded
from release_management.domain.deployment.state import Deployment
from release_management.domain.place_events import (
    PlaceEvent,
    PlacePromoted,
    PlaceSlotDoubted,
    PlaceSlotProvisioned,
    PlaceSlotRetired,
    PlaceTrafficIntended,
    PlaceTrafficObserved,
)
from release_management.domain.plan.step import OrderedStep
from tests.domain.build import (
    DEPLOYMENT,
    NOW,
    binding,
    component,
    given,
    plan,
    started,
)

SWITCH = plan("blue-green", {"scale_down_delay": 0})
"""0 provision the candidate, 1 await it, 2 route all to it, 3 promote it, 4 retire the stable version."""
BEGUN = started(SWITCH)


def done(step: int, observed: dict[str, int] | None = None) -> DeploymentStepSucceeded:
    wave = SWITCH.forward[step].wave
    return DeploymentStepSucceeded(leg="forward", step=step, attempt=1, wave=wave, observed=observed, observedat=NOW)


def ordered(step: int) -> DeploymentStepStarted:
    planned = SWITCH.forward[step]
    assert isinstance(planned, OrderedStep)
    return DeploymentStepStarted(
        leg="forward",
        step=step,
        attempt=1,
        wave=planned.wave,
        environment="production",
        application="shop",
        target="main",
        component="api",
        executor="local",
        action=planned.action(binding()),
        deadline=NOW,
    )


def test_a_step_that_is_done_says_what_is_true_of_its_place_with_the_fence_of_its_order() -> None:
    about = {"deployment": DEPLOYMENT, "component": "api"}

    def known(step: int, observed: dict[str, int] | None = None) -> list[tuple[str, PlaceEvent]]:
        return list(effects(BEGUN, done(step, observed), fence=9))

    provisioned = PlaceSlotProvisioned(
        **about, slot="green", content=component(), replicas=4, fence=9, configuration=binding().configuration
    )
    shares = {"blue": 0, "green": 100}
    assert known(0) == [("main", provisioned)]
    assert known(1) == []
    assert known(2, shares) == [
        ("main", PlaceTrafficObserved(**about, weights=shares, observedat=NOW, fence=9)),
    ]
    assert known(3) == [("main", PlacePromoted(**about, slot="green"))]
    assert known(4) == [("main", PlaceSlotRetired(**about, slot="blue", fence=9))]


def test_traffic_that_nobody_stated_is_not_known() -> None:
    assert list(effects(BEGUN, done(2))) == []


def test_shares_are_wanted_as_soon_as_they_are_ordered_and_nothing_else_is() -> None:
    wanted = PlaceTrafficIntended(deployment=DEPLOYMENT, component="api", weights={"blue": 0, "green": 100})
    assert list(effects(BEGUN, ordered(2))) == [("main", wanted)]
    assert [list(effects(BEGUN, ordered(step))) for step in (0, 1, 4)] == [[], [], []]


def test_a_slot_is_in_doubt_while_its_last_order_is_not_known_to_be_done() -> None:
    in_green = PlaceSlotDoubted(deployment=DEPLOYMENT, component="api", slot="green")
    in_blue = PlaceSlotDoubted(deployment=DEPLOYMENT, component="api", slot="blue")

    def left(*facts: DeploymentStepStarted | DeploymentStepSucceeded) -> list[tuple[str, PlaceEvent]]:
        state: Deployment = given(facts, BEGUN)
        return list(doubts(state))

    assert left() == [("main", in_green)]
    assert left(done(0)) == []
    assert left(done(0), ordered(1), ordered(2)) == []
    assert left(done(0), done(1), done(2), done(3), ordered(4)) == [("main", in_blue)]
