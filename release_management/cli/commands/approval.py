"""`relman approval`."""

from typing import TYPE_CHECKING, Annotated

import typer

from release_management.cli.kit.command import command
from release_management.cli.kit.output import (
    Limit,
    say,
    show,
    show_list,
)
from release_management.cli.kit.session import session

if TYPE_CHECKING:
    from release_management.facade.views import Approval

Id = Annotated[str, typer.Argument(metavar="ID", help="An approval's id, or its deployment's.")]
Note = Annotated[str | None, typer.Option("--note", metavar="TEXT", help="Why; it is kept.")]
_ID = "0199b2f4-8f10-7a22-8c3d-5e6f7a8b9c0d"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Approvals: ask for, grant, refuse.", no_args_is_help=True)
    app.add_typer(group, name="approval")
    _asking(group)
    _deciding(group)


def _asking(group: typer.Typer) -> None:
    @command(group, "list", example="relman approval list\nrelman approval list --all")
    def list_(
        every: Annotated[bool, typer.Option("--all", help="Those that were decided on, too.")] = False,
        limit: Limit = None,
    ) -> None:
        """List the approvals that wait, newest first."""
        from release_management.facade.views import Approval, short_time

        with session() as opened:
            show_list(
                map(Approval.model_validate, opened.rows("approvals", waiting=not every, limit=limit)),
                *("approval", "release", "environment", "phase", "granted", "asked by", "requested"),
                cells=lambda each: (
                    *(each.id, each.release, each.environment, each.phase),
                    *(_granted(each), each.by, short_time(each.requested)),
                ),
                empty="no approval waits",
            )

    @command(group, "request", example="relman approval request 0199b2f4-6d3a-7c51-9a40-1f2e3d4c5b6a")
    def request(
        deployment: Annotated[str, typer.Argument(metavar="DEPLOYMENT", help="The id of a planned deployment.")],
    ) -> None:
        """Ask for approval of a planned deployment before it is deployed."""
        with session() as opened:
            made = opened.manager.request_approval(deployment)
        show(made, made.render())
        say(f"  next: relman approval grant {made.id} (somebody else)")


def _deciding(group: typer.Typer) -> None:
    @command(group, "grant", example=f"relman approval grant {_ID} --as bob --note 'tested on staging'")
    def grant(id: Id, note: Note = None) -> None:
        """Agree to exactly the release, plan and evidence that the approval names."""
        with session() as opened:
            made = opened.manager.approve(id, note)
        show(made, made.render())
        say(f"  next: relman deployment show {made.deployment}")

    @command(group, "refuse", example=f"relman approval refuse {_ID} --note 'not before Monday'")
    def refuse(id: Id, note: Note = None) -> None:
        """Disagree, which ends the deployment."""
        with session() as opened:
            made = opened.manager.refuse(id, note)
        show(made, made.render())
        say(f"  next: relman deployment show {made.deployment}")


def _granted(approval: "Approval") -> str:
    return f"{len(approval.signatures)} of {approval.rule.get('required', 1)}"
