"""The strategy `blue-green`."""

from typing import ClassVar

from pydantic import Field

from release_management.domain.plan.builder import PlanBuilder
from release_management.domain.plan.strategy import Strategy
from release_management.kernel.types import Replicas, Seconds


class BlueGreen(Strategy):
    """Start the new version beside the old one, then switch all traffic at once.

    `auto_promotion` False waits for a person before the switch, at most `pause_deadline`; `auto_promotion_seconds`
    waits that long; `preview_replicas` run until the switch, then all.
    """

    NAME: ClassVar[str] = "blue-green"
    SHIFTS_TRAFFIC: ClassVar[bool] = True
    auto_promotion: bool = Field(True, description="false: wait for a person before the switch")
    auto_promotion_seconds: Seconds | None = Field(None, description="wait so long before the switch")
    preview_replicas: Replicas | None = Field(
        None, description="how many instances of the new version run until the switch; then all"
    )
    pause_deadline: Seconds = Field(
        7 * 86_400.0, description="how long a person may take; then the deployment goes back"
    )

    def bring(self, builder: PlanBuilder) -> None:
        """Run the new version beside the old one, pause if the options ask for it, and switch."""
        preview = self.preview_replicas
        builder.beside(lambda rollout: min(preview or rollout.replicas, rollout.replicas))
        if self.auto_promotion_seconds:
            builder.pause("before the switch", self.auto_promotion_seconds)
        elif not self.auto_promotion:
            builder.pause("before the switch", None, deadline=self.pause_deadline)
        if preview is not None and any(preview < rollout.replicas for rollout in builder.rollouts):
            builder.beside(lambda rollout: rollout.replicas)
        builder.finish()
