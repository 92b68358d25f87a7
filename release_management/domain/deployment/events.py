"""The events of a deployment. The file is over 400 lines, since it is one list, without any logic."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from release_management.domain.component import Slot
from release_management.domain.plan import (
    Action,
    Binding,
    Leg,
    Plan,
)
from release_management.domain.plan.strategies import StrategyName
from release_management.kernel.types import (
    ActorId,
    Digest,
    Fact,
    Line,
    Name,
    Percent,
    Personal,
    Value,
    Version,
)


class Return(Value):
    """One component's rollback at one place: it restores what the deployment `to` brought there; None: nothing ran.

    `version` is that of the release which brought it. `leaves` is the newest deployment that had succeeded there when
    the rollback was planned; once another one succeeds, the rollback has nothing left to revert.
    """

    target: Name = Field(description="the target")
    component: Name = Field(description="the component")
    to: str | None = Field(
        None,
        description="the deployment that brought there what it goes back to; absent: nothing runs there in the end",
    )
    version: Version | None = Field(None, description="the version of the release which brought that")
    leaves: str | None = Field(
        None,
        description="the newest deployment that had succeeded there when this was planned; the rollback starts only "
        "while that is so",
    )


def gives_up(returns: tuple[Return, ...] | None) -> bool:
    """Return True if a deployment brings nothing, and only stops components."""
    return returns is not None and all(each.to is None for each in returns)


def _numbered(leg: Leg, index: int, described: str | None) -> str:
    suffix = f": {described}" if described else ""
    return f"{'rollback step' if leg == 'rollback' else 'step'} {index + 1}{suffix}"


class DeploymentPlanned(Fact):
    """A plan exists. `chosen`: the caller named the strategy, so it is not the policy's.

    `returns` states, for a rollback, what each component goes back to, where that is not simply the release.

    The plan expires at `deadline` unless it is deployed before; plans of version 1 had no deadline.

    `redeploys`: the caller forced components that run already to be deployed again.
    """

    NAME: ClassVar[str] = "deployment.planned"
    VERSION: ClassVar[int] = 2
    deployment: str = Field(description="the deployment's id")
    release: str = Field(description="the release")
    application: Name = Field(description="the application")
    version: Version = Field(description="the version")
    environment: Name = Field(description="the environment")
    targets: tuple[Name, ...] = Field(description="the targets")
    strategy: StrategyName = Field(description="how: `recreate`, `rolling`, `blue-green` or `canary`")
    chosen: bool = Field(False, description="whether the caller named the strategy; if not, it came from a policy")
    options: dict[str, JsonValue] = Field({}, description="the strategy's options")
    plan: Plan = Field(description="the steps forward and back")
    digest: Digest = Field(description="SHA-256 of the plan")
    by: ActorId = Field(description="who did it")
    reverts: str | None = Field(None, description="the deployment that this one takes back")
    retries: str | None = Field(None, description="the deployment that this one tries again")
    returns: tuple[Return, ...] | None = Field(
        None, description="what each component of a rollback goes back to, where that is not simply the release"
    )
    deadline: str | None = Field(None, description="when the waiting or the attempt ends")
    redeploys: bool | None = Field(
        None, description="whether somebody forced it to bring again what runs there already"
    )

    def _summary(self) -> str:
        count = len(self.plan.forward)
        text = f"{self.release} to {self.environment}: {self.strategy}, {count} steps"
        origin = f", reverting {self.reverts}" if self.reverts else ""
        again = f", retrying {self.retries}" if self.retries else ""
        return f"planned {text}{origin}{again}{f', until {self.deadline}' if self.deadline else ''}"


class DeploymentReplanned(Fact):
    """The plan was compiled again and differs from the one before; `reason` says why."""

    NAME: ClassVar[str] = "deployment.replanned"
    strategy: StrategyName = Field(description="how: `recreate`, `rolling`, `blue-green` or `canary`")
    options: dict[str, JsonValue] = Field({}, description="the strategy's options")
    targets: tuple[Name, ...] = Field(description="the targets")
    plan: Plan = Field(description="the steps forward and back")
    digest: Digest = Field(description="SHA-256 of the plan")
    reason: Line = Field(description="why, in a sentence")

    def _summary(self) -> str:
        return f"planned again, {self.strategy}, {len(self.plan.forward)} steps: {self.reason}"


class DeploymentRequested(Fact):
    """Somebody requested that the plan be carried out as soon as the rules allow. `note` is their reason, if given."""

    NAME: ClassVar[str] = "deployment.requested"
    by: ActorId = Field(description="who did it")
    note: Personal | None = Field(None, description="a remark, sealed")

    def _summary(self) -> str:
        return f"requested by {self.by}"


class DeploymentInsisted(Fact):
    """Somebody added a demand, which holds until the deployment starts.

    `supersede`: deployments that hold or await its places give way. `downgrade`: it may bring an older version than
    runs there.
    """

    NAME: ClassVar[str] = "deployment.insisted"
    by: ActorId = Field(description="who did it")
    supersede: bool = Field(False, description="what holds or awaits its places gives way")
    downgrade: bool = Field(False, description="it may bring an older version than is there")

    def _summary(self) -> str:
        insisted = {"supersede": self.supersede, "downgrade": self.downgrade}
        return f"{self.by} insists: {', '.join(word for word, is_so in insisted.items() if is_so)}"


class DeploymentApprovalAwaited(Fact):
    """The deployment waits until its approval is granted."""

    NAME: ClassVar[str] = "deployment.approval_awaited"
    approval: str = Field(description="the approval's id")

    def _summary(self) -> str:
        return f"waits for approval {self.approval}"


class DeploymentQueued(Fact):
    """The deployment waits, until `deadline`, for places that other deployments hold."""

    NAME: ClassVar[str] = "deployment.queued"
    behind: tuple[str, ...] = Field(description="the deployments that are before it")
    deadline: str = Field(description="when the waiting or the attempt ends")

    def _summary(self) -> str:
        return f"queued behind {', '.join(self.behind)} until {self.deadline}"


class DeploymentStarted(Fact):
    """The deployment holds its places, and its roles are bound to slots. Older records do not say at what time."""

    NAME: ClassVar[str] = "deployment.started"
    VERSION: ClassVar[int] = 2
    bindings: tuple[Binding, ...] = Field(description="which slot and which version each role has")
    at: str | None = Field(None, description="when it began; older records do not say")

    def _summary(self) -> str:
        return "started"


class DeploymentStepStarted(Fact):
    """A step was ordered; the position of this record is the order's fence."""

    NAME: ClassVar[str] = "deployment.step_started"
    leg: Leg = Field(description="whether it is on the way forward or on the way back")
    step: int = Field(description="the step's index in the leg, from 0")
    attempt: int = Field(description="which try of the step this is, from 1")
    wave: int = Field(description="steps of one wave run side by side, waves one after the other; from 0")
    environment: Name = Field(description="the environment")
    application: Name = Field(description="the application")
    target: Name = Field(description="the target in the environment")
    component: Name = Field(description="the component")
    executor: Name = Field(description="who carries the steps out; there are `command` and `local`")
    action: Action = Field(description="what the executor is to do; roles have become slots")
    settings: dict[str, JsonValue] = Field({}, description="the component's settings")
    variables: dict[str, str] = Field(
        {},
        description="environment variables of every process there; `env:NAME` and `file:PATH` are references, "
        "resolved by the executor",
    )
    deadline: str = Field(description="when the waiting or the attempt ends")

    def summary(self, described: str | None = None) -> str:
        """Return the result of the step, which is `described`."""
        return f"{_numbered(self.leg, self.step, described)}{f' (attempt {self.attempt})' if self.attempt > 1 else ''}"


