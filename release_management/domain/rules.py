"""The rules for starting a deployment. Each is a named function; their verdicts explain why one may not start.

Planning shows the verdicts; deploying enforces them as they are at that moment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from release_management.domain import approval as approvals
from release_management.domain.approval import Approval
from release_management.domain.environment import Environment
from release_management.domain.pipeline import Stage
from release_management.domain.place import Place, free_for
from release_management.domain.policy import Gate, TriggerCondition
from release_management.domain.release import Release
from release_management.domain.undeclared import what_to_declare, without_target
from release_management.kernel.types import Verdict


@dataclass(frozen=True, slots=True)
class Situation:
    """The input of the rules. `digest` is what an approval must be bound to.

    `stages` are those that the release walks today. `reverts` is True if the deployment returns to a version that
    succeeded at its places; `gives_up` if it brings nothing, and only stops components; `recent` if the version that it
    returns to succeeded lately enough to be trusted without gates and approval. `newer` names the newer version that it
    would overtake, `blocked` the blocked releases that it brings components of, and `replaced` what a rollback would
    revert instead of its planned deployment. `yielding` are the deployments that hold its places and will release them
    early, since it waits for nothing else: they only keep the old version for a while.
    """

    deployment: str
    release: Release
    environment: Environment
    places: Mapping[str, Place]
    gates: Mapping[str, Gate]
    triggers: tuple[TriggerCondition, ...]
    approval: Approval
    digest: str
    stages: tuple[Stage, ...] = ()
    reverts: bool = False
    gives_up: bool = False
    recent: bool = True
    newer: str | None = None
    blocked: tuple[str, ...] = ()
    replaced: str | None = None
    yielding: tuple[str, ...] = ()


def verdicts(situation: Situation) -> tuple[Verdict, ...]:
    """Return the verdict of every rule, in the order in which a person would ask."""
    return tuple(rule(situation) for rule in RULES)


def denials(found: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """Return the verdicts that forbid."""
    return tuple(verdict for verdict in found if verdict.says == "deny")


def environment_is_kept(situation: Situation) -> Verdict:
    """Deny new versions in an environment that is retired."""
    environment = situation.environment
    if situation.gives_up:
        return _allow("environment", "it only stops what runs")
    if environment.retired or environment.retiring:
        return _deny(
            "environment",
            f"{environment.name} is {'retired' if environment.retired else 'being retired'}; "
            f"to take it back: relman env keep {environment.name}",
        )
    return _allow("environment", f"{environment.name} takes releases")


def release_is_published(situation: Situation) -> Verdict:
    """Deny a draft."""
    ref = situation.release.ref
    if situation.release.published:
        return _allow("release", f"{ref} is published")
    return _deny("release", f"{ref} is a draft; publish it with: relman release publish {ref}")


def release_is_not_blocked(situation: Situation) -> Verdict:
    """Deny a blocked release."""
    if situation.gives_up:
        return _allow("block", "it only stops what runs")
    if not situation.blocked:
        return _allow("block", f"{situation.release.ref} is not blocked")
    refs = " and ".join(situation.blocked)
    return _deny("block", f"{refs} {_are(situation.blocked)} blocked; lift the block, or deploy another version")


def what_is_left_still_runs(situation: Situation) -> Verdict:
    """Deny a rollback whose planned deployment is not the newest one there any more."""
    if situation.replaced is not None:
        return _deny("rollback", f"what it goes back from does not run any more: {situation.replaced}")
    if situation.reverts:
        return _allow("rollback", "what it goes back from still runs")
    return _allow("rollback", "it is no rollback")


def no_newer_version_is_overtaken(situation: Situation) -> Verdict:
    """Deny an older version after a newer one, unless a downgrade was requested."""
    if situation.newer is None:
        return _allow("version", "it overtakes no newer version")
    release, environment = situation.release, situation.environment.name
    return _deny(
        "version",
        f"{situation.newer}; to go back to {release.version} where it succeeded before: "
        f"relman rollback {release.application} {environment} --to {release.version}; to bring it all the same: "
        f"relman deploy {release.ref} {environment} --downgrade",
    )


def stages_before_succeeded(situation: Situation) -> Verdict:
    """Require success in the pipeline's earlier stages; rollbacks are exempt."""
    name = situation.environment.name
    release = situation.release
    if situation.reverts:
        return _allow("order", "it goes back to a version that succeeded here")
    if situation.gives_up:
        return _allow("order", "it only stops what runs")
    stage = next((stage for stage in situation.stages if stage.environment == name), None)
    if stage is None:
        if release.stages:
            return _deny("order", f"{name} is no stage of pipeline {release.pipeline}, which {release.ref} walks")
        return _allow("order", f"{release.ref} walks no pipeline")
    missing = [required for required in stage.requires if required not in release.succeeded]
    if missing:
        return _deny(
            "order",
            f"{release.ref} has not succeeded in {missing[0]}; deploy it there first: "
            f"relman deploy {release.ref} {missing[0]}",
        )
    return _allow("order", "the stages before have succeeded" if stage.requires else "it is the first stage")


