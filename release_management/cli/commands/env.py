"""`relman env`."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from release_management.cli.kit.command import command
from release_management.cli.kit.errors import REFUSED
from release_management.cli.kit.output import (
    All,
    Limit,
    listing,
    say,
    show,
    show_list,
)
from release_management.cli.kit.session import session
from release_management.facade.summaries import MANY
from release_management.kernel.suggestions import first_few

if TYPE_CHECKING:
    from release_management.facade.views import Environment

Name = Annotated[str, typer.Argument(metavar="NAME", help="An environment.")]

TargetOption = Annotated[str | None, typer.Option("--target", metavar="TARGET", help="Only this target of it.")]
Reason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why, for the trail.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Environments, and what runs there.", no_args_is_help=True)
    app.add_typer(group, name="env")

    @command(group, "list", example="relman env list\nrelman env list --json")
    def list_(limit: Limit = None) -> None:
        """List the environments in order, with what runs in each and how it was seen last."""
        with session() as opened:
            found = islice(opened.manager.environments(), limit)
            columns = ("environment", "label", "tier", "order", "approvals", "targets", "runs", "is")
            show_list(found, *columns, cells=_cells, empty="there is no environment yet; begin with: relman init")

    @command(group, "show", example="relman env show production")
    def show_(name: Name, everything: All = False) -> None:
        """Show an environment: its rules, its targets, and what runs there as it was seen last.

        Exit code 1 where something that should run there was not seen well during the last seconds.
        """
        with session() as opened:
            found = opened.manager.environment(name)
        components = [
            (target["name"], target["executor"], component, settings.get("port"), " ".join(settings.get("command", [])))
            for target in found.targets
            for component, settings in _declared(target)
        ]
        columns = ("target", "executor", "component", "port", "command")
        made = listing(*columns, rows=components, empty="no target has a component yet")
        if len(components) > MANY and not everything:
            names = first_few(sorted({component for _, _, component, _, _ in components}))
            made = f"{len(found.targets):,} targets; components: {names}"
        show(found, found.render(whole=everything), made)
        if not found.well:
            raise typer.Exit(REFUSED)

    @command(
        group,
        "retire",
        example="relman env retire staging --reason 'moved to the cloud'\nrelman env retire production --target eu",
    )
    def retire(name: Name, target: TargetOption = None, reason: Reason = None) -> None:
        """Retire an environment or a target: what runs there is stopped by deployments, and nothing new comes.

        Those deployments ask for approval where the environment does. Asked again, it plans again for what is left.
        """
        with session() as opened:
            stopping = opened.manager.retire_environment(name, target, reason)
            found = opened.manager.environment(name)
        show({"environment": found, "deployments": stopping})
        retired = found.retired if target is None else target not in {each["name"] for each in found.targets}
        subject = f"environment {name}" if target is None else f"target {target} of {name}"
        if retired:
            say(f"✔ {subject} is retired")
            return
        say(f"… {subject} is being retired; it is once these have stopped what runs there:")
        for each in stopping:
            say(f"  {each.id}  {each.release}  {each.phase}\n  next: relman deployment show {each.id}")

    @command(group, "keep", example="relman env keep staging\nrelman env keep production --target eu")
    def keep(name: Name, target: TargetOption = None) -> None:
        """Keep what is being retired, or take a retired environment back. What was stopped is to be deployed again."""
        with session() as opened:
            found = opened.manager.keep_environment(name, target)
        show(found)
        say(f"✔ {f'environment {name}' if target is None else f'target {target} of {name}'} stays")

    @command(group, "rename", example="relman env rename production 'Production Europe'")
    def rename(name: Name, label: Annotated[str, typer.Argument(metavar="LABEL", help="How people call it.")]) -> None:
        """Give an environment another label. Its name, by which commands and history know it, stays."""
        with session() as opened:
            found = opened.manager.rename_environment(name, label)
        show(found)
        say(f"✔ {found.name} is called {found.label} now")


def _cells(environment: "Environment") -> tuple[object, ...]:
    it = environment
    approvals = it.approval.get("required", 0)
    return it.name, it.label, it.tier, it.order, approvals, targets(it), runs(it), health(it)


def targets(environment: "Environment") -> str:
    """Return the targets' names."""
    return first_few(target["name"] for target in environment.targets)


def health(environment: "Environment") -> str:
    """Return the conditions that are not well, by component; else well."""
    unhealthy = [
        f"{each.application}/{each.component} {each.condition}" for each in environment.conditions if not each.well
    ]
    return first_few(unhealthy) or ("well" if environment.conditions else "")


def runs(environment: "Environment") -> str:
    """Return each component's stable version."""
    stable = [slot for slot in environment.running if slot.role == "stable"]
    versions = Counter(f"{slot.application}/{slot.component} {slot.version}" for slot in stable)
    parts = (f"{version}{f' on {count:,} targets' if count > 1 else ''}" for version, count in versions.items())
    return first_few(parts) or "nothing yet"


def _declared(target: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each declared component with its settings, named with its application if it belongs to one."""
    yield from target["components"].items()
    for application, own in (target.get("applications") or {}).items():
        for component, settings in own["components"].items():
            yield f"{application}/{component}", settings
