"""`relman projections`."""

import time
from typing import Annotated

import typer

from release_management.cli.command import command
from release_management.cli.output import say, show
from release_management.cli.session import session


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="The read models that queries are answered from.", no_args_is_help=True)
    app.add_typer(group, name="projections")

    @command(group, "rebuild", example="relman projections rebuild\nrelman projections rebuild deployments")
    def rebuild(
        name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One of them; else all.")] = None,
    ) -> None:
        """Make the read models anew from the log. The old ones answer until the new ones are complete."""
        began = time.monotonic()
        with session() as opened:
            opened.backend.rebuild(name)
        seconds = round(time.monotonic() - began, 3)
        show({"rebuilt": name or "all", "seconds": seconds})
        say(f"✔ {name or 'every projection'} was rebuilt from the log in {seconds:.1f} s")