def gates_have_passed(situation: Situation) -> Verdict:
    """Require that every required gate was attested as passed; "not evaluated" is never "passed"."""
    required = [name for name, gate in situation.gates.items() if gate.required]
    if situation.reverts and situation.recent:
        return _allow("gates", "not asked again: it goes back to a version that succeeded here lately")
    if situation.gives_up:
        return _allow("gates", "it only stops what runs")
    if not required:
        return _allow("gates", "no gate is required here")
    ref = situation.release.ref
    for name in required:
        result = situation.release.attestations.get(name)
        if result != "passed":
            state = "not evaluated" if result is None else "attested as failed"
            return _deny(
                "gates",
                f"gate {name} of {ref} is {state}; attest it once it has passed: "
                f"relman release attest {ref} --gate {name} --result passed",
            )
    return _allow("gates", f"passed by manual attestation: {', '.join(required)}")


def approval_is_granted(situation: Situation) -> Verdict:
    """Require as many signatures for exactly this plan as the environment demands."""
    rule = situation.environment.approval
    if rule.required == 0:
        return _allow("approval", f"{situation.environment.name} asks for none")
    if situation.reverts and situation.recent:
        return _allow("approval", "not asked for: it goes back to a version that succeeded here lately")
    approval = situation.approval
    if approval.phase is approvals.ApprovalPhase.DENIED:
        return _deny("approval", "the approval was refused")
    if approval.phase is approvals.ApprovalPhase.EXPIRED:
        return _deny("approval", "nobody decided on the approval in time")
    if approval.phase is approvals.ApprovalPhase.GRANTED and approval.digest == situation.digest:
        return _allow("approval", f"granted by {', '.join(approvals.counting(approval))}")
    return Verdict(
        rule="approval",
        says="wait",
        reason=f"{situation.environment.name} asks for {rule.required} approval(s), by somebody else"
        if not rule.allow_self
        else f"{situation.environment.name} asks for {rule.required} approval(s)",
    )


def places_are_free(situation: Situation) -> Verdict:
    """Wait while another deployment holds a place."""
    for target, place in situation.places.items():
        if not free_for(place, situation.deployment):
            holder = place.lock or place.queue[0]
            name = f"{situation.environment.name}/{situation.release.application}/{target}"
            reason = f"deployment {holder} holds or awaits {name}"
            if holder in situation.yielding:
                reason = (
                    f"deployment {holder} holds {name} only to keep the version that goes for a while; "
                    "it stops that early for this one, which begins right then"
                )
            return Verdict(rule="place", says="wait", reason=reason)
    return _allow("place", "nobody else holds the places")


def targets_are_declared(situation: Situation) -> Verdict:
    """Require a target for every component of the release."""
    if situation.gives_up:
        return _allow("targets", "it only stops what runs")
    missing = without_target(situation.release, situation.environment)
    if situation.reverts:
        return _allow("targets", "it goes back to what ran here")
    if not missing:
        return _allow("targets", "every component has a target here")
    return _deny("targets", what_to_declare(situation.environment, missing))


def triggers_are_armed(situation: Situation) -> Verdict:
    """State that rollback triggers are recorded, but that nothing measures them yet."""
    if not situation.triggers:
        return _allow("triggers", "no rollback trigger is configured")
    names = ", ".join(condition.metric for condition in situation.triggers)
    return _allow("triggers", f"NOT ARMED: {names} (recorded; nothing measures them yet)")


RULES = (
    environment_is_kept,
    release_is_published,
    release_is_not_blocked,
    what_is_left_still_runs,
    no_newer_version_is_overtaken,
    stages_before_succeeded,
    gates_have_passed,
    approval_is_granted,
    places_are_free,
    triggers_are_armed,
    targets_are_declared,
)


def _are(things: Sequence[str]) -> str:
    return "is" if len(things) == 1 else "are"


def _allow(rule: str, reason: str) -> Verdict:
    return Verdict(rule=rule, says="allow", reason=reason)


def _deny(rule: str, reason: str) -> Verdict:
    return Verdict(rule=rule, says="deny", reason=reason)
