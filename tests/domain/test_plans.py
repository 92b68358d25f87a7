"""Plans: what each strategy compiles to."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from release_management.domain.plan import (
    AnyStep,
    PlaceStep,
    Plan,
    Step,
)
from release_management.domain.plan.builder import RolloutTarget
from release_management.domain.plan.compiler import compile_plan
from release_management.domain.plan.plan import MAX_STEPS
from release_management.domain.plan.steps.await_healthy import AwaitHealthy
from release_management.domain.plan.steps.pause import Pause
from release_management.domain.plan.steps.promote import Promote
from release_management.domain.plan.steps.provision import Provision
from release_management.domain.plan.steps.retire import Retire
from release_management.domain.plan.steps.route import Route
from release_management.domain.plan.strategies import (
    STRATEGIES,
    StrategyName,
    parse_options,
)
from release_management.domain.plan.strategies.rolling import Rolling, surge_and_unavailable
from release_management.kernel.types import Refused
from tests.domain.build import plan, rollout
from tests.domain.scenarios import portion, strategies
from tests.profiles import times

NAMES = tuple(STRATEGIES)


def described(steps: tuple[AnyStep, ...]) -> list[str]:
    """The steps in short: one line each."""
    return [short(step) for step in steps]


def candidate_shares(compiled: Plan) -> tuple[int, ...]:
    """The candidate's traffic shares that the forward leg passes through, in order, each once."""
    shares = [step.weights.get("candidate", 0) for step in compiled.forward if isinstance(step, Route)]
    return tuple(share for at, share in enumerate(shares) if at == 0 or share != shares[at - 1])


def short(step: Step) -> str:
    match step:
        case Provision():
            return f"{step.role} {step.replicas}"
        case AwaitHealthy(again=True):
            return f"ask again {step.replicas}"
        case AwaitHealthy():
            return f"await {step.role} {step.replicas}"
        case Route():
            return f"route {step.weights.get('stable', '-')}/{step.weights.get('candidate', '-')}"
        case Pause():
            return "pause until promoted" if step.duration is None else f"pause {step.duration:g}"
        case Promote():
            return f"promote {step.role}"
        case Retire():
            return f"retire {step.role}"
        case _:
            return step.describe()


def pauses(compiled: Plan) -> list[Pause]:
    return [step for step in compiled.forward if isinstance(step, Pause)]


# Recreate


def test_recreate_stops_the_old_version_before_it_starts_the_new_one() -> None:
    compiled = plan("recreate")

    assert described(compiled.forward) == [
        "route 0/0",
        "retire stable",
        "candidate 4",
        "await candidate 4",
        "route 0/100",
        "promote candidate",
    ]
    assert described(compiled.rollback) == [
        "route 0/0",
        "retire candidate",
        "stable 4",
        "await stable 4",
        "route 100/0",
        "promote stable",
    ]


def test_recreate_does_not_bake_and_min_ready_is_what_a_version_must_last() -> None:
    compiled = plan("recreate", {"min_ready": 30, "scale_down_delay": 60})

    assert pauses(compiled) == []
    assert [step.min_ready for step in compiled.forward if isinstance(step, AwaitHealthy)] == [30]


def test_recreate_needs_one_slot_only_and_no_routes() -> None:
    compiled = plan("recreate", {}, RolloutTarget("main", "api", serving=True, slots=1, routes="none"))

    assert described(compiled.forward) == ["retire stable", "candidate 1", "await candidate 1", "promote candidate"]


# Rolling


def test_rolling_replaces_batch_by_batch_and_traffic_follows_the_replicas() -> None:
    compiled = plan("rolling", {"max_surge": 1, "max_unavailable": 0, "interval": 5}, rollout(replicas=2))

    assert described(compiled.forward) == [
        "candidate 1",
        "await candidate 1",
        "route 50/50",
        "stable 1",
        "pause 5",
        "candidate 2",
        "await candidate 2",
        "route 0/100",
        "promote candidate",
        "retire stable",
    ]
    assert described(compiled.rollback) == [
        "stable 2",
        "await stable 2",
        "route 100/0",
        "promote stable",
        "retire candidate",
    ]


