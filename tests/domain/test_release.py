"""Release: created once, published, attested, blocked."""

import pytest

from release_management.domain.pipeline import Stage
from release_management.domain.release import (
    MAX_CHANGES,
    MAX_GATES,
    RELEASE,
    Change,
    Release,
    ReleaseAttested,
    ReleaseBlocked,
    ReleaseCanaryConfigured,
    ReleaseChangesAdded,
    ReleaseCreated,
    ReleaseDeploymentPlanned,
    ReleaseEvent,
    ReleasePublished,
    ReleaseSucceeded,
    ReleaseUnblocked,
    ReleaseWithdrawn,
)
from release_management.domain.release_commands import (
    AddChanges,
    AttestRelease,
    BlockRelease,
    ChangeInput,
    ComponentInput,
    ConfigureCanary,
    CreateRelease,
    PublishRelease,
    UnblockRelease,
)
from release_management.domain.release_decisions import (
    NoteDeployment,
    NoteSuccess,
    ReleaseCommand,
    ReleaseFacts,
    UnderWay,
    WithdrawReleaseSuccess,
    content_of,
    decide,
)
from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import Unsealed
from tests.domain.build import (
    ANN,
    BEN,
    DEPLOYMENT,
    DIGEST,
    OTHER,
    OTHER_DIGEST,
    component,
)
from tests.domain.specification import Given, Specification

REF = "shop@2.0.0"
EVE = "usr_eve00001"
RELEASES = Specification(RELEASE, decide, ReleaseFacts(BEN, authors={"Eve": EVE}, content=DIGEST))
CREATE = CreateRelease(application="shop", version="2.0.0", components=(ComponentInput(name="api"),))
ReleaseGiven = Given[ReleaseCommand, Release, ReleaseFacts, ReleaseEvent]


def created(content: str = DIGEST) -> ReleaseCreated:
    return ReleaseCreated(
        application="shop", version="2.0.0", author=ANN, components=(component("api"),), content=content
    )


def test_a_release_is_published_unless_it_is_a_draft() -> None:
    published = RELEASES.given().when(CREATE)
    draft = RELEASES.given().when(CREATE.model_copy(update={"draft": True}))

    assert published.names == ["created", "published"]
    assert draft.facts == published.facts[:1]
    assert draft.after.state.author == BEN


def test_a_release_is_created_with_its_components_its_changes_and_the_stages_of_its_application() -> None:
    change = ChangeInput(commit="c000001", committed_at="2026-11-20T14:03:00Z", author="Eve", message="faster")
    components = (ComponentInput(name="api"), ComponentInput(name="web", version="1.0.0", label="Web"))
    command = CREATE.model_copy(update={"components": components, "changes": (change,), "changelog": ("faster",)})
    walk = (Stage(environment="dev"),)

    fact, _ = RELEASES.given().when(command, pipeline="main", stages=walk, versions="any").facts

    assert isinstance(fact, ReleaseCreated)
    assert [(part.name, part.version) for part in fact.components] == [("api", "2.0.0"), ("web", "1.0.0")]
    assert fact.component_labels == {"web": "Web"}
    assert (fact.pipeline, fact.stages, fact.versions, fact.complete) == ("main", walk, "any", True)
    assert fact.changelog == (Unsealed(subject=BEN, text="faster"),)
    assert (fact.changes[0].author, fact.changes[0].message) == (
        Unsealed(subject=EVE, text="Eve"),
        Unsealed(subject=BEN, text="faster"),
    )


def test_the_same_content_again_is_the_same_release() -> None:
    RELEASES.given(created()).when(CREATE).then_nothing()


def test_other_content_under_the_same_version_is_refused() -> None:
    RELEASES.given(created()).when(CREATE, content=OTHER_DIGEST).then_refused(
        "release shop@2.0.0 exists with other content; a version is never reused: create a new version",
        ErrorCode.CONFLICT,
    )


def test_only_what_matters_makes_the_content_of_a_release() -> None:
    spelled = CREATE.model_copy(update={"draft": True, "label": "Shop"})

    assert content_of(CREATE) == content_of(spelled)
    assert content_of(CREATE) != content_of(CREATE.model_copy(update={"partial": True}))
    assert content_of(CREATE) != content_of(CREATE.model_copy(update={"changelog": ("faster",)}))


def test_a_component_that_stands_twice_is_refused() -> None:
    twice = CREATE.model_copy(update={"components": (ComponentInput(name="api"), ComponentInput(name="api"))})

    RELEASES.given().when(twice).then_refused("release shop@2.0.0: a component stands twice; name each once")


def test_the_same_version_in_another_spelling_is_refused() -> None:
    RELEASES.given().when(CREATE, twin="shop@v2.0.0").then_refused(
        "release shop@2.0.0 would be the same version as shop@v2.0.0, which exists", ErrorCode.CONFLICT
    )


def test_a_version_that_is_none_of_the_applications_scheme_is_refused() -> None:
    RELEASES.given().when(CREATE, versions="calendar").then_refused("release shop@2.0.0: ", ErrorCode.INVALID)


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
    RELEASES.given().when(command).then_refused(
        "release shop@2.0.0 does not exist; create it with: relman release create shop@2.0.0 --component NAME",
        ErrorCode.NOT_FOUND,
    )


def test_a_draft_is_published_once() -> None:
    draft = RELEASES.given(created())

    draft.when(PublishRelease(release=REF)).then(ReleasePublished())
    draft.then_given(ReleasePublished()).when(PublishRelease(release=REF)).then_nothing()


