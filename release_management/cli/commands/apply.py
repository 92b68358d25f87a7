"""`relman apply`, and the file that `relman up` applies at its start."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from release_management.cli.kit.command import command
from release_management.cli.kit.output import say, show
from release_management.cli.kit.session import (
    Session,
    is_empty,
    session,
)
from release_management.cli.kit.settings import is_bus, settings

if TYPE_CHECKING:
    from release_management.services.manifest import (
        Manifest,
        ManifestChange,
        YamlFile,
    )

FileArgument = Annotated[str, typer.Argument(metavar="FILE", help="A YAML file, or - for standard input.")]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, "apply", example="relman apply relman.yaml --dry-run\nrelman apply relman.yaml")
    def apply(
        file: FileArgument,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change; change nothing.")] = False,
    ) -> None:
        """Make things as a YAML file states them.

        Those are environments, targets, pipelines, policies and releases. What the file does not name stays as it is.
        Everything in it is checked before anything is changed.

        \b
        applications:            # defaults, for every target that the file names
          APP: {components: {NAME: settings of the executor}}
        environments:            # name: what is given here
          NAME: {name, tier, order, approval: {required, approvers, allow_self},
                 variables, applications: what differs here,
                 targets: {NAME: {executor, routes, slots, reversible, labels,
                 applications: what differs here,
                 components: {NAME: settings, whichever the application}}}}
                                 # local: {command, port, health, replicas,
                 max_replicas, stop_grace, env, cwd, balancer: {connect_timeout,
                 answer_timeout, stream_timeout, keep_alive}, health_check:
                 {timeout, interval, rise, fall}}
                                 # command: {commands, timeout, stop_grace, ...}
        pipelines:
          NAME: {application, stages: [ENVIRONMENT, ...]}
        policies:                # of an application, or of one in an environment
          APP or APP/ENVIRONMENT: {strategy, options, strategies: {NAME: options},
                 triggers: [{metric, threshold, duration_seconds}],
                 gates: {NAME: {required, pass_threshold}}}
        releases:
          - {application, version, components: [NAME or {name, version, artifact,
             digest, config}], changelog: [TEXT], changes: [{commit, committed_at,
             author, message}], draft}
        """
        from release_management.adapters.executors.catalog import settings_checks
        from release_management.cli.kit.manifest_file import read_file
        from release_management.services.manifest import compare

        if file != "-" and not Path(file).is_file():
            raise typer.BadParameter(f"there is no file {file!r}", param_hint="FILE")
        manifest, read = read_file(file)
        if dry_run and is_empty(settings().data):
            changes, outdated = compare(manifest, read, _nothing, settings_checks(), elsewhere=False), []
        else:
            with session(creates=not dry_run) as opened:
                elsewhere = is_bus(settings().data)
                changes = compare(manifest, read, opened.query, settings_checks(), elsewhere=elsewhere)
                if not dry_run:
                    send(changes, opened)
                outdated = not_rolled_out(manifest, changes, opened, dry_run)
        document = {"file": read.name, "dry_run": dry_run, "changes": [change.document() for change in changes]}
        show(document | {"outdated": outdated})
        for line in [*summary(changes, manifest, read, dry_run), *outdated]:
            say(line)


def apply_file(path: Path) -> "tuple[list[ManifestChange], list[str]]":
    """Apply a file to a running installation; return the changes, and the lines about them. Raises `Refused`."""
    from release_management.adapters.executors.catalog import settings_checks
    from release_management.cli.kit.manifest_file import read_file
    from release_management.services.manifest import compare

    manifest, read = read_file(str(path))
    with session() as opened:
        changes = compare(manifest, read, opened.query, settings_checks(), elsewhere=is_bus(settings().data))
        send(changes, opened)
        outdated = not_rolled_out(manifest, changes, opened, dry_run=False)
    return changes, [*summary(changes, manifest, read, dry_run=False), *outdated]


def not_rolled_out(
    manifest: "Manifest", changes: "Sequence[ManifestChange]", opened: Session, dry_run: bool
) -> list[str]:
    """Return lines on releases to deploy again, since what runs differs from the declaration (after the changes)."""
    from release_management.facade.declared import deploy_again_lines, outdated
    from release_management.services.manifest import after

    rows = [row for row in opened.query("environments") if row["name"] in manifest.environments]
    declared = (after(row, changes if dry_run else ()) for row in rows)
    running, policies = opened.query("running"), opened.query("policies")
    found = (slot for row in declared for slot in outdated(row, running, policies))
    return deploy_again_lines(found, conditional=dry_run and bool(changes))


def send(changes: "Sequence[ManifestChange]", opened: Session) -> None:
    """Send every change's commands; wait until queries include them. Raises `Refused` with the changes made before."""
    from release_management.kernel.types import Refused

    last = 0
    for number, change in enumerate(changes):
        try:
            for name, data in change.commands:
                last = max(last, opened.manager.send(name, data).last)
        except Refused as refused:
            before = f" ({number} of {len(changes)} changes were made before it)" if number else ""
            raise Refused(
                f"{change.kind} {change.name}: {refused.reason}{before}", refused.verdicts, code=refused.code
            ) from None
    for query in ("environments", "pipelines", "policies", "releases"):
        opened.backend.page(query, {"limit": 1}, last)


def summary(changes: "Sequence[ManifestChange]", manifest: "Manifest", read: "YamlFile", dry_run: bool) -> list[str]:
    """Return the lines for people."""
    if not changes:
        parts: dict[str, Any] = {name: getattr(manifest, name) for name in type(manifest).model_fields}
        counted = ", ".join(f"{name} {len(part)}" for name, part in parts.items() if part)
        return [f"unchanged ({counted or 'nothing is stated'})"]
    lines = [str(change) for change in changes]
    count = f"{len(changes)} change" + ("s" if len(changes) > 1 else "")
    if dry_run:
        return [*lines, f"{count} to make; make them with: relman apply {read.name}"]
    return [*lines, f"✔ {count} made; see: relman env list"]


def _nothing(name: str, **params: Any) -> list[dict[str, Any]]:
    """Return the answer to a query of a new folder."""
    return []
