"""The verdict of each rule on whether a deployment may begin, with its reason."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from release_management.domain.approval import Approval
from release_management.domain.approval import ApprovalPhase as ApprovalPhase
from release_management.domain.environment import ApprovalRule
from release_management.domain.pipeline import Stage
from release_management.domain.place import Place
from release_management.domain.policy import Gate, TriggerCondition
from release_management.domain.rules import (
    RULES,
    Situation,
    approval_is_granted,
    denials,
    environment_is_kept,
    gates_have_passed,
    no_newer_version_is_overtaken,
    places_are_free,
    release_is_not_blocked,
    release_is_published,
    stages_before_succeeded,
    targets_are_declared,
    triggers_are_armed,
    verdicts,
    what_is_left_still_runs,
)
from release_management.kernel.types import Verdict
from tests.domain.build import (
    BEN,
    DEPLOYMENT,
    DIGEST,
    OTHER,
    OTHER_DIGEST,
    environment,
    release,
)

STAGES = (Stage(environment="staging"), Stage(environment="production", requires=("staging",)))
USUAL = Situation(
    deployment=DEPLOYMENT,
    release=release(),
    environment=environment(),
    places={"main": Place()},
    gates={},
    triggers=(),
    approval=Approval(),
    digest=DIGEST,
)
LEAVING = replace(USUAL, environment=replace(environment(), retiring=True))
WALKS = replace(USUAL, stages=STAGES)
TWO = replace(environment(), approval=ApprovalRule(required=2))
GATED = replace(USUAL, gates={"scan": Gate(), "licences": Gate(required=False)})
ATTESTED = replace(GATED, release=replace(release(), attestations={"scan": "passed"}))
ASKED = replace(USUAL, environment=TWO)


def approved(phase: ApprovalPhase, digest: str = DIGEST) -> Situation:
    return replace(ASKED, approval=Approval(phase=phase, digest=digest, signatures=(BEN,)))


@pytest.mark.parametrize(
    ("rule", "situation", "says", "reason"),
    [
        (release_is_published, USUAL, "allow", "shop@2.0.0 is published"),
        (
            release_is_published,
            replace(USUAL, release=replace(release(), published=False)),
            "deny",
            "shop@2.0.0 is a draft; publish it with: relman release publish shop@2.0.0",
        ),
        (release_is_not_blocked, USUAL, "allow", "shop@2.0.0 is not blocked"),
        (
            release_is_not_blocked,
            replace(USUAL, blocked=("shop@2.0.0",)),
            "deny",
            "shop@2.0.0 is blocked; lift the block, or deploy another version",
        ),
        (environment_is_kept, USUAL, "allow", "production takes releases"),
        (
            environment_is_kept,
            LEAVING,
            "deny",
            "production is being retired; to take it back: relman env keep production",
        ),
        (environment_is_kept, replace(LEAVING, gives_up=True), "allow", "it only stops what runs"),
        (stages_before_succeeded, replace(USUAL, gives_up=True), "allow", "it only stops what runs"),
        (gates_have_passed, replace(GATED, gives_up=True), "allow", "it only stops what runs"),
        (targets_are_declared, replace(LEAVING, gives_up=True), "allow", "it only stops what runs"),
        (what_is_left_still_runs, USUAL, "allow", "it is no rollback"),
        (what_is_left_still_runs, replace(USUAL, reverts=True), "allow", "what it goes back from still runs"),
        (
            what_is_left_still_runs,
            replace(USUAL, reverts=True, replaced="web on eu was brought by deployment d-2 (1.1.0) since"),
            "deny",
            "what it goes back from does not run any more: web on eu was brought by deployment d-2 (1.1.0) since",
        ),
        (no_newer_version_is_overtaken, USUAL, "allow", "it overtakes no newer version"),
        (
            no_newer_version_is_overtaken,
            replace(USUAL, newer="2.1.0 runs as web on eu in production, and is newer"),
            "deny",
            "2.1.0 runs as web on eu in production, and is newer; to go back to 2.0.0 where it succeeded before: "
            "relman rollback shop production --to 2.0.0; to bring it all the same: "
            "relman deploy shop@2.0.0 production --downgrade",
        ),
        (stages_before_succeeded, USUAL, "allow", "shop@2.0.0 walks no pipeline"),
        (
            stages_before_succeeded,
            WALKS,
            "deny",
            "shop@2.0.0 has not succeeded in staging; deploy it there first: relman deploy shop@2.0.0 staging",
        ),
        (
            stages_before_succeeded,
            replace(WALKS, release=replace(release(), succeeded={"staging": OTHER})),
            "allow",
            "the stages before have succeeded",
        ),
        (
            stages_before_succeeded,
            replace(USUAL, release=replace(release(), stages=STAGES[:1], pipeline="main")),
            "deny",
            "production is no stage of pipeline main, which shop@2.0.0 walks",
        ),
        (
            stages_before_succeeded,
            replace(USUAL, release=replace(release(), stages=STAGES), reverts=True),
            "allow",
            "it goes back to a version that succeeded here",
        ),
        (gates_have_passed, USUAL, "allow", "no gate is required here"),
        (
            gates_have_passed,
            GATED,
            "deny",
            "gate scan of shop@2.0.0 is not evaluated; attest it once it has passed: "
            "relman release attest shop@2.0.0 --gate scan --result passed",
        ),
        (
            gates_have_passed,
            replace(GATED, release=replace(release(), attestations={"scan": "failed"})),
            "deny",
            "gate scan of shop@2.0.0 is attested as failed; attest it once it has passed: "
            "relman release attest shop@2.0.0 --gate scan --result passed",
        ),
        (gates_have_passed, ATTESTED, "allow", "passed by manual attestation: scan"),
        (
            gates_have_passed,
            replace(GATED, reverts=True),
            "allow",
            "not asked again: it goes back to a version that succeeded here lately",
        ),
        (gates_have_passed, replace(GATED, reverts=True, recent=False), "deny", "gate scan of shop@2.0.0 is not"),
        (approval_is_granted, USUAL, "allow", "production asks for none"),
        (approval_is_granted, ASKED, "wait", "production asks for 2 approval(s), by somebody else"),
        (approval_is_granted, approved(ApprovalPhase.WAITING), "wait", "production asks for 2 approval(s)"),
        (approval_is_granted, approved(ApprovalPhase.GRANTED), "allow", "granted by usr_ben00001"),
        (approval_is_granted, approved(ApprovalPhase.GRANTED, OTHER_DIGEST), "wait", "production asks for 2"),
        (approval_is_granted, approved(ApprovalPhase.VOIDED), "wait", "production asks for 2"),
        (approval_is_granted, approved(ApprovalPhase.DENIED), "deny", "the approval was refused"),
        (approval_is_granted, approved(ApprovalPhase.EXPIRED), "deny", "nobody decided on the approval in time"),
        (approval_is_granted, replace(ASKED, reverts=True), "allow", "not asked for: it goes back to a version"),
        (approval_is_granted, replace(ASKED, reverts=True, recent=False), "wait", "production asks for 2 approval(s)"),
        (places_are_free, USUAL, "allow", "nobody else holds the places"),
        (
            places_are_free,
            replace(USUAL, places={"main": Place(), "eu": Place(lock=OTHER)}),
            "wait",
            f"deployment {OTHER} holds or awaits production/shop/eu",
        ),
        (places_are_free, replace(USUAL, places={"eu": Place(queue=(OTHER, DEPLOYMENT))}), "wait", OTHER),
        (places_are_free, replace(USUAL, places={"eu": Place(queue=(DEPLOYMENT, OTHER))}), "allow", "nobody else"),
        (targets_are_declared, USUAL, "allow", "every component has a target here"),
        (
            targets_are_declared,
            replace(USUAL, release=release(components=("api", "web"))),
            "deny",
            "component web has no target in production; add this to relman.yaml",
        ),
        (
            targets_are_declared,
            replace(USUAL, release=release(components=("api", "web")), reverts=True),
            "allow",
            "it goes back to what ran here",
        ),
        (triggers_are_armed, USUAL, "allow", "no rollback trigger is configured"),
        (
            triggers_are_armed,
            replace(USUAL, triggers=(TriggerCondition(metric="error_rate", threshold=0.1, duration_seconds=60),)),
            "allow",
            "NOT ARMED: error_rate (recorded; nothing measures them yet)",
        ),
    ],
)
def test_a_rule_says_what_and_why(
    rule: Callable[[Situation], Verdict], situation: Situation, says: str, reason: str
) -> None:
    verdict = rule(situation)

    assert verdict.says == says
    assert reason in verdict.reason


def test_every_rule_is_asked_and_the_denials_are_all_shown() -> None:
    situation = replace(USUAL, release=replace(release(), published=False), blocked=("shop@2.0.0",))

    found_verdicts = verdicts(situation)

    assert [verdict.rule for verdict in found_verdicts] == [
        "environment",
        "release",
        "block",
        "rollback",
        "version",
        "order",
        "gates",
        "approval",
        "place",
        "triggers",
        "targets",
    ]
    assert len(found_verdicts) == len(RULES)
    assert [verdict.rule for verdict in denials(found_verdicts)] == ["release", "block"]