class DeploymentStepSucceeded(Fact):
    """A step succeeded. `observed` are the load balancer's own traffic shares then, in percent per slot."""

    NAME: ClassVar[str] = "deployment.step_succeeded"
    leg: Leg = Field(description="whether it is on the way forward or on the way back")
    step: int = Field(description="the step's index in the leg, from 0")
    attempt: int = Field(description="which try of the step this is, from 1")
    wave: int = Field(description="steps of one wave run side by side, waves one after the other; from 0")
    observed: dict[Slot, Percent] | None = Field(
        None, description="the share in percent per slot that the load balancer stated"
    )
    observedat: str = Field(description="when the executor saw it")

    def summary(self, described: str | None = None) -> str:
        """Return the result of the step, which is `described`."""
        return f"done: {_numbered(self.leg, self.step, described)}"


class DeploymentStepFailed(Fact):
    """A step failed: the release is bad. `untouched` (absent if false): a health check failed and nothing was done."""

    NAME: ClassVar[str] = "deployment.step_failed"
    leg: Leg = Field(description="whether it is on the way forward or on the way back")
    step: int = Field(description="the step's index in the leg, from 0")
    attempt: int = Field(description="which try of the step this is, from 1")
    reason: Line = Field(description="why, in a sentence")
    untouched: Annotated[bool, Field(exclude_if=lambda untouched: not untouched)] = Field(
        False, description="nothing was done, since what had to be well was not"
    )

    def summary(self, described: str | None = None) -> str:
        """Return the result of the step, which is `described`."""
        return f"failed: {_numbered(self.leg, self.step, described)}: {self.reason}"


