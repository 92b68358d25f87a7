"""Holdings: what an executor has only once, and which component has it."""

from release_management.domain.holdings import (
    HOLDINGS,
    Hold,
    Holdings,
    HoldingsChanged,
    decide,
    describe,
)
from tests.domain.specification import Given, Specification

WEB = "staging/shop/main/web"
API = "staging/shop/main/api"


SPECIFICATION = Specification(HOLDINGS, decide, None)


def held(*changes: tuple[str, str, tuple[str, ...]]) -> Given[Hold, Holdings, None, HoldingsChanged]:
    holdings = SPECIFICATION.given()
    for holder, executor, things in changes:
        holdings = holdings.when(Hold(holder, executor, things)).after
    return holdings


def test_a_component_has_what_it_was_given_last() -> None:
    state = held((WEB, "local", ("port 1", "port 2")), (WEB, "local", ("port 2",))).state

    assert state.held(WEB, "local") == {"port 2"}
    assert state.holders() == {"local: port 2": (WEB,)}


def test_claiming_again_changes_nothing() -> None:
    held((WEB, "local", ("port 1",))).when(Hold(WEB, "local", {"port 1"})).then_nothing()
    held().when(Hold(WEB, "local", set())).then_nothing()


def test_a_component_without_claims_is_forgotten() -> None:
    assert held((WEB, "local", ("port 1",)), (WEB, "local", ())).state == Holdings()


def test_each_executor_has_things_of_its_own() -> None:
    holdings = held((WEB, "local", ("port 1",)), (API, "command", ("port 1",)), (WEB, "command", ("name web",)))
    state = holdings.state

    assert state.held(WEB, "local") == {"port 1"}
    assert state.held(WEB, "command") == {"name web"}
    assert state.holders()["command: port 1"] == (API,)
    assert holdings.when(Hold(WEB, "local", ())).after.state.held(WEB, "command") == {"name web"}


def test_a_change_names_the_component_and_its_things_in_order() -> None:
    held().when(Hold(WEB, "local", {"port 2", "port 1"})).then(
        HoldingsChanged(
            environment="staging",
            application="shop",
            target="main",
            component="web",
            executor="local",
            things=("port 1", "port 2"),
        )
    )
    assert describe(WEB) == "component web of shop on target main of environment staging"
