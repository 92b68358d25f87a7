"""`relman rollback`."""

from typing import Annotated

import typer

from release_management.cli.commands.deployment import Reason
from release_management.cli.kit.command import command
from release_management.cli.kit.follow import (
    WAIT_SECONDS,
    conclude,
    follow,
)
from release_management.cli.kit.session import session

_EXAMPLE = """relman rollback shop production --wait
relman rollback shop production --to 1.0.0"""


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, "rollback", example=_EXAMPLE)
    def rollback(
        application: Annotated[str, typer.Argument(metavar="APP", help="The application.")],
        environment: Annotated[str, typer.Argument(metavar="ENV", help="Where it goes back.")],
        to: Annotated[
            str | None,
            typer.Option("--to", metavar="VERSION", help="Any earlier version that succeeded there; else the last."),
        ] = None,
        reason: Reason = None,
        wait: Annotated[
            bool, typer.Option("--wait", help="Print each step; wait until it ends or needs a person.")
        ] = False,
    ) -> None:
        """Go back in an environment: from what is under way, or else from what succeeded there last.

        With --to, to any earlier version in one step: on each target, each component to what it was in that version.
        What is under way goes back first. It asks for no approval where that version succeeded there within the
        policy's rollback window, or ran there directly before.
        """
        with session(application) as opened:
            found = opened.manager.rollback(reason=reason, environment=environment, to=to)
            if wait:
                follow(opened.manager, found, WAIT_SECONDS)
            else:
                conclude(found, back=True)