def test_rolling_scales_down_first_where_it_may_not_surge() -> None:
    compiled = plan("rolling", {"max_surge": 0, "max_unavailable": 1}, rollout(replicas=2))

    assert described(compiled.forward)[:4] == ["route 100/0", "stable 1", "candidate 1", "await candidate 1"]


def test_rolling_with_percentages_that_round_to_nothing_still_finds_its_way() -> None:
    compiled = plan("rolling", {"max_surge": "0%", "max_unavailable": "1%"}, rollout(replicas=3))

    assert described(compiled.forward)[:3] == ["route 100/0", "stable 2", "candidate 1"]
    assert candidate_shares(compiled) == (0, 50, 100)


@settings(max_examples=times(250))
@given(surge=portion, unavailable=portion, replicas=st.integers(1, 24), before=st.none() | st.integers(1, 24))
def test_rolling_never_runs_too_few_nor_too_many(
    surge: str | int, unavailable: str | int, replicas: int, before: int | None
) -> None:
    options = Rolling(max_surge=surge, max_unavailable=unavailable)
    more, fewer = surge_and_unavailable(options, replicas)
    assert (more, fewer) != (0, 0)
    one = RolloutTarget("main", "api", serving=True, replicas=replicas, before=before)
    compiled = compile_plan(options, "2.0.0", [one])
    old, new, ready = one.stable_replicas, 0, 0
    least, most = min(one.stable_replicas, replicas - fewer), max(one.stable_replicas, replicas + more)
    for step in compiled.forward:
        match step:
            case Provision(role="stable", replicas=count):
                old = count
            case Provision(replicas=count):
                assert count >= new
                new = count
            case AwaitHealthy():
                ready = new
            case Route(weights=weights):
                assert weights["stable"] == 0 or old > 0
                assert weights["candidate"] == 0 or ready > 0
            case Retire():
                old = 0
            case _:
                pass
        assert old + new <= most
        assert old + ready >= least
    assert (old, ready) == (0, replicas)


# Blue-green


def test_blue_green_switches_all_traffic_at_once() -> None:
    compiled = plan("blue-green")

    assert described(compiled.forward) == [
        "candidate 4",
        "await candidate 4",
        "route 0/100",
        "promote candidate",
        "pause 30",
        "ask again 4",
        "retire stable",
    ]
    assert [step.baking for step in pauses(compiled)] == [True]
    assert described(compiled.rollback) == ["route 100/0", "promote stable", "pause 30", "retire candidate"]


def test_without_auto_promotion_blue_green_waits_for_a_person() -> None:
    compiled = plan("blue-green", {"auto_promotion": False, "pause_deadline": "1d"})

    assert described(compiled.forward)[2:4] == ["pause until promoted", "route 0/100"]
    assert pauses(compiled)[0].deadline == 86_400
    assert not pauses(compiled)[0].baking


@pytest.mark.parametrize("auto_promotion", [True, False])
def test_blue_green_waits_for_auto_promotion_seconds(auto_promotion: bool) -> None:
    compiled = plan("blue-green", {"auto_promotion": auto_promotion, "auto_promotion_seconds": "5m"})

    assert described(compiled.forward)[2:4] == ["pause 300", "route 0/100"]


def test_blue_green_previews_with_fewer_replicas() -> None:
    compiled = plan("blue-green", {"preview_replicas": 1, "auto_promotion": False, "scale_down_delay": 0})

    assert described(compiled.forward) == [
        "candidate 1",
        "await candidate 1",
        "pause until promoted",
        "candidate 4",
        "await candidate 4",
        "route 0/100",
        "promote candidate",
        "retire stable",
    ]


def test_a_preview_never_has_more_replicas_than_are_asked_for() -> None:
    assert described(plan("blue-green", {"preview_replicas": 9}).forward)[0] == "candidate 4"


