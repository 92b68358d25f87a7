"""A release's notes, as Markdown."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from release_management.facade.views import Release


def notes(release: "Release") -> str:
    """Return a heading, the changelog, the components, the commits."""
    date = (release.published or release.created or "")[:10]
    lines = [f"# {release.application} {release.version}", ""]
    lines += [f"Released {date} by {release.author}." if release.published else f"Draft of {date}, not published.", ""]
    if release.blocked:
        lines += ["**Blocked: this release must not be deployed.**", ""]
    if release.changelog:
        lines += ["## Changes", "", *(f"- {_one_line(text)}" for text in release.changelog), ""]
    lines += ["## Components", ""]
    for part in release.components:
        artifact = f" (`{part['artifact']}`)" if part.get("artifact") else ""
        lines.append(f"- {part['name']} {part['version']}{artifact}")
    if release.changes:
        lines += ["", "## Commits", ""]
        for change in release.changes:
            message = f" {_one_line(change['message'])}" if change.get("message") else ""
            lines.append(f"- `{change['commit']}`{message} ({change['committed_at']})")
    return "\n".join(lines) + "\n"


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
