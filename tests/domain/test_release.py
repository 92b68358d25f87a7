"""Release: created once, published, attested, blocked."""

import pytest

from release_management.domain.release import (
    MAX_CHANGES,
    MAX_GATES,
    AttestRelease,
    BlockRelease,
    Change,
    PublishRelease,
    Release,
    ReleaseAttested,
    ReleaseBlocked,
    ReleaseCanaryConfigured,
    ReleaseChangesAdded,
    ReleaseCommand,
    ReleaseCreated,
    ReleaseDeploymentPlanned,
    ReleaseEvent,
    ReleasePublished,
    ReleaseSucceeded,
    ReleaseUnblocked,
    ReleaseWithdrawn,
    UnblockRelease,
    add_changes,
    create,
    decide,
    evolve,
)
from release_management.kernel.types import Refused, Unsealed
from tests.domain.build import (
    ANN,
    BEN,
    DEPLOYMENT,
    DIGEST,
    OTHER,
    OTHER_DIGEST,
    component,
)

REF = "shop@2.0.0"


def created(content: str = DIGEST, *names: str) -> ReleaseCreated:
    parts = tuple(component(name) for name in names or ("api",))
    return ReleaseCreated(application="shop", version="2.0.0", author=ANN, components=parts, content=content)


def given(*facts: ReleaseEvent) -> Release:
    state = Release()
    for fact in facts:
        state = evolve(state, fact)
    return state


def test_a_release_is_published_unless_it_is_a_draft() -> None:
    assert create(created(), False, Release()) == [created(), ReleasePublished()]
    assert create(created(), True, Release()) == [created()]


def test_the_same_content_again_is_the_same_release() -> None:
    assert create(created(), False, given(created())) == []


def test_other_content_under_the_same_version_is_refused() -> None:
    with pytest.raises(Refused) as refusal:
        create(created(OTHER_DIGEST), False, given(created()))

    assert str(refusal.value) == (
        "release shop@2.0.0 exists with other content; a version is never reused: create a new version"
    )


def test_a_component_that_stands_twice_is_refused() -> None:
    with pytest.raises(Refused, match=r"release shop@2\.0\.0: a component stands twice; name each once"):
        create(created(DIGEST, "api", "api"), False, Release())


@pytest.mark.parametrize(
    "command",
    [
        PublishRelease(release=REF),
        AttestRelease(release=REF, gate="scan", result="passed"),
        BlockRelease(release=REF, reason="leak"),
        UnblockRelease(release=REF),
    ],
)
def test_a_release_that_does_not_exist_is_named_with_the_way_to_create_it(command: ReleaseCommand) -> None:
    with pytest.raises(Refused) as refusal:
        decide(command, Release(), ANN)

    assert str(refusal.value) == (
        "release shop@2.0.0 does not exist; create it with: relman release create shop@2.0.0 --component NAME"
    )


def test_a_draft_is_published_once() -> None:
    assert decide(PublishRelease(release=REF), given(created()), ANN) == [ReleasePublished()]
    assert decide(PublishRelease(release=REF), given(created(), ReleasePublished()), ANN) == []


def test_an_attestation_is_recorded_with_who_made_it_and_the_newest_counts() -> None:
    passed = AttestRelease(release=REF, gate="scan", result="passed", note="clean")
    state = given(created())

    facts = decide(passed, state, BEN)

    assert facts == [
        ReleaseAttested(gate="scan", result="passed", by=BEN, note=Unsealed(subject=BEN, text="clean")),
    ]
    state = evolve(state, facts[0])
    assert decide(passed.model_copy(update={"note": None}), state, BEN) == []
    assert decide(passed, state, BEN) == facts, "what somebody says of it is kept"
    failed = decide(AttestRelease(release=REF, gate="scan", result="failed"), state, BEN)
    assert evolve(state, failed[0]).attestations == {"scan": "failed"}


def test_a_release_has_only_so_many_attested_gates() -> None:
    state = Release(application="shop", version="1.0.0", attestations={f"g{n}": "passed" for n in range(MAX_GATES)})
    one_more = AttestRelease(release="shop@1.0.0", gate="more", result="passed")

    with pytest.raises(Refused, match=f"{MAX_GATES} attested gates already"):
        decide(one_more, state, ANN)
    assert decide(one_more.model_copy(update={"gate": "g1", "result": "failed"}), state, ANN)


def test_a_block_is_recorded_with_its_reason_and_lifted_once() -> None:
    block, unblock = BlockRelease(release=REF, reason="it leaks"), UnblockRelease(release=REF)
    state = given(created())

    facts = decide(block, state, BEN)

    assert facts == [ReleaseBlocked(reason=Unsealed(subject=BEN, text="it leaks"))]
    blocked = evolve(state, facts[0])
    assert blocked.blocked
    assert decide(block, blocked, BEN) == facts, "another reason is kept"
    assert decide(unblock, blocked, BEN) == [ReleaseUnblocked()]
    assert decide(unblock, state, BEN) == []


def test_a_release_knows_where_it_is_planned_and_where_it_succeeded() -> None:
    state = given(
        created(),
        ReleaseDeploymentPlanned(environment="staging", deployment=DEPLOYMENT),
        ReleaseSucceeded(environment="staging", deployment=DEPLOYMENT),
        ReleaseSucceeded(environment="production", deployment=OTHER),
        ReleaseWithdrawn(environment="production", deployment=OTHER),
        ReleaseCanaryConfigured(initial_traffic=20),
    )

    assert state.ref == REF
    assert state.planned == {"staging": DEPLOYMENT}
    assert state.succeeded == {"staging": DEPLOYMENT}
    assert state.initial_traffic == 20


# Changes that come later


def change(number: int) -> Change:
    return Change(commit=f"c{number:06d}", committed_at="2026-11-20T14:03:00Z")


def with_changes(*numbers: int) -> Release:
    first = created().model_copy(update={"changes": tuple(change(number) for number in numbers)})
    return evolve(Release(), first)


def test_changes_that_are_added_stand_behind_the_others_each_once() -> None:
    state = with_changes(1, 2)

    (added,) = add_changes("shop@2.0.0", [change(2), change(4), change(3), change(4)], state, BEN)

    assert added == ReleaseChangesAdded(changes=(change(4), change(3)), by=BEN)
    assert add_changes("shop@2.0.0", [change(3), change(1)], evolve(state, added), BEN) == []


def test_changes_that_are_added_make_it_another_release_to_approve() -> None:
    state = with_changes(1)
    (added,) = add_changes("shop@2.0.0", [change(2)], state, BEN)

    assert state.added == ""
    assert evolve(state, added).added != ""
    assert evolve(state, added).content == state.content


def test_a_release_has_ten_thousand_changes_and_no_more() -> None:
    full = with_changes(*range(MAX_CHANGES))
    assert add_changes("shop@2.0.0", [change(5)], full, BEN) == []

    with pytest.raises(Refused, match="would have 10,001 changes and may have 10,000; sum some up in its changelog"):
        add_changes("shop@2.0.0", [change(MAX_CHANGES)], full, BEN)


def test_changes_of_a_release_that_is_not_there_are_refused() -> None:
    with pytest.raises(Refused, match=r"release shop@9\.0\.0 does not exist"):
        add_changes("shop@9.0.0", [change(1)], Release(), BEN)
