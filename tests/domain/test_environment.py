"""Environment: given what is known of it, when somebody configures it, then these facts or this refusal."""

import pytest
from pydantic import ValidationError

from release_management.domain.environment import (
    MAX_TARGETS,
    ApprovalRule,
    ConfigureEnvironment,
    Environment,
    EnvironmentConfigured,
    EnvironmentEvent,
    Target,
    TargetConfigured,
    decide,
    evolve,
)
from release_management.domain.environment_index import (
    EnvironmentIndex,
    EnvironmentListed,
    enlist,
)
from release_management.domain.environment_index import evolve as evolve_estate
from release_management.kernel.types import Refused, explain
from tests.domain.build import ANN, BEN

STAGING = ConfigureEnvironment(name="staging")


def after(*commands: ConfigureEnvironment, approval: ApprovalRule | None = None) -> Environment:
    state = Environment()
    for command in commands:
        for fact in decide(command, state, approval):
            state = evolve(state, fact)
    return state


def only(facts: list[EnvironmentEvent]) -> EnvironmentConfigured:
    (fact,) = facts
    assert isinstance(fact, EnvironmentConfigured)
    return fact


def test_an_environment_is_created_with_what_its_name_suggests() -> None:
    fact = only(decide(STAGING, Environment(), None))

    assert (fact.name, fact.label, fact.tier, fact.approval.required) == ("staging", "staging", "staging", 0)


def test_the_source_of_an_unstated_tier_is_recorded() -> None:
    named = after(ConfigureEnvironment(name="pre-prod"))
    mute = after(ConfigureEnvironment(name="eu1"))
    stated = after(ConfigureEnvironment(name="pre-prod", tier="production"))

    assert (named.tier, named.tier_source) == ("staging", "name")
    assert (mute.tier, mute.tier_source) == ("development", "default")
    assert (stated.tier, stated.tier_source) == ("production", None)


def test_the_source_of_a_tier_is_remembered_until_a_tier_is_stated() -> None:
    before = after(ConfigureEnvironment(name="prod2"))

    kept = only(decide(ConfigureEnvironment(name="prod2", label="Two"), before, None))
    stated = only(decide(ConfigureEnvironment(name="prod2", tier="production"), before, None))

    assert (kept.tier, kept.tier_source) == ("production", "name")
    assert (stated.tier, stated.tier_source) == ("production", None)


def test_production_asks_for_one_approval_by_somebody_else_unless_told_otherwise() -> None:
    assert only(decide(ConfigureEnvironment(name="live"), Environment(), None)).approval == ApprovalRule(required=1)
    none = only(decide(ConfigureEnvironment(name="live"), Environment(), ApprovalRule(required=0)))
    assert none.approval.required == 0


def test_fields_that_are_not_given_stay() -> None:
    before = after(ConfigureEnvironment(name="staging", label="Stage", order=7, variables={"A": "1"}))

    fact = only(decide(ConfigureEnvironment(name="staging", tier="testing"), before, None))

    assert (fact.label, fact.order, fact.variables, fact.tier) == ("Stage", 7, {"A": "1"}, "testing")


def test_a_repeated_configuration_records_nothing() -> None:
    command = ConfigureEnvironment(name="staging", order=1, targets=(Target(name="eu"), Target(name="us")))

    assert decide(command, after(command), None) == []
    assert decide(STAGING, after(command), None) == []


def test_only_the_targets_that_change_are_recorded() -> None:
    before = after(ConfigureEnvironment(name="staging", targets=(Target(name="eu"), Target(name="us"))))
    changed = Target(name="us", routes="none")

    facts = decide(ConfigureEnvironment(name="staging", targets=(Target(name="eu"), changed)), before, None)

    assert facts == [TargetConfigured(target=changed)]
    assert evolve(before, facts[0]).targets == {"eu": Target(name="eu"), "us": changed}


def test_more_approvals_than_approvers_are_refused() -> None:
    rule = ApprovalRule(required=2, approvers=(ANN,))

    with pytest.raises(Refused) as refusal:
        decide(STAGING, Environment(), rule)

    assert str(refusal.value) == (
        "environment staging: 2 approvals are required of 1 approvers; name more approvers or require fewer"
    )


def test_an_approver_who_is_named_twice_counts_once() -> None:
    with pytest.raises(Refused, match="2 approvals are required of 1 approvers"):
        decide(STAGING, Environment(), ApprovalRule(required=2, approvers=(ANN, ANN)))
    assert decide(STAGING, Environment(), ApprovalRule(required=2, approvers=(ANN, BEN)))


def test_a_target_that_stands_twice_is_refused() -> None:
    command = ConfigureEnvironment(name="staging", targets=(Target(name="eu"), Target(name="eu", routes="none")))

    with pytest.raises(Refused, match="environment staging: a target stands twice in eu, eu; name each once"):
        decide(command, Environment(), None)


def test_an_environment_has_only_so_many_targets() -> None:
    state = Environment(name="production", targets={f"t{n}": Target(name=f"t{n}") for n in range(MAX_TARGETS)})

    with pytest.raises(Refused, match=f"it would have {MAX_TARGETS + 1} targets"):
        decide(ConfigureEnvironment(name="production", targets=(Target(name="more"),)), state, None)


def test_a_slot_that_stands_twice_is_refused() -> None:
    with pytest.raises(ValidationError) as refusal:
        Target(slots=("blue", "blue"))
    assert "a slot stands twice in blue, blue; name each once" in explain(refusal.value)


def test_the_estate_lists_environments_in_order() -> None:
    estate = EnvironmentIndex()
    for name, order in (("production", 2), ("staging", 1), ("qa", 1), ("production", 0)):
        for fact in enlist(name, order, estate):
            estate = evolve_estate(estate, fact)

    assert estate.environments == ("production", "qa", "staging")
    assert estate.next_order == 2
    assert enlist("production", 0, estate) == []
    assert enlist("production", 9, estate) == [EnvironmentListed(environment="production", order=9)]


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({"A": "x\0y"}, "the value of A holds a NUL"),
        ({"A=B": "1"}, "'A=B' is no variable; write letters, digits and _"),
        ({"A\0": "1"}, "is no variable"),
        ({"": "1"}, "'' is no variable"),
        ({"1A": "1"}, "'1A' is no variable"),
        ({"A-B": "1"}, "'A-B' is no variable"),
        ({"A": "ä" * 50_001}, "the value of A is longer than 100,000 bytes; write it into a file"),
        ({f"A{n}": "x" * 99_000 for n in range(11)}, "together they have 1,0"),
    ],
)
def test_variables_that_no_process_can_have_are_refused(variables: dict[str, str], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        ConfigureEnvironment(name="staging", variables=variables)

    ConfigureEnvironment(name="staging", variables={"A_1": "ä" * 50_000, "_b": ""})
