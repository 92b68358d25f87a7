"""`relman release`."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from release_management.cli.kit.command import command
from release_management.cli.kit.notes import notes
from release_management.cli.kit.output import (
    All,
    Limit,
    say,
    show,
    show_list,
)
from release_management.cli.kit.session import (
    application_of,
    parse_ref,
    session,
)
from release_management.facade.summaries import MANY

if TYPE_CHECKING:
    from release_management.facade.views import Release

Ref = Annotated[str, typer.Argument(metavar="APP@VERSION", help="A release, such as shop@1.0.0.")]
Application = Annotated[str | None, typer.Option("--application", metavar="APP", help="Only of this application.")]


Commits = Annotated[
    list[str] | None,
    typer.Option("--commit", metavar="SHA,COMMITTED_AT", help="A commit that it brings, with its RFC 3339 time."),
]
FromGit = Annotated[
    str | None,
    typer.Option(
        "--from-git", metavar="RANGE", help="The commits of a range, such as v1.0.0..v1.1.0, as git has them."
    ),
]
Repository = Annotated[
    Path, typer.Option("--repository", metavar="FOLDER", help="Where git looks; the working directory by default.")
]
SOME = 20


class Numbering(StrEnum):
    """The numbering schemes for an application's releases."""

    semver = "semver"
    calendar = "calendar"
    any = "any"


class Result(StrEnum):
    """The result of a gate's evaluation."""

    passed = "passed"
    failed = "failed"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Releases: create, look at, publish, attest, block.", no_args_is_help=True)
    app.add_typer(group, name="release")
    _making(group)
    _numbering(group)
    _looking(group)
    _judging(group)


def _making(group: typer.Typer) -> None:
    @command(
        group,
        "create",
        example="relman release create shop@1.1.0 --component web=web-1.1.0.tar.gz --changelog 'Faster search'",
    )
    def create(
        release: Ref,
        component: Annotated[
            list[str], typer.Option("--component", metavar="NAME[=ARTIFACT]", help="A part of it; once for each.")
        ],
        changelog: Annotated[
            list[str] | None, typer.Option("--changelog", metavar="TEXT", help="A line of it.")
        ] = None,
        commit: Commits = None,
        from_git: FromGit = None,
        repository: Repository = Path(),
        draft: Annotated[bool, typer.Option("--draft", help="Not to be deployed before it is published.")] = False,
        partial: Annotated[
            bool,
            typer.Option("--partial", help="It brings only these components; without it, others are stopped."),
        ] = False,
    ) -> None:
        """Create a release. The same content again is the same release; a version is never reused for another."""
        application, version = parse_ref(release)
        components = [
            {"name": name} | ({"artifact": artifact} if equals else {})
            for name, equals, artifact in (each.partition("=") for each in component)
        ]
        changes = _given_changes(commit, from_git, repository)
        with session(application, creates=True) as opened:
            made = opened.manager.create_release(version, components, changelog or (), changes, draft, partial)
        show(made)
        if made.published is None:
            say(f"✔ {made.ref} is there, as a draft\n  next: relman release publish {made.ref}")
        else:
            say(f"✔ {made.ref} is published\n  next: relman deploy {made.ref} ENV")

    @command(
        group, "add-changes", example="relman release add-changes shop@1.1.0 --commit 4f9a1c2,2026-11-20T14:03:00Z"
    )
    def add_changes(
        release: Ref, commit: Commits = None, from_git: FromGit = None, repository: Repository = Path()
    ) -> None:
        """Add commits to a release. Those that it has already stay as they are; the audit trail says when they came."""
        changes = _given_changes(commit, from_git, repository)
        if not changes:
            raise typer.BadParameter("name the commits with --commit or --from-git")
        with session(application_of(release)) as opened:
            made = opened.manager.add_changes(release, changes)
        show(made)
        say(f"✔ {made.ref} has {made.change_count:,} changes\n  next: relman release notes {made.ref}")

    @command(group, "publish", example="relman release publish shop@1.1.0")
    def publish(release: Ref) -> None:
        """Let a draft be deployed."""
        with session(application_of(release)) as opened:
            made = opened.manager.publish(release)
        show(made)
        say(f"✔ {made.ref} is published\n  next: relman deploy {made.ref} ENV")


def _numbering(group: typer.Typer) -> None:
    @command(group, "versions", example="relman release versions shop calendar")
    def versions_(
        application: Annotated[str, typer.Argument(metavar="APP", help="An application.")],
        scheme: Annotated[
            Numbering, typer.Argument(metavar="semver|calendar|any", help="How it numbers its releases.")
        ],
    ) -> None:
        """State how an application numbers its releases.

        semver: as 1.4.0, the default. calendar: a year first, as 2026.11 or 24.04.1. any: ordered by creation.
        """
        with session(application) as opened:
            made = opened.manager.configure_versions(scheme.value)
        show(made)
        say(f"✔ {application} numbers its releases: {scheme.value}")


