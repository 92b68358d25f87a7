"""Place: what runs there, who holds it, who waits."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from release_management.domain.place import PLACE, REMEMBERED, Place, earlier, free_for
from release_management.domain.place_component import Occupant
from release_management.domain.place_decisions import (
    MAX_WAITING,
    AnyPlaceCommand,
    Enqueue,
    LetGo,
    Lock,
    Offer,
    PlaceFacts,
    RememberSuccess,
    WithdrawPlaceSuccess,
    decide,
)
from release_management.domain.place_events import (
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
)
from tests.domain.build import (
    DEPLOYMENT,
    NOW,
    OTHER,
    THIRD,
    component,
)
from tests.domain.specification import Specification
from tests.profiles import times

PLACES = Specification(PLACE, decide, PlaceFacts(NOW))


def given(*facts: PlaceEvent) -> Place:
    return PLACES.given(*facts).state


def evolve(state: Place, fact: PlaceEvent) -> Place:
    return PLACES.given_state(state).then_given(fact).state


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
    full = PLACES.given(*(PlaceQueued(deployment=str(number)) for number in range(MAX_WAITING)))

    full.when(Enqueue("0")).then_nothing()
    full.when(Enqueue(DEPLOYMENT)).then_refused(f"{MAX_WAITING} deployments wait for this place already")


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


HELD = (PlaceLocked(deployment=DEPLOYMENT), PlaceQueued(deployment=OTHER), PlaceQueued(deployment=THIRD))


def test_the_holder_of_a_place_locks_it_once_and_does_not_queue_for_it() -> None:
    held = PLACES.given(PlaceLocked(deployment=DEPLOYMENT))

    PLACES.given().when(Lock(DEPLOYMENT)).then(PlaceLocked(deployment=DEPLOYMENT))
    held.when(Lock(DEPLOYMENT)).then_nothing()
    held.when(Enqueue(DEPLOYMENT)).then_nothing()
    assert free_for(held.state, DEPLOYMENT)
    assert not free_for(held.state, OTHER)


def test_an_unlock_names_the_deployment_that_waits_longest() -> None:
    PLACES.given(*HELD).when(LetGo(DEPLOYMENT)).then(PlaceUnlocked(deployment=DEPLOYMENT, next=OTHER))


def test_a_deployment_that_leaves_the_queue_of_a_free_place_names_the_next() -> None:
    held = PLACES.given(*HELD)
    free = held.then_given(PlaceUnlocked(deployment=DEPLOYMENT, next=OTHER))

    held.when(LetGo(OTHER)).then(PlaceUnqueued(deployment=OTHER))
    free.when(LetGo(OTHER)).then(PlaceUnqueued(deployment=OTHER, next=THIRD))
    free.when(LetGo(THIRD)).then(PlaceUnqueued(deployment=THIRD, next=OTHER))


def test_a_deployment_that_neither_holds_a_place_nor_waits_changes_nothing() -> None:
    PLACES.given(PlaceLocked(deployment=DEPLOYMENT)).when(LetGo(OTHER)).then_nothing()


def test_a_place_is_offered_to_the_one_that_waits_longest() -> None:
    held = PLACES.given(*HELD)
    offered = PlaceOffered(deployment=DEPLOYMENT, next=OTHER)

    held.when(Offer()).then(offered)
    assert held.then_given(offered).state == held.state


def test_a_place_that_nobody_holds_or_nobody_waits_for_is_not_offered() -> None:
    PLACES.given(PlaceLocked(deployment=DEPLOYMENT)).when(Offer()).then_nothing()
    PLACES.given(PlaceQueued(deployment=OTHER)).when(Offer()).then_nothing()


def test_what_a_deployment_means_for_it_is_recorded() -> None:
    place = PLACES.given(provisioned("blue", "1.0.0"))
    success = PlaceVersionSucceeded(deployment=DEPLOYMENT, version="1.0.0", components={"api": A}, at=NOW)

    place.when(RememberSuccess(DEPLOYMENT, "1.0.0", {"api": A})).then(success)
    withdrawn = place.then_given(success).when(WithdrawPlaceSuccess(OTHER, "1.0.0", DEPLOYMENT, ("api",)))
    assert withdrawn.after.state.succeeded == {"api": ()}


DEPLOYMENTS = tuple(f"0193a5c2-7d7e-7000-8000-00000000000{number}" for number in range(6))
deployments = st.sampled_from(DEPLOYMENTS)


class PlaceMachine(RuleBasedStateMachine):
    """Many deployments want one place. Only who was told that it is its turn, or who asks anew, looks again."""

    def __init__(self) -> None:
        super().__init__()
        self.held = PLACES.given()
        self.arrived: list[str] = []
        self.told: set[str] = set()
        self.gone: set[str] = set()

    @property
    def place(self) -> Place:
        return self.held.state

    def _do(self, command: AnyPlaceCommand) -> None:
        decision = self.held.when(command)
        self.held = decision.after
        for fact in decision.facts:
            if isinstance(fact, PlaceUnlocked | PlaceUnqueued) and fact.next is not None:
                self.told.add(fact.next)

    @precondition(lambda self: len(self.gone) < len(DEPLOYMENTS))
    @rule(deployment=deployments)
    def it_asks(self, deployment: str) -> None:
        if deployment in self.gone:
            return
        if self.place.lock == deployment:
            self.held.when(Lock(deployment)).then_nothing()
        elif free_for(self.place, deployment):
            self._take(deployment)
        else:
            self._do(Enqueue(deployment))
            if deployment not in self.arrived:
                self.arrived.append(deployment)
        self.held.when(Enqueue(deployment)).then_nothing()

    def _take(self, deployment: str) -> None:
        assert self.place.lock is None, "two hold the place"
        assert not self.arrived or self.arrived[0] == deployment, "it overtook one that waits longer"
        self._do(Lock(deployment))
        self.held.when(Lock(deployment)).then_nothing()
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
        self._do(LetGo(deployment))
        self.held.when(LetGo(deployment)).then_nothing()
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