# Canary


def test_a_canary_rises_from_its_initial_traffic_by_its_increment() -> None:
    compiled = plan("canary", {"initial_traffic": 5, "increment": 10, "interval": "60s"})

    assert candidate_shares(compiled) == (5, 15, 25, 35, 45, 55, 65, 75, 85, 95, 100)
    assert [step.duration for step in pauses(compiled)] == [60.0] * 10 + [30.0]
    assert described(compiled.forward)[:4] == ["candidate 4", "await candidate 4", "route 95/5", "pause 60"]
    assert described(compiled.forward)[-5:] == [
        "route 0/100",
        "promote candidate",
        "pause 30",
        "ask again 4",
        "retire stable",
    ]


@pytest.mark.parametrize(
    ("initial", "increment", "shares"),
    [(50, 50, (50, 100)), (99, 1, (99, 100)), (100, 10, (100,)), (10, 100, (10, 100)), (1, 33, (1, 34, 67, 100))],
)
def test_a_canary_always_ends_at_100(initial: int, increment: int, shares: tuple[int, ...]) -> None:
    assert candidate_shares(plan("canary", {"initial_traffic": initial, "increment": increment})) == shares


def test_a_canary_walks_its_explicit_steps() -> None:
    steps: JsonValue = [{"set_weight": 10}, {"pause": {}}, {"set_weight": 40}, {"pause": {"duration": "5m"}}]

    compiled = plan("canary", {"steps": steps, "pause_deadline": "2h"})

    assert described(compiled.forward) == [
        "candidate 4",
        "await candidate 4",
        "route 90/10",
        "pause until promoted",
        "route 60/40",
        "pause 300",
        "route 0/100",
        "promote candidate",
        "pause 30",
        "ask again 4",
        "retire stable",
    ]
    assert pauses(compiled)[0].deadline == 7200


@pytest.mark.parametrize(
    ("scale", "counts"),
    [
        ({"replicas": 2}, ["candidate 2", "candidate 8"]),
        ({"weight": 50}, ["candidate 4", "candidate 8"]),
        ({"match_traffic_weight": True}, ["candidate 1", "candidate 4", "candidate 8"]),
        ({"replicas": 20}, ["candidate 20", "candidate 8"]),
        ({"weight": 0}, ["candidate 1", "candidate 8"]),
    ],
)
def test_a_canary_scales_by_replicas_by_weight_or_with_its_traffic(
    scale: dict[str, JsonValue], counts: list[str]
) -> None:
    steps: JsonValue = [{"set_scale": scale}, {"set_weight": 10}, {"set_weight": 50}]

    compiled = plan("canary", {"steps": steps}, rollout(replicas=8))

    assert [short(step) for step in compiled.forward if isinstance(step, Provision)] == counts


def test_a_scale_later_on_holds_from_there() -> None:
    steps: JsonValue = [{"set_weight": 10}, {"set_scale": {"replicas": 2}}, {"set_weight": 50}]

    compiled = plan("canary", {"steps": steps})

    assert described(compiled.forward)[:6] == [
        "candidate 4",
        "await candidate 4",
        "route 90/10",
        "candidate 2",
        "await candidate 2",
        "route 50/50",
    ]


# First deployments, several components, what targets can do


@pytest.mark.parametrize("strategy", NAMES)
def test_the_first_deployment_goes_straight_to_100(strategy: StrategyName) -> None:
    compiled = plan(strategy, {}, rollout(serving=False))

    assert described(compiled.forward) == ["candidate 4", "await candidate 4", "route -/100", "promote candidate"]
    assert "retire candidate" in described(compiled.rollback)
    assert "stable 4" not in described(compiled.rollback)


@pytest.mark.parametrize("strategy", ["rolling", "blue-green", "canary"])
def test_the_first_deployment_says_why_no_strategy_ran(strategy: StrategyName) -> None:
    compiled = plan(strategy, {}, rollout(serving=False))

    assert compiled.notes == (f"no {strategy} for api on main: the first deployment there, nothing serves yet",)