def _looking(group: typer.Typer) -> None:
    @command(group, "show", example="relman release show shop@1.1.0")
    def show_(release: Ref, everything: All = False) -> None:
        """Show a release.

        Its parts, its changes, its attestations, and where it has succeeded.
        """
        with session(application_of(release)) as opened:
            found = opened.manager.release(release)
        show(found, found.render(), *_details(found, whole=everything))

    @command(group, "list", example="relman release list --application shop")
    def list_(application: Application = None, limit: Limit = None) -> None:
        """List releases, newest first."""
        from release_management.facade.views import Release, short_time

        with session() as opened:
            found = map(Release.model_validate, opened.rows("releases", limit=limit, application=application))
            show_list(
                found,
                *("release", "state", "author", "created", "succeeded in"),
                cells=lambda each: (each.ref, state(each), each.author, short_time(each.created), where(each)),
                empty="there is no release yet; make one with: relman release create APP@VERSION --component NAME",
            )

    @command(group, "notes", example="relman release notes shop@1.1.0 > NOTES.md")
    def notes_(release: Ref) -> None:
        """Print a release's notes as Markdown."""
        with session(application_of(release)) as opened:
            found = opened.manager.release(release)
        show({"release": found.ref, "markdown": notes(found)})
        say(notes(found).rstrip("\n"))


def _judging(group: typer.Typer) -> None:
    @command(group, "attest", example="relman release attest shop@1.1.0 --gate security-scan --result passed")
    def attest(
        release: Ref,
        gate: Annotated[str, typer.Option("--gate", metavar="NAME", help="The gate that was evaluated.")],
        result: Annotated[Result, typer.Option("--result", metavar="passed|failed", help="What came out.")],
        note: Annotated[str | None, typer.Option("--note", metavar="TEXT", help="How it is known.")] = None,
    ) -> None:
        """State by hand what a compliance gate said of a release. It shows as a manual attestation."""
        with session(application_of(release)) as opened:
            made = opened.manager.attest(release, gate, result.value, note)
        show(made)
        say(f"✔ gate {gate} of {made.ref}: {result.value}, by manual attestation")

    @command(group, "block", example="relman release block shop@1.1.0 --reason 'loses carts'")
    def block(
        release: Ref,
        reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why it must not be deployed.")],
    ) -> None:
        """Forbid further deployments of a release. What runs stays."""
        with session(application_of(release)) as opened:
            opened.manager.send("release.block", {"release": release, "reason": reason})
            made = opened.manager.release(release)
        show(made)
        say(f"✔ {made.ref} is blocked\n  next: relman release unblock {made.ref}")

    @command(group, "unblock", example="relman release unblock shop@1.1.0")
    def unblock(release: Ref) -> None:
        """Lift a block."""
        with session(application_of(release)) as opened:
            opened.manager.send("release.unblock", {"release": release})
            made = opened.manager.release(release)
        show(made)
        say(f"✔ {made.ref} may be deployed again\n  next: relman deploy {made.ref} ENV")


def state(release: "Release") -> str:
    """Return the release's state: blocked, published or draft."""
    return "blocked" if release.blocked else "published" if release.published else "draft"


def where(release: "Release") -> str:
    """Return the environments in which the release has succeeded."""
    return ", ".join(release.succeeded_in)


def _details(release: "Release", *, whole: bool) -> Sequence[str]:
    parts = [f"  {part['name']}: {part['artifact']}" for part in release.components if part.get("artifact")]
    commits = [f"  commit {change['commit']} of {change['committed_at']}" for change in release.changes]
    return [*parts, *commits] if whole else [*_first(parts, "artifacts"), *_first(commits, "commits")]


def _first(lines: list[str], noun: str) -> list[str]:
    """Return all lines if they are few, else the first of them and the number of the others."""
    if len(lines) <= MANY:
        return lines
    return [*lines[:SOME], f"  and {len(lines) - SOME:,} more {noun}; see each with --all"]


def _given_changes(commits: list[str] | None, commit_range: str | None, repository: Path) -> list[dict[str, str]]:
    from release_management.cli.kit.git_log import changes_of

    named = [_change(each) for each in commits or ()]
    return named if commit_range is None else [*named, *changes_of(commit_range, repository)]


def _change(text: str) -> dict[str, str]:
    sha, comma, moment = text.partition(",")
    if not (sha and comma and moment):
        hint = f"{text!r} is no commit; write SHA,COMMITTED_AT, such as 4f9a1c2,2026-11-20T14:03:00Z"
        raise typer.BadParameter(hint, param_hint="--commit")
    return {"commit": sha, "committed_at": moment}
