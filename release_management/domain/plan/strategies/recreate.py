"""The strategy `recreate`."""

from typing import ClassVar

from pydantic import Field

from release_management.domain.plan.builder import PlanBuilder, shares_of
from release_management.domain.plan.rollback import back_by_recreate
from release_management.domain.plan.steps import AnyStep
from release_management.domain.plan.strategy import Strategy
from release_management.kernel.types import Seconds


class Recreate(Strategy):
    """Stop the old version, then start the new one: an outage, but never two versions at once."""

    NAME: ClassVar[str] = "recreate"
    STOPS_FIRST: ClassVar[bool] = True
    scale_down_delay: Seconds = Field(0.0, description="no effect: the old version is stopped first")
    abort_scale_down_delay: Seconds = Field(0.0, description="no effect: the new version is stopped first")

    def bring(self, builder: PlanBuilder) -> None:
        """Take all traffic away, stop the old version, and start the new one."""
        builder.route(lambda rollout: {"stable": 0, "candidate": 0} if rollout.serving else None)
        builder.retire("stable")
        builder.beside(lambda rollout: rollout.replicas)
        builder.route(lambda rollout: shares_of(rollout, 100))
        builder.check_again()
        builder.promote()
        builder.clear()
        builder.give_up()

    def back(self, forward: PlanBuilder) -> list[AnyStep]:
        """Stop the new version, then start the old one."""
        return back_by_recreate(forward)
