"""Holdings: what an executor has only once, and which component has it."""

from release_management.domain.holdings import (
    Holdings,
    HoldingsChanged,
    describe,
    evolve,
    hold,
)

WEB = "staging/shop/main/web"
API = "staging/shop/main/api"


def held(*changes: tuple[str, str, tuple[str, ...]]) -> Holdings:
    state = Holdings()
    for holder, executor, things in changes:
        for fact in hold(state, holder, executor, things):
            state = evolve(state, fact)
    return state


def test_a_component_has_what_it_was_given_last() -> None:
    state = held((WEB, "local", ("port 1", "port 2")), (WEB, "local", ("port 2",)))

    assert state.held(WEB, "local") == {"port 2"}
    assert state.holders() == {"local: port 2": (WEB,)}


def test_claiming_again_changes_nothing() -> None:
    assert hold(held((WEB, "local", ("port 1",))), WEB, "local", {"port 1"}) == []
    assert hold(Holdings(), WEB, "local", set()) == []


def test_a_component_without_claims_is_forgotten() -> None:
    assert held((WEB, "local", ("port 1",)), (WEB, "local", ())) == Holdings()


def test_each_executor_has_things_of_its_own() -> None:
    state = held((WEB, "local", ("port 1",)), (API, "command", ("port 1",)), (WEB, "command", ("name web",)))

    assert state.held(WEB, "local") == {"port 1"}
    assert state.held(WEB, "command") == {"name web"}
    assert state.holders()["command: port 1"] == (API,)
    [fact] = hold(state, WEB, "local", ())
    assert evolve(state, fact).held(WEB, "command") == {"name web"}


def test_a_change_names_the_component_and_its_things_in_order() -> None:
    assert hold(Holdings(), WEB, "local", {"port 2", "port 1"}) == [
        HoldingsChanged(
            environment="staging",
            application="shop",
            target="main",
            component="web",
            executor="local",
            things=("port 1", "port 2"),
        )
    ]
    assert describe(WEB) == "component web of shop on target main of environment staging"
