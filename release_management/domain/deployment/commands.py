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
    release: ReleaseRef
    environment: GivenName
    strategy: StrategyName | None = None
    options: Options = {}


class PreviewDeployment(Command):
    """Show the plan and what every rule says of it; nothing is recorded. `redeploy`: as `deployment.deploy` has it.

    A plan with more than `limit` steps is shown in parts: `after` leaves out so many steps of each leg.
    """

    NAME: ClassVar[str] = "deployment.preview"
    release: ReleaseRef
    environment: GivenName
    strategy: StrategyName | None = None
    options: Options = {}
    redeploy: bool = False
    after: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=500)] = 500
    supersede: bool = False
    downgrade: bool = False


class Deploy(Command):
    """Plan unless it is planned already, and carry it out as soon as the rules allow.

    `supersede`: what holds or awaits its places goes back to the stable version first, which stays the base (a hotfix
    that cannot wait for a canary); otherwise it waits for its turn. `downgrade`: it may bring an older version than
    runs there, or is on its way. Both hold until it begins, and may be said of one that waits already.

    `redeploy`: what runs already in the same version with the same configuration is brought again, to repair it.
    """

    NAME: ClassVar[str] = "deployment.deploy"
    NEEDS_WORKERS: ClassVar[bool] = True
    release: ReleaseRef
    environment: GivenName
    strategy: StrategyName | None = None
    options: Options = {}
    supersede: bool = False
    redeploy: bool = False
    downgrade: bool = False


class Promote(Command):
    """End the pause at `step`, the one that was seen; `full` skips what is left of pauses and traffic steps too.

    Without `step` only a deployment that pauses once is promoted, or one in full.
    """

    NAME: ClassVar[str] = "deployment.promote"
    NEEDS_WORKERS: ClassVar[bool] = True
    deployment: Id
    step: int | None = None
    full: bool = False


class Abort(Command):
    """Go back to the stable version; before the start: cancel."""

    NAME: ClassVar[str] = "deployment.abort"
    NEEDS_WORKERS: ClassVar[bool] = True
    deployment: Id
    reason: Note | None = None


class Rollback(Command):
    """Abort while it runs. Afterwards: a new deployment of the version before it, which says what it reverts.

    Also where it could not go back by itself: then that sets right what was left. Instead of the `deployment`, an
    `application` and an `environment` may be given: what is under way there, else what succeeded there last. Then `to`
    may name any earlier version that succeeded there: each component goes back to what it was in that version, and what
    is under way there goes back first.
    """

    NAME: ClassVar[str] = "deployment.rollback"
    NEEDS_WORKERS: ClassVar[bool] = True
    deployment: Id | None = None
    application: GivenName | None = None
    environment: GivenName | None = None
    to: Version | None = None
    reason: Note | None = None

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
    deployment: Id


class ReportStep(Report, Command):
    """Report the result of a step order."""

    NAME: ClassVar[str] = "deployment.report_step"
    GIVEN_BY: ClassVar[Giver] = Giver.EXECUTORS


class Proceed(Command):
    """Look again whether it may start."""

    NAME: ClassVar[str] = "deployment.proceed"
    GIVEN_BY: ClassVar[Giver] = Giver.ORCHESTRATOR
    deployment: Id


class Resume(Command):
    """The time of a timed pause is over."""

    NAME: ClassVar[str] = "deployment.resume"
    GIVEN_BY: ClassVar[Giver] = Giver.TIMERS
    deployment: Id
    leg: Leg
    step: int


class RetryStep(Command):
    """The time to try a step again has come."""

    NAME: ClassVar[str] = "deployment.retry_step"
    GIVEN_BY: ClassVar[Giver] = Giver.TIMERS
    deployment: Id
    leg: Leg
    step: int
    attempt: int


class ExpireStep(Command):
    """A step's deadline has passed without a report."""

    NAME: ClassVar[str] = "deployment.expire_step"
    GIVEN_BY: ClassVar[Giver] = Giver.TIMERS
    IS_DEADLINE: ClassVar[bool] = True
    deployment: Id
    leg: Leg
    step: int
    attempt: int


class Expire(Command):
    """The deadline of a waiting phase has passed."""

    NAME: ClassVar[str] = "deployment.expire"
    GIVEN_BY: ClassVar[Giver] = Giver.TIMERS
    IS_DEADLINE: ClassVar[bool] = True
    deployment: Id
