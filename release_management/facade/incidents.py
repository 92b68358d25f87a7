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
        """State that something went wrong. `deployment` is the cause where it is known, or `"none"`.

        Where nobody says, the metrics blame the newest deployment before. `severity` is critical, major or minor.
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
        """State what caused an incident: a deployment, or `"none"`. It may be said again."""
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
        """State that an incident is over. `deployment` is the one that ended it: unplanned work, that is rework."""
        data = {
            "incident": identity(incident),
            "deployment": None if deployment is None else identity(deployment),
            "note": note,
            "resolved_at": None if resolved_at is None else moment("resolved_at", resolved_at),
        }
        return self._incident("incident.resolve", data)

    def incident(self, incident: Incident | str) -> Incident:
        """An incident as it is now."""
        id = identity(incident)
        return self._one(Incident, "incident", {"id": id}, f"incident {id} does not exist")

    def incidents(self, environment: str | None = None, open: bool | None = None) -> Sequence[Incident]:
        """The application's incidents, the last opened first. `open`: only those that are not over.

        They are read page by page, as they are looked at.
        """
        return self._own(Incident.model_validate, "incidents", environment=environment, open=open)

    def _incident(self, command: str, data: Mapping[str, Any]) -> Incident:
        return self.incident(str(self.send(command, data).result["incident"]))
