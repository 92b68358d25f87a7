"""Infer the deployment that caused an incident, if nobody has attributed it."""

from typing import Any

from sqlalchemy import ScalarSelect, case, or_, select

from release_management.projections.dora.delivery_tables import deliveries
from release_management.projections.incidents import incidents


def suspected() -> ScalarSelect[Any]:
    """Return a subquery for the deployment that users met when the incident was detected, or none.

    It is the newest one of the application in the environment that users had met by then and that had not been rolled
    back by then: during a canary the candidate's, while the old version is merely kept the new one's. One that ended
    long before does not count.
    """
    at, newest = incidents.c, deliveries.alias("newest")
    reached, place = newest.c.place_reached, at.environment + "/" + at.application + "/"
    recent = or_(newest.c.suspect_until.is_(None), newest.c.suspect_until >= at.detected_at)
    return (
        select(case((recent, newest.c.id)))
        .where(
            newest.c.environment == at.environment,
            newest.c.application == at.application,
            reached >= place,
            reached <= place + at.detected_at + "/99999999999999999999",
            or_(newest.c.gone.is_(None), newest.c.gone > at.detected_at),
        )
        .order_by(reached.desc())
        .limit(1)
        .scalar_subquery()
    )
