"""How far each projection's build has come, and which events were set aside."""

from sqlalchemy import BigInteger, Column, Integer, MetaData, Select, Table, func, select

from release_management.projections.columns import document, flag, key, number, position, text

METADATA = MetaData()

builds = Table(
    "read_builds",
    METADATA,
    key("projection"),
    Column("build", Integer, primary_key=True, autoincrement=False),
    number("version"),
    document("tables"),
    position(),
    flag("live"),
)

parked = Table(
    "read_parked",
    METADATA,
    key("projection"),
    Column("build", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    text("stream"),
    text("type"),
    text("reason"),
)


def standing() -> Select[tuple[str, int, int, int]]:
    """Per live projection: its version, the position that it has taken in, and how many events it has parked."""
    aside = (
        select(func.count())
        .select_from(parked)
        .where(parked.c.projection == builds.c.projection, parked.c.build == builds.c.build)
        .scalar_subquery()
    )
    return (
        select(builds.c.projection, builds.c.version, builds.c.position, aside.label("parked"))
        .where(builds.c.live)
        .order_by(builds.c.projection)
    )
