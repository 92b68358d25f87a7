"""`relman projections`."""

import time
from typing import Annotated, Any

import typer

from release_management.cli.kit.command import command
from release_management.cli.kit.output import (
    listing,
    say,
    show,
    show_list,
)
from release_management.cli.kit.progress import progress
from release_management.cli.kit.session import Session, session

_UNPARK = """relman projections unpark releases
relman projections unpark releases --stream release:shop@1.0.0"""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="The read models that queries are answered from.", no_args_is_help=True)
    app.add_typer(group, name="projections")

    @command(group, "list", example="relman projections list\nrelman projections list --parked")
    def list_(
        parked: Annotated[
            bool, typer.Option("--parked", help="The streams of which events were set aside, and why.")
        ] = False,
    ) -> None:
        """List the read models: how far each has come, and what it could not take in."""
        with session() as opened:
            if parked:
                _show_parked(opened)
            else:
                _show_projections(opened)

    @command(group, "rebuild", example="relman projections rebuild\nrelman projections rebuild deployments")
    def rebuild(
        name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One of them; else all.")] = None,
    ) -> None:
        """Make the read models anew from the log. The old ones answer until the new ones are complete."""
        began = time.monotonic()
        with session() as opened, progress() as report:
            opened.backend.rebuild(name, report)
        seconds = round(time.monotonic() - began, 3)
        show({"rebuilt": name or "all", "seconds": seconds})
        say(f"✔ {name or 'every projection'} was rebuilt from the log in {seconds:.1f} s")

    @command(group, "unpark", example=_UNPARK)
    def unpark(
        name: Annotated[str, typer.Argument(metavar="NAME", help="The read model.")],
        stream: Annotated[
            str | None, typer.Option("--stream", metavar="STREAM", help="One stream of events; else all.")
        ] = None,
    ) -> None:
        """Take in again what was set aside, once its cause is gone. Each stream goes on as far as it can."""
        with session() as opened:
            done = opened.backend.unpark(name, stream)
            show({"projection": name, "stream": stream, "taken_in": done.taken_in, "still_parked": done.left})
            say(f"✔ {name} has taken in {done.taken_in:,} events that were set aside; {done.left:,} still are")
            if done.left:
                say("why: relman projections list --parked")


def _show_projections(opened: Session) -> None:
    found = opened.query("projections")
    columns = ("projection", "version", "position", "behind", "parked", "being built")
    show(found, listing(*columns, rows=map(_cells, found), empty="there is no projection yet"))


def _cells(row: dict[str, Any]) -> tuple[object, ...]:
    parked = f"{row['parked']:,} events of {row['streams']:,} streams" if row["parked"] else "none"
    building = "no" if row["building"] is None else f"at {row['building']:,}"
    behind = f"{row['lag']:,}" if row["lag"] else "no"
    return row["name"], row["version"], f"{row['position']:,}", behind, parked, building


def _show_parked(opened: Session) -> None:
    show_list(
        opened.rows("parked"),
        *("projection", "stream", "events", "from position", "type", "reason"),
        cells=lambda row: (
            *(row["projection"], row["stream"], f"{row['events']:,}"),
            *(row["position"], row["type"], row["reason"]),
        ),
        empty="nothing is set aside",
    )
