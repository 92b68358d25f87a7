"""Approvals."""

from typing import Any

from rich.console import RenderableType
from rich.text import Text

from release_management.facade.views.base import View


class Approval(View):
    """An approval: the signatures for exactly one release, plan and evidence."""

    id: str
    deployment: str
    release: str | None = None
    environment: str | None = None
    phase: str
    rule: dict[str, Any] = {}
    signatures: tuple[Any, ...] = ()
    denial: dict[str, Any] | None = None
    requested: str | None = None
    by: str | None = None
    expires_at: str | None = None

    def render(self) -> RenderableType:
        """Return one line, and a line for each decision."""
        need = self.rule.get("required", 1)
        about = f"for {self.release} → {self.environment}"
        lines = [f"approval {self.id}: {self.phase}, {len(self.signatures)} of {need}, {about}"]
        lines += [f"  {each['by']} agreed: {each['note']}" for each in self.signatures if each.get("note")]
        if self.denial is not None and self.denial.get("note"):
            lines.append(f"  {self.denial['by']} refused: {self.denial['note']}")
        return Text("\n".join(lines))
