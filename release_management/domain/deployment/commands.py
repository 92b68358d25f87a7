"""The commands on a deployment."""

from typing import Annotated, ClassVar, Self

from pydantic import Field, JsonValue, model_validator

from release_management.domain.orders import Report
from release_management.domain.plan import Leg
from release_management.domain.plan.strategies import StrategyName
from release_management.domain.release import ReleaseRef
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
    """Compile a plan and keep it. Asked again unchanged, it is the same deployment."""

    NAME: ClassVar[str] = "deployment.plan"
    release: ReleaseRef = Field(description="the release")
    environment: GivenName = Field(description="the environment")
    strategy: StrategyName | None = Field(None, description="absent: what the release or the policy says")
    options: Options = Field({}, description="the strategy's options")


class Deploy(Command):
    """Plan unless it is planned already, and carry it out as soon as the rules allow.

    `supersede`: what holds or awaits its places goes back to the stable version first, which stays the base (a hotfix
    that cannot wait for a canary); otherwise it waits for its turn. `downgrade`: it may bring an older version than
    runs there, or is on its way. Both hold until it begins, and may be said of one that waits already.

    `redeploy`: what runs already in the same version with the same configuration is brought again, to repair it.
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
    """End the pause at `step`, the one that was seen; `full` skips what is left of pauses and traffic steps too.

    Without `step` only a deployment that pauses once is promoted, or one in full.
    """

    NAME: ClassVar[str] = "deployment.promote"
    NEEDS_WORKERS: ClassVar[bool] = True
    deployment: Id = Field(description="the deployment's id")
    step: int | None = Field(
        None, description="the pause that was seen, by the step's index from 0; absent: what pauses once, or in full"
    )
    full: bool = Field(False, description="skip all pauses that are left, and all traffic steps but the last")


class Abort(Command):
    """Go back to the stable version; before the start: cancel."""

    NAME: ClassVar[str] = "deployment.abort"
    NEEDS_WORKERS: ClassVar[bool] = True
    deployment: Id = Field(description="the deployment's id")
    reason: Note | None = Field(None, description="why; it is sealed before it is recorded")


class Rollback(Command):
    """Abort while it runs. Afterwards: a new deployment of the version before it, which says what it reverts.

    Also where it could not go back by itself: then that sets right what was left. Instead of the `deployment`, an
    `application` and an `environment` may be given: what is under way there, else what succeeded there last. Then `to`
    may name any earlier version that succeeded there: each component goes back to what it was in that version, and what
    is under way there goes back first.
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
    """Deploy again what did not succeed, as a new deployment which says what it retries."""

    NAME: ClassVar[str] = "deployment.retry"
    NEEDS_WORKERS: ClassVar[bool] = True
    deployment: Id = Field(description="the deployment's id")


class ReportStep(Report, Command):
    """Report the result of a step order."""

    NAME: ClassVar[str] = "deployment.report_step"
    GIVEN_BY: ClassVar[Giver] = Giver.EXECUTORS


class Proceed(Command):
    """Look again whether it may start."""

    NAME: ClassVar[str] = "deployment.proceed"
    GIVEN_BY: ClassVar[Giver] = Giver.ORCHESTRATOR
    deployment: Id = Field(description="the deployment's id")


class Resume(Command):
    """The time of a timed pause is over."""

    NAME: ClassVar[str] = "deployment.resume"
    GIVEN_BY: ClassVar[Giver] = Giver.TIMERS
    deployment: Id = Field(description="the deployment's id")
    leg: Leg = Field(description="whether it is on the way forward or on the way back")
    step: int = Field(description="the step's index in the leg, from 0")


class RetryStep(Command):
    """The time to try a step again has come."""

    NAME: ClassVar[str] = "deployment.retry_step"
    GIVEN_BY: ClassVar[Giver] = Giver.TIMERS
    deployment: Id = Field(description="the deployment's id")
    leg: Leg = Field(description="whether it is on the way forward or on the way back")
    step: int = Field(description="the step's index in the leg, from 0")
    attempt: int = Field(description="which try of the step this is, from 1")


class ExpireStep(Command):
    """A step's deadline has passed without a report."""

    NAME: ClassVar[str] = "deployment.expire_step"
    GIVEN_BY: ClassVar[Giver] = Giver.TIMERS
    IS_DEADLINE: ClassVar[bool] = True
    deployment: Id = Field(description="the deployment's id")
    leg: Leg = Field(description="whether it is on the way forward or on the way back")
    step: int = Field(description="the step's index in the leg, from 0")
    attempt: int = Field(description="which try of the step this is, from 1")


class Expire(Command):
    """The deadline of a waiting phase has passed."""

    NAME: ClassVar[str] = "deployment.expire"
    GIVEN_BY: ClassVar[Giver] = Giver.TIMERS
    IS_DEADLINE: ClassVar[bool] = True
    deployment: Id = Field(description="the deployment's id")
