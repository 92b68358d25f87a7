"""The audit trail."""

from typing import Any

from release_management.facade.caller import Caller, identity
from release_management.facade.views import (
    Deployment,
    Entry,
    History,
    Release,
)


class AuditTrail(Caller):
    """The audit trail of an application."""

    def history(
        self,
        subject: Release | Deployment | str | None = None,
        environment: str | None = None,
        limit: int = 100,
    ) -> History:
        """Return the newest part of the trail, oldest first: of a release, a deployment, an environment, or all."""
        params: dict[str, Any] = {"environment": environment, "limit": limit}
        if isinstance(subject, Release) or (isinstance(subject, str) and not _looks_like_id(subject)):
            params["release"] = self._ref(subject)
        elif subject is not None:
            params["deployment"] = identity(subject)
        rows = self._query("trail", **params)
        return History(entries=tuple(Entry(**row) for row in reversed(rows)))


def _looks_like_id(text: str) -> bool:
    return len(text) == 36 and text.count("-") == 4
