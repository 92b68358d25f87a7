"""Environment: given what is known of it, when somebody configures it, then these facts or this refusal."""

import pytest
from pydantic import ValidationError

from release_management.domain.environment import (
    ENVIRONMENT,
    MAX_TARGETS,
    ApplicationEntered,
    ApprovalAwaited,
    ApprovalInput,
    ApprovalRule,
    ApprovalSettled,
    ConfigureEnvironment,
    Environment,
    EnvironmentConfigured,
    EnvironmentEvent,
    KeepEnvironment,
    Retired,
    RetireEnvironment,
    RetirementBegun,
    RetirementCancelled,
    Target,
    TargetConfigured,
)
from release_management.domain.environment_decisions import (
    EnvironmentCommand,
    EnvironmentFacts,
    NoteApplications,
    NoteWaiting,
    RetireEmpty,
    being_retired,
    decide,
)
from release_management.domain.environment_index import (
    ESTATE,
    EnvironmentListed,
    EnvironmentUnlisted,
    ListEnvironment,
    UnlistEnvironment,
)
from release_management.domain.environment_index import decide as decide_estate
from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import Unsealed, explain
from tests.domain.build import (
    ANN,
    BEN,
    DEPLOYMENT,
    OTHER,
)
from tests.domain.specification import Given, Specification

STAGING = ConfigureEnvironment(name="staging")
ENVIRONMENTS = Specification(ENVIRONMENT, decide, EnvironmentFacts(BEN, 4, {"ann": ANN, "ben": BEN}))
EnvironmentGiven = Given[EnvironmentCommand, Environment, EnvironmentFacts, EnvironmentEvent]
ESTATES = Specification(ESTATE, decide_estate, None)


def after(*commands: EnvironmentCommand) -> EnvironmentGiven:
    environment = ENVIRONMENTS.given()
    for command in commands:
        environment = environment.when(command).after
    return environment


def configured(environment: EnvironmentGiven, command: ConfigureEnvironment) -> EnvironmentConfigured:
    """What configuring it records, which is nothing else."""
    (fact,) = environment.when(command).facts
    assert isinstance(fact, EnvironmentConfigured)
    return fact


def rule(required: int, *approvers: str) -> ConfigureEnvironment:
    return ConfigureEnvironment(name="staging", approval=ApprovalInput(required=required, approvers=approvers))


def test_an_environment_is_created_with_what_its_name_suggests() -> None:
    fact = configured(ENVIRONMENTS.given(), STAGING)

    assert (fact.name, fact.label, fact.tier, fact.approval.required) == ("staging", "staging", "staging", 0)


def test_one_without_an_order_goes_to_the_end_and_stays_where_it_is() -> None:
    assert configured(ENVIRONMENTS.given(), STAGING).order == 4
    assert configured(ENVIRONMENTS.given(), ConfigureEnvironment(name="staging", order=2)).order == 2
    known = after(ConfigureEnvironment(name="staging", order=2))
    assert configured(known, ConfigureEnvironment(name="staging", label="Stage")).order == 2


def test_the_source_of_an_unstated_tier_is_recorded() -> None:
    named = after(ConfigureEnvironment(name="pre-prod")).state
    mute = after(ConfigureEnvironment(name="eu1")).state
    stated = after(ConfigureEnvironment(name="pre-prod", tier="production")).state

    assert (named.tier, named.tier_source) == ("staging", "name")
    assert (mute.tier, mute.tier_source) == ("development", "default")
    assert (stated.tier, stated.tier_source) == ("production", None)


def test_the_source_of_a_tier_is_remembered_until_a_tier_is_stated() -> None:
    before = after(ConfigureEnvironment(name="prod2"))

    kept = configured(before, ConfigureEnvironment(name="prod2", label="Two"))
    stated = configured(before, ConfigureEnvironment(name="prod2", tier="production"))

    assert (kept.tier, kept.tier_source) == ("production", "name")
    assert (stated.tier, stated.tier_source) == ("production", None)


def test_production_asks_for_one_approval_by_somebody_else_unless_told_otherwise() -> None:
    live = ConfigureEnvironment(name="live")
    none = live.model_copy(update={"approval": ApprovalInput(required=0)})

    assert configured(ENVIRONMENTS.given(), live).approval == ApprovalRule(required=1)
    assert configured(ENVIRONMENTS.given(), none).approval.required == 0


def test_fields_that_are_not_given_stay() -> None:
    before = after(ConfigureEnvironment(name="staging", label="Stage", order=7, variables={"A": "1"}))

    fact = configured(before, ConfigureEnvironment(name="staging", tier="testing"))

    assert (fact.label, fact.order, fact.variables, fact.tier) == ("Stage", 7, {"A": "1"}, "testing")


def test_a_repeated_configuration_records_nothing() -> None:
    command = ConfigureEnvironment(name="staging", order=1, targets=(Target(name="eu"), Target(name="us")))

    after(command).when(command).then_nothing()
    after(command).when(STAGING).then_nothing()


def test_only_the_targets_that_change_are_recorded() -> None:
    before = after(ConfigureEnvironment(name="staging", targets=(Target(name="eu"), Target(name="us"))))
    changed = Target(name="us", routes="none")
    command = ConfigureEnvironment(name="staging", targets=(Target(name="eu"), changed))

    before.when(command).then(TargetConfigured(target=changed))
    assert before.when(command).after.state.targets == {"eu": Target(name="eu"), "us": changed}


def test_more_approvals_than_approvers_are_refused() -> None:
    ENVIRONMENTS.given().when(rule(2, "ann")).then_refused(
        "environment staging: 2 approvals are required of 1 approvers; name more approvers or require fewer",
        ErrorCode.INVALID,
    )


