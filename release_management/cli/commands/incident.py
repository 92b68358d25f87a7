"""`relman incident`."""

from enum import StrEnum
from typing import Annotated

import typer

from release_management.cli.commands.deployment import EnvironmentOption
from release_management.cli.commands.release import Application
from release_management.cli.kit.command import command
from release_management.cli.kit.output import (
    Limit,
    say,
    show,
    show_list,
)
from release_management.cli.kit.session import session

Id = Annotated[str, typer.Argument(metavar="ID", help="An incident's id.")]
Cause = Annotated[
    str | None,
    typer.Option("--deployment", metavar="ID|none", help="What caused it; 'none' where no deployment did."),
]
_TIME = "RFC 3339, a date, or so long ago, such as 20m."
_ID = "0199b2f4-8f10-7a22-8c3d-5e6f7a8b9c0d"
_DEPLOYMENT = "0199b2f4-6d3a-7c51-9a40-1f2e3d4c5b6a"


class Severity(StrEnum):
    """The severity of an incident."""

    critical = "critical"
    major = "major"
    minor = "minor"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Incidents: open, attribute, resolve, look at.", no_args_is_help=True)
    app.add_typer(group, name="incident")
    _stating(group)
    _looking(group)


def _stating(group: typer.Typer) -> None:
    @command(
        group,
        "open",
        example="relman incident open shop production --title 'Carts are empty' --severity major --detected 20m",
    )
    def open_(
        application: Annotated[str, typer.Argument(metavar="APP", help="The application.")],
        environment: Annotated[str, typer.Argument(metavar="ENV", help="The environment.")],
        title: Annotated[str, typer.Option("--title", metavar="TEXT", help="What is wrong; it is sealed.")],
        deployment: Cause = None,
        severity: Annotated[
            Severity | None, typer.Option("--severity", metavar="critical|major|minor", help="How bad it is.")
        ] = None,
        detected: Annotated[
            str | None, typer.Option("--detected", metavar="TIME", help=f"When it was noticed: {_TIME}")
        ] = None,
    ) -> None:
        """State that something went wrong where users are.

        Where nobody says what caused it, the metrics blame the newest deployment before.
        """
        with session(application) as opened:
            made = opened.manager.open_incident(
                title, environment, deployment, detected, None if severity is None else severity.value
            )
        show(made, made.render())
        say(f"  next: relman incident resolve {made.id}")

    @command(group, "attribute", example=f"relman incident attribute {_ID} --deployment {_DEPLOYMENT}")
    def attribute(
        id: Id,
        deployment: Annotated[
            str, typer.Option("--deployment", metavar="ID|none", help="What caused it; 'none' where no deployment did.")
        ],
    ) -> None:
        """State what caused an incident, in place of what was said before."""
        with session() as opened:
            made = opened.manager.attribute_incident(id, deployment)
        show(made, made.render())

    @command(
        group, "resolve", example=f"relman incident resolve {_ID} --deployment {_DEPLOYMENT} --note 'rolled it back'"
    )
    def resolve(
        id: Id,
        deployment: Annotated[
            str | None,
            typer.Option("--deployment", metavar="ID", help="The deployment that ended it: a hotfix, or a rollback."),
        ] = None,
        resolved: Annotated[
            str | None, typer.Option("--resolved", metavar="TIME", help=f"When it was over: {_TIME}")
        ] = None,
        note: Annotated[str | None, typer.Option("--note", metavar="TEXT", help="How; it is sealed.")] = None,
    ) -> None:
        """State that an incident is over."""
        with session() as opened:
            made = opened.manager.resolve_incident(id, deployment, note, resolved)
        show(made, made.render())
        say(f"  next: relman metrics dora --app {made.application}")


def _looking(group: typer.Typer) -> None:
    @command(group, "list", example="relman incident list --open\nrelman incident list --environment production")
    def list_(
        application: Application = None,
        environment: EnvironmentOption = None,
        open_only: Annotated[bool, typer.Option("--open", help="Only those that are not over.")] = False,
        limit: Limit = None,
    ) -> None:
        """List incidents, the last opened first."""
        from release_management.facade.views import Incident, short_time

        filters = {"application": application, "environment": environment, "open": True if open_only else None}
        with session() as opened:
            show_list(
                map(Incident.model_validate, opened.rows("incidents", limit=limit, **filters)),
                *("id", "application", "environment", "severity", "title", "detected", "resolved", "cause"),
                cells=lambda each: (
                    *(each.id, each.application, each.environment, each.severity, each.title),
                    *(short_time(each.detected_at), short_time(each.resolved_at) or "open", each.blamed),
                ),
                empty="there is no incident",
            )

    @command(group, "show", example=f"relman incident show {_ID}")
    def show_(id: Id) -> None:
        """Show an incident."""
        with session() as opened:
            found = opened.manager.incident(id)
        show(found, found.render())
