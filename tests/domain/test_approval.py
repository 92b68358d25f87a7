"""Approval: who agrees to exactly what."""

import pytest

from release_management.domain.approval import (
    Approval,
    ApprovalCompleted,
    ApprovalDenied,
    ApprovalEvent,
    ApprovalExpired,
    ApprovalGranted,
    ApprovalPhase,
    ApprovalRequested,
    ApprovalVoided,
    GrantApproval,
    RefuseApproval,
    deny,
    evolve,
    expire,
    grant,
    void,
)
from release_management.domain.environment import ApprovalRule
from release_management.kernel.types import (
    NotYet,
    Refused,
    Unsealed,
)
from tests.domain.build import (
    ANN,
    BEN,
    DEPLOYMENT,
    DIGEST,
    EVE,
    LATER,
    NOW,
)

ID = "0193a5c2-7d7e-7000-8000-0000000000aa"
GRANT = GrantApproval(approval=ID)
REFUSE = RefuseApproval(approval=ID, note="not on a Friday")


def given(
    *facts: ApprovalEvent, required: int = 1, approvers: tuple[str, ...] = (), allow_self: bool = False
) -> Approval:
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
    state = evolve(Approval(), requested)
    for fact in facts:
        state = evolve(state, fact)
    return state


def test_the_last_signature_completes_it() -> None:
    state = given(required=2)

    first = grant(GrantApproval(approval=ID, note="looks good"), state, BEN)
    assert first == [ApprovalGranted(by=BEN, note=Unsealed(subject=BEN, text="looks good"))]

    state = evolve(state, first[0])
    assert grant(GRANT, state, EVE) == [ApprovalGranted(by=EVE), ApprovalCompleted(deployment=DEPLOYMENT)]


def test_one_person_signs_once() -> None:
    state = given(ApprovalGranted(by=BEN), required=2)

    assert grant(GRANT, state, BEN) == []
    assert grant(GRANT, evolve(state, ApprovalExpired(deployment=DEPLOYMENT)), BEN) == []


def test_nobody_approves_their_own_release_unless_the_rule_allows_it() -> None:
    with pytest.raises(Refused) as refusal:
        grant(GRANT, given(), ANN)

    assert str(refusal.value) == (
        "usr_ann00001 made this release or asked for its deployment and may not approve it; somebody else must"
    )
    assert grant(GRANT, given(allow_self=True), ANN)[0] == ApprovalGranted(by=ANN)


def test_only_the_named_approvers_decide() -> None:
    state = given(approvers=(BEN,))

    with pytest.raises(Refused, match="usr_eve00001 is not among the approvers of this environment; those are usr_ben"):
        grant(GRANT, state, EVE)
    with pytest.raises(Refused, match="usr_eve00001 is not among the approvers of this environment; those are usr_ben"):
        deny(REFUSE, state, EVE)


def test_one_denial_ends_an_approval() -> None:
    facts = deny(REFUSE, given(), BEN)

    note = Unsealed(subject=BEN, text="not on a Friday")
    assert facts == [ApprovalDenied(by=BEN, deployment=DEPLOYMENT, note=note)]
    denied = given(*facts)
    assert denied.phase is ApprovalPhase.DENIED
    assert deny(REFUSE, denied, BEN) == []


@pytest.mark.parametrize(
    "ending",
    [ApprovalVoided(reason="the plan has changed"), ApprovalExpired(deployment=DEPLOYMENT)],
)
def test_an_approval_that_no_longer_waits_cannot_be_decided(ending: ApprovalEvent) -> None:
    state = given(ending)

    with pytest.raises(Refused, match=f"approval {ID} is {state.phase}; only a waiting one can be decided"):
        grant(GRANT, state, BEN)
    with pytest.raises(Refused, match="only a waiting one can be decided"):
        deny(REFUSE, state, BEN)


def test_an_approval_expires_when_its_time_is_up_and_not_before() -> None:
    with pytest.raises(NotYet, match="it is too early"):
        expire(given(), NOW)
    assert expire(given(), LATER) == [ApprovalExpired(deployment=DEPLOYMENT)]
    assert expire(given(ApprovalExpired(deployment=DEPLOYMENT)), LATER) == []
    assert expire(given(ApprovalCompleted(deployment=DEPLOYMENT)), LATER) == []


def test_an_approval_is_voided_whether_it_waits_or_was_granted() -> None:
    voided = [ApprovalVoided(reason="the plan has changed")]

    assert void(given(), "the plan has changed") == voided
    assert void(given(ApprovalCompleted(deployment=DEPLOYMENT)), "the plan has changed") == voided
    assert void(given(ApprovalDenied(by=BEN, deployment=DEPLOYMENT)), "the plan has changed") == []
    assert void(given(*voided), "the plan has changed") == []
    assert void(Approval(), "the plan has changed") == []