def test_an_approver_who_is_named_twice_counts_once() -> None:
    ENVIRONMENTS.given().when(rule(2, "ann", "ann")).then_refused("2 approvals are required of 1 approvers")
    assert configured(ENVIRONMENTS.given(), rule(2, "ann", "ben")).approval.approvers == (ANN, BEN)


def test_a_target_that_stands_twice_is_refused() -> None:
    command = ConfigureEnvironment(name="staging", targets=(Target(name="eu"), Target(name="eu", routes="none")))

    ENVIRONMENTS.given().when(command).then_refused(
        "environment staging: a target stands twice in eu, eu; name each once"
    )


def test_an_environment_has_only_so_many_targets() -> None:
    targets = {f"t{n}": Target(name=f"t{n}") for n in range(MAX_TARGETS)}
    full = ENVIRONMENTS.given_state(Environment(name="production", targets=targets))

    full.when(ConfigureEnvironment(name="production", targets=(Target(name="more"),))).then_refused(
        f"it would have {MAX_TARGETS + 1} targets"
    )


def test_a_slot_that_stands_twice_is_refused() -> None:
    with pytest.raises(ValidationError) as refusal:
        Target(slots=("blue", "blue"))
    assert "a slot stands twice in blue, blue; name each once" in explain(refusal.value)


# Retirement

TWO = ConfigureEnvironment(name="staging", targets=(Target(name="eu"), Target(name="us")))


def test_it_is_to_go_once_and_says_who_said_so_and_why() -> None:
    retire = RetireEnvironment(name="staging", reason="too dear")

    after(TWO).when(retire).then(RetirementBegun(by=BEN, note=Unsealed(subject=BEN, text="too dear")))
    after(TWO, retire).when(retire).then_nothing()
    after(TWO, retire).when(STAGING).then_refused("environment staging is retired; to take it back: relman env keep")


def test_one_target_is_to_go_if_there_is_one() -> None:
    retire = RetireEnvironment(name="staging", target="us")

    after(TWO).when(retire).then(RetirementBegun(target="us", by=BEN))
    after(TWO, retire).when(retire).then_nothing()
    after(TWO).when(RetireEnvironment(name="staging", target="asia")).then_refused(
        "environment staging has no target 'asia'", ErrorCode.NOT_FOUND
    )
    after(TWO, retire).when(ConfigureEnvironment(name="staging", targets=(Target(name="us"),))).then_refused(
        "target us is being retired; to keep it: relman env keep staging --target us"
    )


def test_what_is_to_go_is_kept_after_all() -> None:
    retire, keep = RetireEnvironment(name="staging"), KeepEnvironment(name="staging")

    after(TWO, retire).when(keep).then(RetirementCancelled(by=BEN))
    after(TWO, retire, keep).when(keep).then_nothing()
    after(TWO).when(KeepEnvironment(name="staging", target="asia")).then_refused("has no target 'asia'; configure it")


def test_it_is_retired_once_it_is_empty_and_so_are_its_targets() -> None:
    whole = after(TWO, RetireEnvironment(name="staging"))
    one = after(TWO, RetireEnvironment(name="staging", target="us"))

    assert (being_retired(whole.state), being_retired(one.state), being_retired(after(TWO).state)) == (
        ("eu", "us"),
        ("us",),
        (),
    )
    whole.when(RetireEmpty(["eu", "us"])).then(Retired())
    whole.when(RetireEmpty(["eu"])).then_nothing()
    one.when(RetireEmpty(["us"])).then(Retired(target="us"))
    one.when(RetireEmpty([])).then_nothing()
    after(TWO).when(RetireEmpty(["eu", "us"])).then_nothing()


# What others note


def test_an_application_that_comes_for_the_first_time_is_noted_once() -> None:
    known = after(TWO, NoteApplications(["shop"]))

    after(TWO).when(NoteApplications(["shop", "desk", "shop"])).then(
        ApplicationEntered(application="shop"), ApplicationEntered(application="desk")
    )
    known.when(NoteApplications(["shop"])).then_nothing()


def test_a_deployment_that_waits_for_approval_is_noted_until_it_waits_no_more() -> None:
    waiting = after(TWO, NoteWaiting(DEPLOYMENT, waits=True))

    after(TWO).when(NoteWaiting(DEPLOYMENT, waits=True)).then(ApprovalAwaited(deployment=DEPLOYMENT))
    waiting.when(NoteWaiting(DEPLOYMENT, waits=True)).then_nothing()
    waiting.when(NoteWaiting(DEPLOYMENT, waits=False)).then(ApprovalSettled(deployment=DEPLOYMENT))
    waiting.when(NoteWaiting(OTHER, waits=False)).then_nothing()


def test_the_estate_lists_environments_in_order() -> None:
    estate = ESTATES.given()
    for name, order in (("production", 2), ("staging", 1), ("qa", 1), ("production", 0)):
        estate = estate.when(ListEnvironment(name, order)).after

    assert estate.state.environments == ("production", "qa", "staging")
    assert estate.state.next_order == 2
    estate.when(ListEnvironment("production", 0)).then_nothing()
    estate.when(ListEnvironment("production", 9)).then(EnvironmentListed(environment="production", order=9))


def test_the_estate_lists_a_retired_environment_no_more() -> None:
    estate = ESTATES.given(EnvironmentListed(environment="qa", order=1))

    estate.when(UnlistEnvironment("qa")).then(EnvironmentUnlisted(environment="qa"))
    estate.when(UnlistEnvironment("production")).then_nothing()


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
