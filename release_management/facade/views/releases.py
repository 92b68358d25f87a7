"""Releases."""

from typing import Any

from rich.console import RenderableType
from rich.text import Text

from release_management.facade.views.base import LISTED, View, called, short_time
from release_management.kernel.suggestions import first_few


class Release(View):
    """A version of an application."""

    ref: str
    application: str
    label: str | None = None
    version: str
    author: str | None = None
    created: str | None = None
    published: str | None = None
    blocked: str | None = None
    block_reason: str | None = None
    components: tuple[dict[str, Any], ...] = ()
    changes: tuple[dict[str, Any], ...] = ()
    change_count: int = 0
    changelog: tuple[Any, ...] = ()
    attestations: Any = {}
    succeeded_in: Any = {}
    initial_traffic: int | None = None

    def render(self) -> RenderableType:
        """Return one line, the components, and the environments in which it has succeeded."""
        state = "blocked" if self.blocked else "published" if self.published else "draft"
        parts = first_few(f"{called(part['name'], part.get('label'))} {part['version']}" for part in self.components)
        written = "" if self.label in (None, self.application) else f" of {self.label}"
        lines = [f"{self.ref}{written} ({state}) by {self.author}", f"  components: {parts}"]
        if self.blocked and self.block_reason:
            lines.append(f"  blocked {short_time(self.blocked)}: {self.block_reason}")
        lines += [f"  changes: {self.change_count:,}"] if self.change_count else []
        lines += [f"  new: {line}" for line in self.changelog[:LISTED]]
        if len(self.changelog) > LISTED:
            lines.append(f"  and {len(self.changelog) - LISTED} more lines of the changelog")
        for gate, attestation in self.attestations.items():
            noted = f": {attestation['note']}" if attestation.get("note") else ""
            lines.append(f"  gate {gate}: {attestation['result']} by {attestation['by']}, a manual attestation{noted}")
        return Text("\n".join([*lines, f"  succeeded in: {', '.join(self.succeeded_in) or 'nowhere yet'}"]))
