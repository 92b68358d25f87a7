"""The tables of the facts of delivery."""

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
"""An inferred incident is not attributed to a deployment that ended longer before."""

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
"""`failing` is when it began to roll back, for `cause`. `position` and `event` are those of the record that ended it.

`reached` is when users first met it, `gone` when it was rolled back and nobody met it any more; `exposed` holds the
places where they do. `restores` is, for a rollback, the deployment that had brought its release there. `first` is True
if nothing of the application had succeeded there before; `before` is the reach before it, once it has succeeded.
`place_time` orders the ended deployments of one application in one environment by a single index; `place_reached` those
that users met, by the time.
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
"""`committed` is UTC, or null if the stated time is invalid."""

commits = Table("delivery_commits", METADATA, key("application"), key("commit"), document("stated"))
"""The names of the releases that state a commit, without those that contain another one of them."""

brought = Table("delivery_brought", METADATA, key("environment"), key("release"), text("deployment"))
"""The newest deployment, no rollback, that brought a release to an environment."""

reach = Table("delivery_reach", METADATA, key("environment"), key("application"), document("reach"))
"""The reach of an application's deployments in an environment."""

clock = Table("delivery_clock", METADATA, key("name"), text("time"))
"""The latest time of a record so far."""


def made(application: str, position: int) -> str:
    """Return the sort key of a release among its application's by creation."""
    return f"{application}/{position:020d}"


def highest(application: str, order: str) -> str:
    """Return the sort key of a release among its application's by version."""
    return f"{application}/{order}"