def test_components_walk_in_lockstep() -> None:
    compiled = plan("canary", {"initial_traffic": 50, "increment": 50}, rollout("api"), rollout("web", replicas=2))

    waves: dict[int, set[str]] = {}
    for step in compiled.forward:
        if isinstance(step, PlaceStep):
            waves.setdefault(step.wave, set()).add(step.component)
    assert all(components == {"api", "web"} for components in waves.values())
    assert [step.wave for step in compiled.forward] == sorted(step.wave for step in compiled.forward)


def test_a_fresh_component_beside_a_serving_one_gets_all_its_traffic_at_once() -> None:
    compiled = plan("canary", {"initial_traffic": 50, "increment": 50}, rollout("api"), rollout("web", serving=False))

    routes = [step for step in compiled.forward if isinstance(step, Route)]
    assert {str(step.weights) for step in routes if step.component == "web"} == {"{'candidate': 100}"}
    assert [step.weights["candidate"] for step in routes if step.component == "api"] == [50, 100]
    retired = [step.component for step in compiled.forward if isinstance(step, Retire)]
    assert retired == ["api"]
    assert [s.component for s in compiled.rollback if isinstance(s, Retire)] == ["api", "web"]


@pytest.mark.parametrize("strategy", NAMES)
def test_a_plan_without_changes_is_empty(strategy: StrategyName) -> None:
    compiled = compile_plan(parse_options(strategy, {}), "2.0.0", [], ("api 2.0.0 on main is unchanged",))

    assert (compiled.forward, compiled.rollback) == ((), ())


@pytest.mark.parametrize("strategy", ["canary", "blue-green"])
def test_a_target_that_cannot_route_refuses_what_shifts_traffic(strategy: StrategyName) -> None:
    with pytest.raises(Refused) as refusal:
        plan(strategy, {}, RolloutTarget("eu", "api", serving=True, routes="none"))

    assert str(refusal.value) == (
        f"api on target eu: {strategy} shifts traffic and the target cannot; use recreate or rolling"
    )


def test_rolling_goes_without_routes() -> None:
    compiled = plan("rolling", {}, RolloutTarget("eu", "api", serving=True, replicas=2, routes="none"))

    assert not any(isinstance(step, Route) for step in (*compiled.forward, *compiled.rollback))


def test_a_target_with_certain_shares_refuses_others_and_lists_its_own() -> None:
    one = RolloutTarget("store", "app", serving=True, routes=(1, 5, 50))

    assert candidate_shares(plan("canary", {"steps": [{"set_weight": 5}, {"set_weight": 50}]}, one)) == (5, 50, 100)
    with pytest.raises(Refused) as refusal:
        plan("canary", {}, one)
    assert str(refusal.value) == "app on target store: it cannot route 15 %; it can route 0, 1, 5, 50, 100 %"


@pytest.mark.parametrize("strategy", ["rolling", "canary", "blue-green"])
def test_one_slot_is_too_few_for_two_versions(strategy: StrategyName) -> None:
    with pytest.raises(Refused) as refusal:
        plan(strategy, {}, RolloutTarget("main", "api", serving=True, slots=1))

    assert str(refusal.value) == (
        f"api on target main: {strategy} needs two slots and there is one; use recreate, or add a slot"
    )
    assert plan(strategy, {}, RolloutTarget("main", "api", serving=False, slots=1)).forward


def test_replicas_of_the_strategy_outdo_those_of_the_target_and_the_way_back_restores_what_stood() -> None:
    compiled = plan("recreate", {"replicas": 2}, RolloutTarget("main", "api", serving=True, replicas=4, before=6))

    assert "candidate 2" in described(compiled.forward)
    assert "stable 6" in described(compiled.rollback)


