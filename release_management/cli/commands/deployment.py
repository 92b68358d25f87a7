"""`relman deployment`."""

from typing import Annotated

import typer

from release_management.cli.commands.release import Application
from release_management.cli.kit.command import command
from release_management.cli.kit.follow import conclude
from release_management.cli.kit.next_step import next_step
from release_management.cli.kit.output import (
    All,
    Limit,
    say,
    show,
    show_list,
)
from release_management.cli.kit.session import session

Id = Annotated[str, typer.Argument(metavar="ID", help="A deployment's id.")]
Reason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why; it is kept.")]
EnvironmentOption = Annotated[
    str | None, typer.Option("--environment", metavar="ENV", help="Only of this environment.")
]
_ID = "0199b2f4-6d3a-7c51-9a40-1f2e3d4c5b6a"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Deployments: look at, promote, abort, roll back, retry.", no_args_is_help=True)
    app.add_typer(group, name="deployment")
    _looking(group)
    _going_on(group)
    _going_back(group)


def _looking(group: typer.Typer) -> None:
    @command(group, "list", example="relman deployment list --environment production --active")
    def list_(
        environment: EnvironmentOption = None,
        application: Application = None,
        active: Annotated[bool, typer.Option("--active", help="Only those that have not ended.")] = False,
        limit: Limit = None,
    ) -> None:
        """List deployments, newest first."""
        from release_management.facade.views import Deployment, short_time

        filters = {"environment": environment, "application": application, "active": active or None}
        with session() as opened:
            show_list(
                map(Deployment.model_validate, opened.rows("deployments", limit=limit, **filters)),
                *("deployment", "release", "environment", "strategy", "phase", "by", "created"),
                cells=lambda each: (
                    *(each.id, each.release, each.environment, each.strategy, each.phase),
                    *(each.requested_by or each.by, short_time(each.created)),
                ),
                empty="there is no such deployment; begin one with: relman deploy APP@VERSION ENV",
            )

    @command(group, "show", example=f"relman deployment show {_ID}")
    def show_(id: Id, everything: All = False) -> None:
        """Show a deployment: its plan, where each step stands, and what could be done next."""
        with session() as opened:
            found = opened.manager.deployment(id)
        show(found, found.render(whole=everything))
        say(f"next: {next_step(found)}")


def _going_on(group: typer.Typer) -> None:
    @command(
        group, "promote", example=f"relman deployment promote {_ID} --step 4\nrelman deployment promote {_ID} --full"
    )
    def promote(
        id: Id,
        step: Annotated[
            int | None,
            typer.Option("--step", min=1, metavar="N", help="The pause that you saw; what pauses once needs none."),
        ] = None,
        full: Annotated[bool, typer.Option("--full", help="Skip all the pauses that are left, too.")] = False,
    ) -> None:
        """End the pause that a deployment is in, if it is still the one that you saw."""
        with session() as opened:
            found = opened.manager.promote(id, full, step)
        conclude(found)

    @command(group, "retry", example=f"relman deployment retry {_ID}")
    def retry(id: Id) -> None:
        """Deploy again what has ended without success; that is a deployment of its own."""
        with session() as opened:
            found = opened.manager.retry(id)
        conclude(found)


def _going_back(group: typer.Typer) -> None:
    @command(group, "abort", example=f"relman deployment abort {_ID} --reason 'errors in checkout'")
    def abort(id: Id, reason: Reason = None) -> None:
        """Go back to the stable version; a deployment that has not started is cancelled."""
        with session() as opened:
            found = opened.manager.abort(id, reason)
        conclude(found, back=True)

    @command(group, "rollback", example=f"relman deployment rollback {_ID}")
    def rollback(id: Id, reason: Reason = None) -> None:
        """Abort what runs; leave what has succeeded, or could not go back, by deploying the version before it."""
        with session() as opened:
            found = opened.manager.rollback(id, reason)
        conclude(found, back=True)
