"""Place: what runs there, who holds it, who waits."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from release_management.domain.place import (
    MAX_WAITING,
    REMEMBERED,
    Occupant,
    Place,
    PlaceEvent,
    PlaceLocked,
    PlaceOffered,
    PlacePromoted,
    PlaceQueued,
    PlaceSlotProvisioned,
    PlaceSlotRetired,
    PlaceTrafficIntended,
    PlaceTrafficObserved,
    PlaceUnlocked,
    PlaceUnqueued,
    PlaceVersionSucceeded,
    PlaceVersionWithdrawn,
    earlier,
    enqueue,
    evolve,
    free_for,
    lock,
    offer,
    release,
)
from release_management.kernel.types import Refused
from tests.domain.build import (
    DEPLOYMENT,
    NOW,
    OTHER,
    THIRD,
    component,
)
from tests.profiles import times


def given(*facts: PlaceEvent) -> Place:
    state = Place()
    for fact in facts:
        state = evolve(state, fact)
    return state


def provisioned(slot: str, version: str, replicas: int = 2) -> PlaceSlotProvisioned:
    content = component("api", version)
    return PlaceSlotProvisioned(deployment=DEPLOYMENT, component="api", slot=slot, content=content, replicas=replicas)


def promoted(slot: str) -> PlacePromoted:
    return PlacePromoted(deployment=DEPLOYMENT, component="api", slot=slot)


def test_however_many_versions_succeeded_the_newest_are_remembered() -> None:
    state = given(*(succeeded(f"{n}.0.0", f"d-{n}", api=f"{n:064}") for n in range(10 * REMEMBERED)))

    assert len(state.succeeded["api"]) == REMEMBERED
    assert back_from(state, f"d-{10 * REMEMBERED - 1}") == f"{10 * REMEMBERED - 2}.0.0"


def test_a_full_queue_is_said_to_be_full() -> None:
    state = given(*(PlaceQueued(deployment=str(number)) for number in range(MAX_WAITING)))

    assert enqueue(state, "0") == []
    with pytest.raises(Refused, match=f"{MAX_WAITING} deployments wait for this place already"):
        enqueue(state, DEPLOYMENT)


# What runs


def test_the_serving_version_is_that_of_the_stable_slot() -> None:
    state = given(provisioned("blue", "1.0.0"), promoted("blue"), provisioned("green", "2.0.0"))

    assert state.components["api"].serving == Occupant(component("api", "1.0.0"), 2)
    assert evolve(state, promoted("green")).components["api"].serving == Occupant(component("api", "2.0.0"), 2)


def test_a_stable_slot_that_was_retired_or_runs_nothing_does_not_serve() -> None:
    state = given(provisioned("blue", "1.0.0"), promoted("blue"))
    retired = PlaceSlotRetired(deployment=DEPLOYMENT, component="api", slot="blue")

    assert evolve(state, retired).components["api"].serving is None
    assert evolve(state, provisioned("blue", "1.0.0", replicas=0)).components["api"].serving is None


def test_intended_and_observed_traffic_are_kept_apart() -> None:
    state = given(
        PlaceTrafficIntended(deployment=DEPLOYMENT, component="api", weights={"blue": 90, "green": 10}),
        PlaceTrafficObserved(deployment=DEPLOYMENT, component="api", weights={"blue": 100}, observedat=NOW),
    )

    assert state.components["api"].intended == {"blue": 90, "green": 10}
    assert state.components["api"].observed == {"blue": 100}


# Where to go back to


def succeeded(version: str, deployment: str, **components: str) -> PlaceVersionSucceeded:
    return PlaceVersionSucceeded(deployment=deployment, version=version, components=components, at=NOW)


def back_from(state: Place, deployment: str, component: str = "api") -> str | None:
    return next((success.version for success in earlier(state, component, deployment)), None)


A, B, C = "a" * 64, "b" * 64, "c" * 64


def test_a_rollback_returns_to_the_newest_version_that_succeeded_and_was_not_withdrawn() -> None:
    state = given(succeeded("1.0.0", "d-1", api=A), succeeded("1.1.0", "d-2", api=B), succeeded("2.0.0", "d-3", api=C))

    assert back_from(state, "d-3") == "1.1.0"
    withdrawn = evolve(state, PlaceVersionWithdrawn(deployment=OTHER, version="1.1.0", withdrawn="d-2"))
    assert back_from(withdrawn, "d-3") == "1.0.0"


def test_each_component_goes_back_to_what_was_there_of_itself() -> None:
    state = given(succeeded("1.0.0", "d-1", web=A), succeeded("1.1.0", "d-2", api=B), succeeded("1.2.0", "d-3", web=C))

    assert back_from(state, "d-3", "web") == "1.0.0"
    assert back_from(state, "d-2", "api") is None


def test_the_same_version_with_another_configuration_is_something_to_go_back_to() -> None:
    state = given(succeeded("1.0.0", "d-1", api=A), succeeded("1.0.0", "d-2", api=B))

    assert [success.deployment for success in earlier(state, "api", "d-2")] == ["d-1"]
    withdrawn = evolve(state, PlaceVersionWithdrawn(deployment=OTHER, version="1.0.0", withdrawn="d-2"))
    assert [success.deployment for success in withdrawn.succeeded["api"]] == ["d-1"]


def test_the_running_version_is_nothing_to_go_back_to() -> None:
    state = given(succeeded("1.0.0", "d-1", api=A), succeeded("2.0.0", "d-2", api=B), succeeded("1.0.1", "d-3", api=B))

    assert back_from(state, "d-3") == "1.0.0"


def test_a_version_that_succeeds_again_is_the_newest() -> None:
    state = given(succeeded("1.0.0", "d-1", api=A), succeeded("2.0.0", "d-2", api=B), succeeded("1.0.0", "d-3", api=A))

    assert [success.deployment for success in state.succeeded["api"]] == ["d-2", "d-3"]
    assert back_from(state, "d-3") == "2.0.0"


def test_a_success_that_was_recorded_without_its_components_counts_for_all_that_the_place_knew() -> None:
    old = [PlaceVersionSucceeded(deployment=f"d-{n}", version=f"{n}.0.0") for n in (1, 2)]
    state = given(provisioned("blue", "1.0.0"), *old)

    assert back_from(state, "d-2") == "1.0.0"
    assert back_from(evolve(state, PlaceVersionWithdrawn(deployment=OTHER, version="1.0.0")), "d-2") is None


def test_without_an_earlier_version_there_is_no_way_back() -> None:
    assert back_from(given(succeeded("1.0.0", "d-1", api=A)), "d-1") is None
    assert back_from(Place(), "d-1") is None


# Who holds it, who waits


def test_the_holder_of_a_place_locks_it_once_and_does_not_queue_for_it() -> None:
    state = given(PlaceLocked(deployment=DEPLOYMENT))

    assert lock(Place(), DEPLOYMENT) == [PlaceLocked(deployment=DEPLOYMENT)]
    assert lock(state, DEPLOYMENT) == []
    assert enqueue(state, DEPLOYMENT) == []
    assert free_for(state, DEPLOYMENT)
    assert not free_for(state, OTHER)


def test_an_unlock_names_the_deployment_that_waits_longest() -> None:
    state = given(PlaceLocked(deployment=DEPLOYMENT), PlaceQueued(deployment=OTHER), PlaceQueued(deployment=THIRD))

    assert release(state, DEPLOYMENT) == [PlaceUnlocked(deployment=DEPLOYMENT, next=OTHER)]


def test_a_deployment_that_leaves_the_queue_of_a_free_place_names_the_next() -> None:
    held = given(PlaceLocked(deployment=DEPLOYMENT), PlaceQueued(deployment=OTHER), PlaceQueued(deployment=THIRD))
    free = evolve(held, PlaceUnlocked(deployment=DEPLOYMENT, next=OTHER))

    assert release(held, OTHER) == [PlaceUnqueued(deployment=OTHER)]
    assert release(free, OTHER) == [PlaceUnqueued(deployment=OTHER, next=THIRD)]
    assert release(free, THIRD) == [PlaceUnqueued(deployment=THIRD, next=OTHER)]


def test_a_deployment_that_neither_holds_a_place_nor_waits_changes_nothing() -> None:
    assert release(given(PlaceLocked(deployment=DEPLOYMENT)), OTHER) == []


def test_a_place_is_offered_to_the_one_that_waits_longest() -> None:
    held = given(PlaceLocked(deployment=DEPLOYMENT), PlaceQueued(deployment=OTHER), PlaceQueued(deployment=THIRD))

    assert offer(held) == [PlaceOffered(deployment=DEPLOYMENT, next=OTHER)]
    assert evolve(held, PlaceOffered(deployment=DEPLOYMENT, next=OTHER)) == held


def test_a_place_that_nobody_holds_or_nobody_waits_for_is_not_offered() -> None:
    assert offer(given(PlaceLocked(deployment=DEPLOYMENT))) == []
    assert offer(given(PlaceQueued(deployment=OTHER))) == []


DEPLOYMENTS = tuple(f"0193a5c2-7d7e-7000-8000-00000000000{number}" for number in range(6))
deployments = st.sampled_from(DEPLOYMENTS)


class PlaceMachine(RuleBasedStateMachine):
    """Many deployments want one place. Only who was told that it is its turn, or who asks anew, looks again."""

    def __init__(self) -> None:
        super().__init__()
        self.place = Place()
        self.arrived: list[str] = []
        self.told: set[str] = set()
        self.gone: set[str] = set()

    def _record(self, facts: list[PlaceEvent]) -> None:
        for fact in facts:
            self.place = evolve(self.place, fact)
            if isinstance(fact, PlaceUnlocked | PlaceUnqueued) and fact.next is not None:
                self.told.add(fact.next)

    @precondition(lambda self: len(self.gone) < len(DEPLOYMENTS))
    @rule(deployment=deployments)
    def it_asks(self, deployment: str) -> None:
        if deployment in self.gone:
            return
        if self.place.lock == deployment:
            assert lock(self.place, deployment) == []
        elif free_for(self.place, deployment):
            self._take(deployment)
        else:
            self._record(enqueue(self.place, deployment))
            if deployment not in self.arrived:
                self.arrived.append(deployment)
        assert enqueue(self.place, deployment) == []

    def _take(self, deployment: str) -> None:
        assert self.place.lock is None, "two hold the place"
        assert not self.arrived or self.arrived[0] == deployment, "it overtook one that waits longer"
        self._record(lock(self.place, deployment))
        assert lock(self.place, deployment) == []
        self.arrived = [one for one in self.arrived if one != deployment]
        self.told.discard(deployment)

    @precondition(lambda self: self.told)
    @rule(which=st.integers(0, 5))
    def one_that_was_told_looks_again(self, which: int) -> None:
        deployment = sorted(self.told)[which % len(self.told)]
        self.told.discard(deployment)
        if deployment in self.place.queue and free_for(self.place, deployment):
            self._take(deployment)

    @rule(deployment=deployments)
    def it_ends(self, deployment: str) -> None:
        self._record(release(self.place, deployment))
        assert release(self.place, deployment) == []
        self.arrived = [one for one in self.arrived if one != deployment]
        self.gone.add(deployment)

    @invariant()
    def the_queue_is_kept_in_the_order_of_arrival(self) -> None:
        assert list(self.place.queue) == self.arrived
        assert self.place.lock not in self.place.queue

    @invariant()
    def nobody_waits_for_a_free_place_without_knowing(self) -> None:
        if self.place.lock is None and self.place.queue:
            assert self.place.queue[0] in self.told


TestPlaceMachine = PlaceMachine.TestCase
TestPlaceMachine.settings = settings(max_examples=times(150), stateful_step_count=30)