@pytest.mark.parametrize("count", [500, 1_000])
def test_the_default_canary_of_hundreds_of_components_is_one_plan(count: int) -> None:
    stands = [RolloutTarget("main", f"c{number}", serving=True) for number in range(count)]

    compiled = plan("canary", {"initial_traffic": 5, "increment": 10}, *stands)

    assert len(compiled.forward) == 16 * count + 11
    assert candidate_shares(compiled) == (*range(5, 100, 10), 100)


def test_a_plan_that_is_too_long_is_refused_with_the_ways_out() -> None:
    stands = [RolloutTarget("main", f"c{number}", serving=True) for number in range(1_400)]

    with pytest.raises(Refused) as refusal:
        plan("canary", {"initial_traffic": 5, "increment": 10}, *stands)

    assert str(refusal.value) == (
        "the plan has 22,411 steps and may have 20,000: deploy fewer components or targets at once, or use fewer "
        "traffic steps"
    )


def test_one_irreversible_target_makes_the_whole_plan_irreversible() -> None:
    assert plan("recreate").reversible
    assert not plan("recreate", {}, rollout(), RolloutTarget("store", "app", serving=True, reversible=False)).reversible


def test_a_step_is_described_in_one_line() -> None:
    steps = plan("canary", {"min_ready": 5, "steps": [{"set_weight": 10}, {"pause": {}}]}).forward

    assert [step.describe() for step in steps] == [
        "run 4 of the candidate version of api on main",
        "wait until 4 of api (candidate) on main are healthy for 5 s, at most 300 s",
        "route api on main: 90 % stable, 10 % candidate",
        "pause until promoted (canary step)",
        "route api on main: 0 % stable, 100 % candidate",
        "the candidate version of api on main is stable now",
        "bake 30 s (before the old version is stopped)",
        "ask again whether 4 of api (candidate) on main are healthy",
        "stop the stable version of api on main",
    ]


def test_the_same_plan_has_the_same_digest_and_another_plan_another() -> None:
    assert plan("canary").digest == plan("canary").digest
    assert plan("canary").digest != plan("canary", {"increment": 20}).digest
    assert len(plan("canary").digest) == 64


stands = st.lists(
    st.builds(
        RolloutTarget,
        target=st.sampled_from(["main", "eu"]),
        component=st.sampled_from(["api", "web", "job"]),
        serving=st.booleans(),
        replicas=st.integers(1, 9),
        slots=st.integers(2, 3),
        routes=st.sampled_from(["any", "any", "none"]),
        before=st.none() | st.integers(1, 9),
    ),
    max_size=4,
    unique_by=lambda one: (one.target, one.component),
)


@settings(max_examples=times(250))
@given(stands=stands, how=strategies)
def test_every_plan_is_whole(stands: list[RolloutTarget], how: tuple[StrategyName, dict[str, JsonValue]]) -> None:
    """Weights are whole; waves go on one by one; no more than fits; each step's way back is in the rollback."""
    strategy, options = how
    try:
        compiled = compile_plan(parse_options(strategy, options), "2.0.0", stands)
    except Refused:
        return
    assert len(compiled.forward) <= MAX_STEPS
    for leg in (compiled.forward, compiled.rollback):
        waves = list(dict.fromkeys(step.wave for step in leg))
        assert waves == list(range(len(waves)))
        for step in leg:
            if isinstance(step, Route):
                assert sum(step.weights.values()) in (0, 100)
    by = {(one.target, one.component): one for one in stands}
    last: dict[tuple[str, str], Route] = {}
    for step in compiled.forward:
        if isinstance(step, Route):
            one = by[step.target, step.component]
            last[step.target, step.component] = step
            if strategy in ("canary", "blue-green"):
                assert sum(step.weights.values()) == 100
            assert one.serving or "stable" not in step.weights
    assert all(step.weights["candidate"] == 100 for step in last.values())
    for key, one in by.items():
        undone = [short(step) for step in compiled.rollback if isinstance(step, PlaceStep) and of(step) == key]
        assert "retire candidate" in undone
        assert one.serving == ("promote stable" in undone)


def of(step: PlaceStep) -> tuple[str, str]:
    return step.target, step.component
