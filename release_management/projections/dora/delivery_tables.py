"""The tables of the facts that delivery is measured by."""

from sqlalchemy import MetaData, Table

from release_management.projections.kit.columns import (
    document,
    flag,
    key,
    position,
    text,
)

METADATA = MetaData()

SUSPECT_DAYS = 7
"""An incident that nobody attributed is not blamed on a deployment that was over longer before."""

deliveries = Table(
    "delivery",
    METADATA,
    key("id"),
    text("release", index=True),
    text("application"),
    text("version"),
    text("environment"),
    text("strategy"),
    text("reverts", index=True),
    text("restores", index=True),
    text("planned"),
    text("started"),
    text("reached"),
    text("gone"),
    text("failing"),
    text("cause"),
    text("finished", index=True),
    text("outcome"),
    text("suspect_until"),
    text("place_reached", index=True),
    text("place_time", index=True),
    document("reaching"),
    document("leaving"),
    document("exposed"),
    flag("first"),
    document("before"),
    position(),
    text("event"),
)
"""`failing` is when it began to go back, for `cause`. `position` and `event` are the record's that ended it.

`reached` is when users first met it, `gone` when it had gone back and nobody met it any more; `exposed` holds where
they do. `restores`: of a rollback, the deployment that had brought its release there. `first`: nothing of the
application had succeeded there before; `before`: what earlier deployments had brought there, once it has succeeded.

`place_time` orders the deployments that ended, of one application in one environment, by one look into its index;
`place_reached` those that users met, by when they did.
"""

releases = Table(
    "delivery_releases",
    METADATA,
    key("release"),
    text("application"),
    document("contents"),
    text("made", index=True),
    text("highest", index=True),
)
"""`made` orders an application's releases by creation, `highest` by the greatest version of a component."""

changes = Table(
    "delivery_changes",
    METADATA,
    key("release"),
    key("commit", index=True),
    text("committed"),
    text("application"),
)
"""`committed` is UTC, or nothing where what was said is no time."""

commits = Table("delivery_commits", METADATA, key("application"), key("commit"), document("stated"))
"""The names of the releases that state a commit, without those that contain another one of them."""

brought = Table("delivery_brought", METADATA, key("environment"), key("release"), text("deployment"))
"""The newest deployment, no rollback, that brought a release to an environment."""

reach = Table("delivery_reach", METADATA, key("environment"), key("application"), document("reach"))
"""What the deployments of an application have brought to an environment."""

clock = Table("delivery_clock", METADATA, key("name"), text("time"))
"""The latest time that was seen."""


def made(application: str, position: int) -> str:
    """Where a release stands among its application's by creation."""
    return f"{application}/{position:020d}"


def highest(application: str, order: str) -> str:
    """Where a release stands among its application's by version."""
    return f"{application}/{order}"
