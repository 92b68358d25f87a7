"""Incidents: open, attribute, resolve."""

from collections.abc import Mapping, Sequence
from typing import Any

from release_management.facade.arguments import (
    Time,
    moment,
)
from release_management.facade.caller import Caller, identity
from release_management.facade.views import (
    Deployment,
    Incident,
)


class Incidents(Caller):
    """Incidents of an application."""

    def open_incident(
        self,
        title: str,
        environment: str = "production",
        deployment: Deployment | str | None = None,
        detected_at: Time | None = None,
        severity: str | None = None,
    ) -> Incident:
        """Open an incident. `deployment` is the cause if it is known, or `"none"`.

        Without a stated cause, the metrics infer the newest deployment before it. `severity` is critical, major or
        minor.
        """
        data = {
            "application": self.application,
            "environment": environment,
            "title": title,
            "severity": severity,
            "detected_at": None if detected_at is None else moment("detected_at", detected_at),
            "deployment": None if deployment is None else identity(deployment),
        }
        self._query("incidents", application=self.application, limit=1)  # refuses an unknown application
        return self._incident("incident.open", data)

    def attribute_incident(self, incident: Incident | str, deployment: Deployment | str) -> Incident:
        """State the cause of an incident: a deployment, or `"none"`. A later statement replaces an earlier one."""
        return self._incident(
            "incident.attribute", {"incident": identity(incident), "deployment": identity(deployment)}
        )

    def resolve_incident(
        self,
        incident: Incident | str,
        deployment: Deployment | str | None = None,
        note: str | None = None,
        resolved_at: Time | None = None,
    ) -> Incident:
        """Resolve an incident. `deployment` is the one that ended it: unplanned work, which counts as rework."""
        data = {
            "incident": identity(incident),
            "deployment": None if deployment is None else identity(deployment),
            "note": note,
            "resolved_at": None if resolved_at is None else moment("resolved_at", resolved_at),
        }
        return self._incident("incident.resolve", data)

    def incident(self, incident: Incident | str) -> Incident:
        """Return an incident with its present state."""
        id = identity(incident)
        return self._one(Incident, "incident", {"id": id}, f"incident {id} does not exist")

    def incidents(self, environment: str | None = None, open: bool | None = None) -> Sequence[Incident]:
        """Return the application's incidents, the last opened first. `open`: only those that are not resolved.

        They are read page by page on demand.
        """
        return self._own(Incident.model_validate, "incidents", environment=environment, open=open)

    def _incident(self, command: str, data: Mapping[str, Any]) -> Incident:
        return self.incident(str(self.send(command, data).result["incident"]))