def test_an_attestation_is_recorded_with_who_made_it_and_the_newest_counts() -> None:
    passed = AttestRelease(release=REF, gate="scan", result="passed", note="clean")
    fact = ReleaseAttested(gate="scan", result="passed", by=BEN, note=Unsealed(subject=BEN, text="clean"))
    release = RELEASES.given(created())

    release.when(passed).then(fact)

    attested = release.then_given(fact)
    attested.when(passed.model_copy(update={"note": None})).then_nothing()
    attested.when(passed).then(fact)  # what somebody says of it is kept
    failed = attested.when(AttestRelease(release=REF, gate="scan", result="failed"))
    assert failed.after.state.attestations == {"scan": "failed"}


def test_a_release_has_only_so_many_attested_gates() -> None:
    attestations = {f"g{n}": "passed" for n in range(MAX_GATES)}
    full = RELEASES.given_state(Release(application="shop", version="1.0.0", attestations=attestations))
    one_more = AttestRelease(release="shop@1.0.0", gate="more", result="passed")

    full.when(one_more).then_refused(f"{MAX_GATES} attested gates already")
    assert full.when(one_more.model_copy(update={"gate": "g1", "result": "failed"})).names == ["attested"]


def test_a_block_is_recorded_with_its_reason_and_lifted_once() -> None:
    block, unblock = BlockRelease(release=REF, reason="it leaks"), UnblockRelease(release=REF)
    fact = ReleaseBlocked(reason=Unsealed(subject=BEN, text="it leaks"))
    release = RELEASES.given(created())

    release.when(block).then(fact)

    blocked = release.then_given(fact)
    assert blocked.state.blocked
    blocked.when(block).then(fact)  # another reason is kept
    blocked.when(unblock).then(ReleaseUnblocked())
    release.when(unblock).then_nothing()


def test_its_own_canary_traffic_is_set_once_and_only_while_its_deployments_are_planned() -> None:
    configure = ConfigureCanary(release=REF, traffic_percentage=20)
    under_way = (UnderWay(DEPLOYMENT, "staging", "Progressing"),)
    release = RELEASES.given(created())

    release.when(configure).then(ReleaseCanaryConfigured(initial_traffic=20))

    release.when(configure, under_way=under_way).then_refused(
        f"deployment {DEPLOYMENT} of shop@2.0.0 to staging is Progressing; its traffic can be changed only while it is "
        "Planned",
        ErrorCode.CONFLICT,
    )
    release.then_given(ReleaseCanaryConfigured(initial_traffic=20)).when(configure, under_way=under_way).then_nothing()


def test_what_its_deployments_come_to_is_noted() -> None:
    release = RELEASES.given(created())

    release.when(NoteDeployment("staging", DEPLOYMENT, OTHER)).then(
        ReleaseDeploymentPlanned(environment="staging", deployment=DEPLOYMENT, reverts=OTHER)
    )
    release.when(NoteSuccess("staging", DEPLOYMENT)).then(
        ReleaseSucceeded(environment="staging", deployment=DEPLOYMENT)
    )
    release.when(WithdrawReleaseSuccess("staging", OTHER)).then(
        ReleaseWithdrawn(environment="staging", deployment=OTHER)
    )


def test_a_release_knows_where_it_is_planned_and_where_it_succeeded() -> None:
    state = RELEASES.given(
        created(),
        ReleaseDeploymentPlanned(environment="staging", deployment=DEPLOYMENT),
        ReleaseSucceeded(environment="staging", deployment=DEPLOYMENT),
        ReleaseSucceeded(environment="production", deployment=OTHER),
        ReleaseWithdrawn(environment="production", deployment=OTHER),
        ReleaseCanaryConfigured(initial_traffic=20),
    ).state

    assert state.ref == REF
    assert state.planned == {"staging": DEPLOYMENT}
    assert state.succeeded == {"staging": DEPLOYMENT}
    assert state.initial_traffic == 20


# Changes that come later


def change_input(number: int) -> ChangeInput:
    return ChangeInput(commit=f"c{number:06d}", committed_at="2026-11-20T14:03:00Z")


def change(number: int) -> Change:
    return Change(commit=f"c{number:06d}", committed_at="2026-11-20T14:03:00Z")


def adding(*numbers: int, release: str = REF) -> AddChanges:
    return AddChanges(release=release, changes=tuple(change_input(number) for number in numbers))


def with_changes(*numbers: int) -> ReleaseGiven:
    return RELEASES.given(created().model_copy(update={"changes": tuple(change(number) for number in numbers)}))


def test_changes_that_are_added_stand_behind_the_others_each_once() -> None:
    release = with_changes(1, 2)
    added = ReleaseChangesAdded(changes=(change(4), change(3)), by=BEN)

    release.when(adding(2, 4, 3, 4)).then(added)
    release.then_given(added).when(adding(3, 1)).then_nothing()


def test_changes_that_are_added_make_it_another_release_to_approve() -> None:
    release = with_changes(1)
    after = release.when(adding(2)).after

    assert release.state.added == ""
    assert after.state.added != ""
    assert after.state.content == release.state.content


def test_a_release_has_ten_thousand_changes_and_no_more() -> None:
    full = with_changes(*range(MAX_CHANGES))

    full.when(adding(5)).then_nothing()
    full.when(adding(MAX_CHANGES)).then_refused(
        "would have 10,001 changes and may have 10,000; sum some up in its changelog"
    )


def test_changes_of_a_release_that_is_not_there_are_refused() -> None:
    RELEASES.given().when(adding(1, release="shop@9.0.0")).then_refused("release shop@9.0.0 does not exist")
