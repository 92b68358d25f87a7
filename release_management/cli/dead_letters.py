"""`relman dead-letters`."""

from dataclasses import asdict

import typer

from release_management.cli.command import command
from release_management.cli.output import listing, show
from release_management.cli.release import Limit
from release_management.cli.session import session


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Messages that could not be understood.", no_args_is_help=True)
    app.add_typer(group, name="dead-letters")

    @command(group, "list", example="relman dead-letters list --limit 5")
    def list_(limit: Limit = 50) -> None:
        """List the newest messages that nobody will act on, with the reason of each."""
        from release_management.views import short_time

        with session() as opened:
            found = opened.backend.dead_letters(limit)
        rows = (
            (each.id, short_time(each.time), each.subject, each.size, each.reason, each.excerpt.replace("\n", " ")[:60])
            for each in found
        )
        columns = ("id", "time", "subject", "bytes", "reason", "begins with")
        show([asdict(each) for each in found], listing(*columns, rows=rows, empty="there is no dead letter"))
