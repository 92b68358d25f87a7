"""`relman events`."""

import json
from typing import Annotated

import typer

from release_management.cli.kit.command import command
from release_management.cli.kit.output import line
from release_management.cli.kit.session import session

LAST = 10


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="The events, as they happen.", no_args_is_help=True)
    app.add_typer(group, name="events")

    @command(group, "tail", example="relman events tail\nrelman events tail --after 0 --json | jq .event.type")
    def tail(
        after: Annotated[
            int | None,
            typer.Option(
                "--after", min=0, metavar="POSITION", help=f"Begin after this position; else {LAST} before the end."
            ),
        ] = None,
    ) -> None:
        """Print events as they happen, one line each, until ctrl-C.

        With --json each line is {"position": …, "event": …}; the event is the CloudEvents document as it is stored.
        """
        from release_management.facade.views import short_time

        with session() as opened:
            opened.backend.start_workers()
            if after is None:
                positions = [int(row["position"]) for row in opened.query("position")]
                after = max(max(positions, default=0) - LAST, 0)
            for recorded in opened.backend.records(after, follow=True):
                event = json.loads(recorded.record)
                text = f"{recorded.position:>6}  {short_time(event['time'])}  {event['type']:<32} {event['subject']}"
                line({"position": recorded.position, "event": event}, text)
