"""The options that every strategy takes."""

from pydantic import Field

from release_management.kernel.types import (
    Replicas,
    Seconds,
    Value,
)


class Options(Value):
    """The options of every strategy.

    `replicas` (None: what the target says), `min_ready` seconds healthy without a break, `healthy_deadline` to become
    so, `scale_down_delay` before the old version is stopped, `abort_scale_down_delay` before an aborted one is. A plan
    that nobody deploys expires after `plan_deadline`, which is as long as an approval may take unless said otherwise.
    """

    replicas: Replicas | None = Field(None, description="how many instances; absent: what the component's settings say")
    min_ready: Seconds = Field(0.0, description="how long an instance must be healthy without a break")
    healthy_deadline: Seconds = Field(
        300.0, description="how long it may take to become so; then the release has failed"
    )
    scale_down_delay: Seconds = Field(
        30.0,
        description="how long the old version stays after the switch; until then at most, where the next deployment "
        "waits",
    )
    abort_scale_down_delay: Seconds = Field(
        30.0,
        description="how long an aborted version stays after the traffic has left it; until then at most, where the "
        "next deployment waits",
    )
    plan_deadline: Seconds = Field(
        30 * 86_400.0, description="how long a plan may wait to be deployed; then it expires"
    )
