"""The commands on a deployment."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, JsonValue, model_validator

from release_management.domain.orders import Report
from release_management.domain.plan import Leg
from release_management.domain.plan.strategies import StrategyName
from release_management.domain.release_commands import ReleaseRef
from release_management.kernel.names import GivenName
from release_management.kernel.types import (
    Command,
    Giver,
    Id,
    Note,
    Version,
)

Options = Annotated[dict[str, JsonValue], Field(max_length=50)]


class PlanDeployment(Command):
    """Compile a plan and record it. The same command again, with nothing changed, returns the same deployment."""

    NAME: ClassVar[str] = "deployment.plan"
    release: ReleaseRef = Field(description="the release")
    environment: GivenName = Field(description="the environment")
    strategy: StrategyName | None = Field(None, description="absent: what the release or the policy says")
    options: Options = Field({}, description="the strategy's options")


class Deploy(Command):
    """Plan unless a plan exists, and start as soon as the rules allow.

    `supersede`: deployments that hold or await its places first go back to the stable version, which stays the base
    (for a hotfix that cannot wait for a canary); otherwise this one waits for its turn. `downgrade`: it may bring an
    older version than one that runs there or is on its way. Both hold until it starts, and may be added to one that
    waits already.

    `redeploy`: components that run already in the same version with the same configuration are deployed again, as a
    repair.
    """

    NAME: ClassVar[str] = "deployment.deploy"
    NEEDS_WORKERS: ClassVar[bool] = True
    release: ReleaseRef = Field(description="the release")
    environment: GivenName = Field(description="the environment")
    strategy: StrategyName | None = Field(None, description="absent: what the release or the policy says")
    options: Options = Field({}, description="the strategy's options")
    supersede: bool = Field(
        False, description="whether what holds or awaits the same places goes back first, instead of being waited for"
    )
    redeploy: bool = Field(False, description="whether what runs already is brought again, to repair it")
    downgrade: bool = Field(
        False,
        description="whether it may bring an older version than runs there, or is on its way; it may be said of one "
        "that waits already",
    )


class Promote(Command):
    """End the pause at `step`; `full` skips the remaining pauses and traffic steps too.

    Without `step` a deployment is promoted only in full, or if its plan has a single pause.
    """

    NAME: ClassVar[str] = "deployment.promote"
    NEEDS_WORKERS: ClassVar[bool] = True
    deployment: Id = Field(description="the deployment's id")
    step: int | None = Field(
        None, description="the pause that was seen, by the step's index from 0; absent: what pauses once, or in full"
    )
    full: bool = Field(False, description="skip all pauses that are left, and all traffic steps but the last")


class Abort(Command):
    """Roll back to the stable version; a deployment that has not started is cancelled."""

    NAME: ClassVar[str] = "deployment.abort"
    NEEDS_WORKERS: ClassVar[bool] = True
    deployment: Id = Field(description="the deployment's id")
    reason: Note | None = Field(None, description="why; it is sealed before it is recorded")


class Rollback(Command):
    """Abort a running deployment, or revert one that has ended by a new deployment of the version before.

    If the deployment failed to roll back, the new one repairs its places. In place of `deployment`, an `application`
    and an `environment` may be given: they mean the deployment under way there, else the one that succeeded there last.
    Then `to` may name any earlier version that succeeded there: each component returns to its content in that version,
    and a deployment under way there is rolled back first.
    """

    NAME: ClassVar[str] = "deployment.rollback"
    NEEDS_WORKERS: ClassVar[bool] = True
    deployment: Id | None = Field(
        None,
        description="the deployment to go back from; absent: what is under way in the environment, else what "
        "succeeded there last",
    )
    application: GivenName | None = Field(
        None, description="the application that goes back, where no deployment is given"
    )
    environment: GivenName | None = Field(None, description="where it goes back, where no deployment is given")
    to: Version | None = Field(
        None, description="an earlier version that succeeded there; absent: what was there before"
    )
    reason: Note | None = Field(None, description="why, where it aborts; it is sealed before it is recorded")

    @model_validator(mode="after")
    def _one(self) -> Self:
        somewhere = (self.application, self.environment, self.to)
        if self.deployment is not None and somewhere != (None, None, None):
            raise ValueError("give either a deployment, or an application and an environment")
        if self.deployment is None and (self.application is None or self.environment is None):
            raise ValueError("give a deployment, or an application and an environment")
        return self


class Retry(Command):
    """Repeat a deployment that did not succeed, as a new deployment, which names the one that it retries."""

    NAME: ClassVar[str] = "deployment.retry"
    NEEDS_WORKERS: ClassVar[bool] = True
    deployment: Id = Field(description="the deployment's id")


class ReportStep(Report, Command):
    """Report the result of a step order."""

    NAME: ClassVar[str] = "deployment.report_step"
    GIVEN_BY: ClassVar[Giver] = Giver.EXECUTORS


class Proceed(Command):
    """Evaluate again whether the deployment may start."""

    NAME: ClassVar[str] = "deployment.proceed"
    GIVEN_BY: ClassVar[Giver] = Giver.ORCHESTRATOR
    deployment: Id = Field(description="the deployment's id")


class Resume(Command):
    """End a timed pause whose time is over."""

    NAME: ClassVar[str] = "deployment.resume"
    GIVEN_BY: ClassVar[Giver] = Giver.TIMERS
    deployment: Id = Field(description="the deployment's id")
    leg: Leg = Field(description="whether it is on the way forward or on the way back")
    step: int = Field(description="the step's index in the leg, from 0")


class RetryStep(Command):
    """Try a step again whose retry time has come."""

    NAME: ClassVar[str] = "deployment.retry_step"
    GIVEN_BY: ClassVar[Giver] = Giver.TIMERS
    deployment: Id = Field(description="the deployment's id")
    leg: Leg = Field(description="whether it is on the way forward or on the way back")
    step: int = Field(description="the step's index in the leg, from 0")
    attempt: int = Field(description="which try of the step this is, from 1")


class ExpireStep(Command):
    """End a step whose deadline has passed without a report."""

    NAME: ClassVar[str] = "deployment.expire_step"
    GIVEN_BY: ClassVar[Giver] = Giver.TIMERS
    IS_DEADLINE: ClassVar[bool] = True
    deployment: Id = Field(description="the deployment's id")
    leg: Leg = Field(description="whether it is on the way forward or on the way back")
    step: int = Field(description="the step's index in the leg, from 0")
    attempt: int = Field(description="which try of the step this is, from 1")


class Expire(Command):
    """End a waiting phase whose deadline has passed."""

    NAME: ClassVar[str] = "deployment.expire"
    GIVEN_BY: ClassVar[Giver] = Giver.TIMERS
    IS_DEADLINE: ClassVar[bool] = True
    deployment: Id = Field(description="the deployment's id")
