"""Incidents."""

from rich.console import RenderableType
from rich.text import Text

from release_management.facade.views.base import View, short_time


class Incident(View):
    """A failure that users met. `cause` is the deployment to blame, `remedy` the one that ended it.

    `attribution` is "explicit" if somebody stated the cause, or that no deployment is; else "inferred".
    """

    id: str
    application: str
    environment: str
    severity: str | None = None
    title: str
    detected_at: str
    cause: str | None = None
    attribution: str
    resolved_at: str | None = None
    remedy: str | None = None
    note: str | None = None
    opened: str | None = None
    by: str | None = None
    resolved_by: str | None = None

    @property
    def is_open(self) -> bool:
        """True if the incident is not resolved."""
        return self.resolved_at is None

    @property
    def blamed(self) -> str:
        """The cause, in words."""
        return self.cause or ("no deployment" if self.attribution == "explicit" else "not said")

    def render(self) -> RenderableType:
        """Return a line for each known fact."""
        over = "open" if self.resolved_at is None else f"resolved {short_time(self.resolved_at)}"
        lines = [
            f"incident {self.id}: {self.title}",
            f"  {self.application} in {self.environment}{f', {self.severity}' if self.severity else ''}, {over}",
            f"  detected: {short_time(self.detected_at)}, opened by {self.by}",
            f"  cause: {self.blamed}",
        ]
        lines += [f"  ended by deployment {self.remedy}"] if self.remedy else []
        lines += [f"  note: {self.note}"] if self.note else []
        return Text("\n".join(lines))
