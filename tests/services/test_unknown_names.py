"""A question about what does not exist is refused; an answer of nothing says that there is it, and nothing of it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from release_management.adapters.read_model import (
    BadQueryError,
    Projector,
    ReadStore,
)
from tests.services.gateway_harness import (
    REGISTRY,
    GatewayHarness,
    on_both_stores,
)

Ask = Callable[..., list[dict[str, Any]]]
NOBODY = "usr_nobody000"


@pytest.fixture
def ask(harness: GatewayHarness) -> Iterator[Ask]:
    """Answers of the read models once they have taken in the whole log."""
    projector = Projector(harness.log, REGISTRY, harness.home.read_models)
    store = ReadStore(harness.home.read_models)

    def asked(query: str, **params: Any) -> list[dict[str, Any]]:
        projector.catch_up()
        return store.ask(query, params, after=harness.log.last_position())

    yield asked
    projector.close()
    store.close()


@pytest.fixture
def shop(harness: GatewayHarness) -> GatewayHarness:
    """`shop@1.0.0` exists and runs nowhere."""
    harness.environment()
    harness.release("1.0.0")
    return harness


LISTS = {
    "application": ("running", "conditions", "releases", "deployments", "incidents", "trail"),
    "environment": ("running", "conditions", "deployments", "incidents", "trail"),
    "release": ("deployments", "trail"),
    "deployment": ("approvals", "steps", "trail"),
    "type": ("trail",),
    "actor": ("trail",),
    "requested_by": ("trail",),
}
WRONG = {
    "application": ("Shpo", "application 'shpo' does not exist; did you mean 'shop'? known: shop"),
    "environment": ("stagin", "environment 'stagin' does not exist; did you mean 'staging'? known: staging"),
    "release": ("shop@1.0.1", "release 'shop@1.0.1' does not exist; did you mean 'shop@1.0.0'? known: shop@1.0.0"),
    "deployment": ("d-1", "deployment d-1 does not exist; relman deployment list shows those that do"),
    "type": ("deployment.strated", "event 'deployment.strated' does not exist; did you mean 'deployment.started'?"),
    "actor": (NOBODY, f"nobody of the id '{NOBODY}' has done anything"),
    "requested_by": (NOBODY, f"nothing was done on behalf of anybody of the id '{NOBODY}'"),
}


@on_both_stores
@pytest.mark.parametrize("name", sorted(LISTS))
def test_every_list_refuses_what_does_not_exist(shop: GatewayHarness, ask: Ask, name: str) -> None:
    value, sentence = WRONG[name]
    for query in LISTS[name]:
        with pytest.raises(BadQueryError) as refused:
            ask(query, **{name: value})
        assert str(refused.value).startswith(sentence), query


@on_both_stores
def test_of_what_exists_there_may_be_nothing(shop: GatewayHarness, ask: Ask) -> None:
    for query in ("running", "conditions", "deployments", "incidents"):
        assert ask(query, application="shop", environment="staging") == []
    assert ask("trail", type="incident", environment="staging") == []
    assert ask("deployments", release="shop@1.0.0") == []


def test_an_application_counts_from_its_first_release_or_policy_on(shop: GatewayHarness, ask: Ask) -> None:
    shop.do("policy.configure_versions", {"application": "till", "versions": "any"})

    assert ask("deployments", application="till") == []


def test_a_retired_environment_has_its_history_and_nothing_that_runs(shop: GatewayHarness, ask: Ask) -> None:
    shop.do("environment.retire", {"name": "staging"})

    assert ask("running", environment="staging") == []
    assert ask("trail", environment="staging")


def test_no_application_is_refused_while_none_is_known(harness: GatewayHarness, ask: Ask) -> None:
    harness.environment()

    assert ask("deployments", application="shop") == []


def test_the_end_of_the_pages_is_no_refusal(shop: GatewayHarness, ask: Ask) -> None:
    shop.ask("release.create", {"application": "shop", "version": "x", "components": [{"name": "web"}]})
    [refusal] = ask("trail", release="shop@x")

    assert ask("trail", release="shop@x", before=refusal["position"]) == []
    assert ask("trail", release="shop@x", order="oldest", after=refusal["position"]) == []