class DeploymentStepErrored(Fact):
    """A step ended with an error of the machinery; it is retried at `retry_at` unless that is absent."""

    NAME: ClassVar[str] = "deployment.step_errored"
    leg: Leg = Field(description="whether it is on the way forward or on the way back")
    step: int = Field(description="the step's index in the leg, from 0")
    attempt: int = Field(description="which try of the step this is, from 1")
    reason: Line = Field(description="why, in a sentence")
    retry_at: str | None = Field(None, description="when it is tried again; absent: it is not")

    def summary(self, described: str | None = None) -> str:
        """Return the result of the step, which is `described`."""
        again = f"; again at {self.retry_at}" if self.retry_at else ""
        return f"errored: {_numbered(self.leg, self.step, described)}: {self.reason}{again}"


class DeploymentPaused(Fact):
    """The deployment waits: until the time `until`, or for a person and at most until `deadline`."""

    NAME: ClassVar[str] = "deployment.paused"
    leg: Leg = Field(description="whether it is on the way forward or on the way back")
    step: int = Field(description="the step's index in the leg, from 0")
    wave: int = Field(description="steps of one wave run side by side, waves one after the other; from 0")
    reason: Line = Field(description="why, in a sentence")
    baking: bool = Field(False, description="whether this is the wait before the old version is stopped")
    until: str | None = Field(None, description="when a timed pause ends")
    deadline: str | None = Field(None, description="when the waiting or the attempt ends")

    def _summary(self) -> str:
        end = f"until {self.until}" if self.until else f"until promoted, at most until {self.deadline}"
        return f"{'bakes' if self.baking else 'paused'} {end} ({self.reason})"


class DeploymentResumed(Fact):
    """The pause ended. `successor` is the deployment for which a bake ended early, since it waited for nothing else."""

    NAME: ClassVar[str] = "deployment.resumed"
    leg: Leg = Field(description="whether it is on the way forward or on the way back")
    step: int = Field(description="the step's index in the leg, from 0")
    by: ActorId = Field(description="who did it")
    successor: str | None = Field(
        None, description="the deployment for which the bake ended early, since it waited for nothing else"
    )

    def _summary(self) -> str:
        if self.successor is not None:
            return f"ended the bake of step {self.step + 1} early for deployment {self.successor}, by {self.by}"
        return f"resumed after step {self.step + 1} by {self.by}"


class DeploymentFastForwarded(Fact):
    """The deployment was promoted in full: these forward steps are skipped."""

    NAME: ClassVar[str] = "deployment.fast_forwarded"
    skipped: tuple[int, ...] = Field(description="the forward steps that are left out")
    by: ActorId = Field(description="who did it")

    def _summary(self) -> str:
        steps = ", ".join(str(index + 1) for index in self.skipped)
        return f"promoted in full by {self.by}; skipped steps {steps}"


