"""`relman env`."""

from typing import TYPE_CHECKING, Annotated

import typer

from release_management.cli.command import command
from release_management.cli.output import listing, show
from release_management.cli.session import session

if TYPE_CHECKING:
    from release_management.views import Environment

Name = Annotated[str, typer.Argument(metavar="NAME", help="An environment.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Environments, and what runs there.", no_args_is_help=True)
    app.add_typer(group, name="env")

    @command(group, "list", example="relman env list\nrelman env list --json")
    def list_() -> None:
        """List the environments in order, with what runs in each."""
        with session() as opened:
            found = opened.manager.environments()
        rows = (
            (each.name, each.label, each.tier, each.order, each.approval.get("required", 0), targets(each), runs(each))
            for each in found
        )
        columns = ("environment", "label", "tier", "order", "approvals", "targets", "runs")
        show(found, listing(*columns, rows=rows, empty="there is no environment yet; begin with: relman init"))

    @command(group, "show", example="relman env show production")
    def show_(name: Name) -> None:
        """Show an environment: its rules, its targets, and what runs there, intended beside observed traffic."""
        with session() as opened:
            found = opened.manager.environment(name)
        components = [
            (target["name"], target["executor"], component, settings.get("port"), " ".join(settings.get("command", [])))
            for target in found.targets
            for component, settings in target["components"].items()
        ]
        columns = ("target", "executor", "component", "port", "command")
        show(found, found.render(), listing(*columns, rows=components, empty="no target has a component yet"))


def targets(environment: "Environment") -> str:
    """The targets' names."""
    return ", ".join(target["name"] for target in environment.targets)


def runs(environment: "Environment") -> str:
    """Each component's stable version."""
    stable = [slot for slot in environment.running if slot.role == "stable"]
    return ", ".join(f"{slot.application}/{slot.component} {slot.version}" for slot in stable) or "nothing yet"
