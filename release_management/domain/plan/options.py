"""The options that every strategy takes."""

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

    replicas: Replicas | None = None
    min_ready: Seconds = 0.0
    healthy_deadline: Seconds = 300.0
    scale_down_delay: Seconds = 30.0
    abort_scale_down_delay: Seconds = 30.0
    plan_deadline: Seconds = 30 * 86_400.0
