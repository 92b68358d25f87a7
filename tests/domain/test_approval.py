"""Approval: who agrees to exactly what."""

import pytest

from release_management.domain.approval import (
    APPROVAL,
    APPROVAL_SECONDS,
    AdoptRule,
    Approval,
    ApprovalCommand,
    ApprovalCompleted,
    ApprovalDenied,
    ApprovalEvent,
    ApprovalExpired,
    ApprovalFacts,
    ApprovalGranted,
    ApprovalPhase,
    ApprovalRequested,
    ApprovalRuleChanged,
    ApprovalVoided,
    AskApproval,
    ExpireApproval,
    GrantApproval,
    RefuseApproval,
    VoidApproval,
    decide,
)
from release_management.domain.environment import ApprovalRule
from release_management.kernel.errors import ErrorCode
from release_management.kernel.timestamps import later
from release_management.kernel.types import Unsealed
from tests.domain.build import (
    ANN,
    BEN,
    DEPLOYMENT,
    DIGEST,
    EVE,
    LATER,
    NOW,
)
from tests.domain.specification import Given, Specification

ID = "0193a5c2-7d7e-7000-8000-0000000000aa"
GRANT = GrantApproval(approval=ID)
REFUSE = RefuseApproval(approval=ID, note="not on a Friday")
EXPIRE = ExpireApproval(approval=ID)
VOID = VoidApproval("the plan has changed")
APPROVALS = Specification(APPROVAL, decide, ApprovalFacts(BEN, NOW))


def waiting(
    *facts: ApprovalEvent, required: int = 1, approvers: tuple[str, ...] = (), allow_self: bool = False
) -> Given[ApprovalCommand, Approval, ApprovalFacts, ApprovalEvent]:
    """An approval that was asked for, with what has happened to it since."""
    rule = ApprovalRule(required=required, approvers=approvers, allow_self=allow_self)
    requested = ApprovalRequested(
        approval=ID,
        deployment=DEPLOYMENT,
        release="shop@2.0.0",
        environment="production",
        digest=DIGEST,
        rule=rule,
        people=(ANN,),
        expires_at=LATER,
    )
    return APPROVALS.given(requested, *facts)


def test_it_is_asked_of_exactly_this_and_waits_thirty_days() -> None:
    rule = ApprovalRule(required=2)
    ask = AskApproval(ID, DEPLOYMENT, "shop@2.0.0", "production", DIGEST, rule, (ANN,))

    after = APPROVALS.given().when(ask).after.state

    assert (after.id, after.phase, after.deployment, after.rule) == (ID, ApprovalPhase.WAITING, DEPLOYMENT, rule)
    assert (after.digest, after.people, after.expires_at) == (DIGEST, (ANN,), later(NOW, APPROVAL_SECONDS))


def test_the_last_signature_completes_it() -> None:
    approval = waiting(required=2)

    first = approval.when(GrantApproval(approval=ID, note="looks good"))
    first.then(ApprovalGranted(by=BEN, note=Unsealed(subject=BEN, text="looks good")))

    first.after.when(GRANT, actor=EVE).then(ApprovalGranted(by=EVE), ApprovalCompleted(deployment=DEPLOYMENT))


def test_one_person_signs_once() -> None:
    signed = waiting(ApprovalGranted(by=BEN), required=2)

    signed.when(GRANT).then_nothing()
    signed.then_given(ApprovalExpired(deployment=DEPLOYMENT)).when(GRANT).then_nothing()


def test_nobody_approves_their_own_release_unless_the_rule_allows_it() -> None:
    waiting().when(GRANT, actor=ANN).then_refused(
        "usr_ann00001 made this release or asked for its deployment and may not approve it; somebody else must",
        ErrorCode.DENIED,
    )
    assert waiting(allow_self=True).when(GRANT, actor=ANN).facts[0] == ApprovalGranted(by=ANN)


@pytest.mark.parametrize("command", [GRANT, REFUSE])
def test_only_the_named_approvers_decide(command: ApprovalCommand) -> None:
    waiting(approvers=(BEN,)).when(command, actor=EVE).then_refused(
        "usr_eve00001 is not among the approvers of this environment; those are usr_ben", ErrorCode.DENIED
    )


def test_one_denial_ends_an_approval() -> None:
    denial = waiting().when(REFUSE)

    note = Unsealed(subject=BEN, text="not on a Friday")
    denial.then(ApprovalDenied(by=BEN, deployment=DEPLOYMENT, note=note))
    assert denial.after.state.phase is ApprovalPhase.DENIED
    denial.after.when(REFUSE).then_nothing()


@pytest.mark.parametrize(
    "ending",
    [ApprovalVoided(reason="the plan has changed"), ApprovalExpired(deployment=DEPLOYMENT)],
)
@pytest.mark.parametrize("command", [GRANT, REFUSE])
def test_an_approval_that_no_longer_waits_cannot_be_decided(ending: ApprovalEvent, command: ApprovalCommand) -> None:
    ended = waiting(ending)

    ended.when(command).then_refused(
        f"approval {ID} is {ended.state.phase}; only a waiting one can be decided", ErrorCode.CONFLICT
    )


def test_an_approval_expires_when_its_time_is_up_and_not_before() -> None:
    waiting().when(EXPIRE).then_too_early(LATER)
    waiting().when(EXPIRE, now=LATER).then(ApprovalExpired(deployment=DEPLOYMENT))
    waiting(ApprovalExpired(deployment=DEPLOYMENT)).when(EXPIRE, now=LATER).then_nothing()
    waiting(ApprovalCompleted(deployment=DEPLOYMENT)).when(EXPIRE, now=LATER).then_nothing()


def test_an_approval_is_voided_whether_it_waits_or_was_granted() -> None:
    voided = ApprovalVoided(reason="the plan has changed")

    waiting().when(VOID).then(voided)
    waiting(ApprovalCompleted(deployment=DEPLOYMENT)).when(VOID).then(voided)
    waiting(ApprovalDenied(by=BEN, deployment=DEPLOYMENT)).when(VOID).then_nothing()
    waiting(voided).when(VOID).then_nothing()
    APPROVALS.given().when(VOID).then_nothing()


def test_another_rule_of_its_environment_holds_at_once_and_who_agreed_is_counted_anew() -> None:
    two, one = ApprovalRule(required=2), ApprovalRule(required=1)
    signed = waiting(ApprovalGranted(by=BEN), required=2)

    signed.when(AdoptRule(two)).then_nothing()
    signed.when(AdoptRule(one)).then(
        ApprovalRuleChanged(approval=ID, rule=one, expires_at=LATER), ApprovalCompleted(deployment=DEPLOYMENT)
    )
    granted = waiting(ApprovalGranted(by=BEN), ApprovalCompleted(deployment=DEPLOYMENT))
    granted.when(AdoptRule(two)).then(
        ApprovalRuleChanged(approval=ID, rule=two, expires_at=later(NOW, APPROVAL_SECONDS))
    )
    waiting(ApprovalExpired(deployment=DEPLOYMENT)).when(AdoptRule(two)).then_nothing()