class DeploymentAborting(Fact):
    """The deployment rolls back. `cause` is the kind of event that made it."""

    NAME: ClassVar[str] = "deployment.aborting"
    cause: Literal["person", "failed", "errored", "deadline", "superseded", "unwell", "blocked"] = Field(
        description="why: a person, a bad release, broken machinery, or a deadline that passed"
    )
    reason: Line = Field(description="why, in a sentence")
    by: ActorId | None = Field(None, description="who did it")
    note: Personal | None = Field(None, description="a remark, sealed")

    def _summary(self) -> str:
        return f"aborting ({self.cause}): {self.reason}"


class DeploymentSucceeded(Fact):
    """All steps of the plan are done."""

    NAME: ClassVar[str] = "deployment.succeeded"

    def _summary(self) -> str:
        return "succeeded"


class DeploymentRolledBack(Fact):
    """The deployment was undone; `empty`: no version served before it, and none serves now."""

    NAME: ClassVar[str] = "deployment.rolled_back"
    empty: bool = Field(description="nothing had served before, and nothing serves now")

    def _summary(self) -> str:
        return "rolled back; nothing had served before and nothing serves now" if self.empty else "rolled back"


class DeploymentRollbackFailed(Fact):
    """The rollback failed; a person must repair the places."""

    NAME: ClassVar[str] = "deployment.rollback_failed"
    reason: Line = Field(description="why, in a sentence")

    def _summary(self) -> str:
        return f"rollback failed, a person is needed: {self.reason}"


class DeploymentHalted(Fact):
    """The deployment stopped midway, since it has no rollback; a newer version must be deployed."""

    NAME: ClassVar[str] = "deployment.halted"
    reason: Line = Field(description="why, in a sentence")

    def _summary(self) -> str:
        return f"halted: {self.reason}"


class DeploymentRejected(Fact):
    """Approval was denied, or a rule that allowed it before forbids it now."""

    NAME: ClassVar[str] = "deployment.rejected"
    reason: Line = Field(description="why, in a sentence")

    def _summary(self) -> str:
        return f"rejected: {self.reason}"


class DeploymentExpired(Fact):
    """The deployment waited until its deadline."""

    NAME: ClassVar[str] = "deployment.expired"
    reason: Line = Field(description="why, in a sentence")

    def _summary(self) -> str:
        return f"expired: {self.reason}"


class DeploymentCancelled(Fact):
    """Somebody withdrew the deployment before it started."""

    NAME: ClassVar[str] = "deployment.cancelled"
    by: ActorId = Field(description="who did it")
    note: Personal | None = Field(None, description="a remark, sealed")

    def _summary(self) -> str:
        return f"cancelled by {self.by}"


class DeploymentSuperseded(Fact):
    """Another deployment replaced this one before it started.

    That is a newer plan of the same release for the same environment, or one that was deployed with `supersede`.
    """

    NAME: ClassVar[str] = "deployment.superseded"
    successor: str = Field(description="the deployment that took its place")

    def _summary(self) -> str:
        return f"superseded by {self.successor}"


DeploymentEvent = (
    DeploymentPlanned
    | DeploymentReplanned
    | DeploymentRequested
    | DeploymentInsisted
    | DeploymentApprovalAwaited
    | DeploymentQueued
    | DeploymentStarted
    | DeploymentStepStarted
    | DeploymentStepSucceeded
    | DeploymentStepFailed
    | DeploymentStepErrored
    | DeploymentPaused
    | DeploymentResumed
    | DeploymentFastForwarded
    | DeploymentAborting
    | DeploymentSucceeded
    | DeploymentRolledBack
    | DeploymentRollbackFailed
    | DeploymentHalted
    | DeploymentRejected
    | DeploymentExpired
    | DeploymentCancelled
    | DeploymentSuperseded
)
