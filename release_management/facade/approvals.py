"""Approvals: request, agree, disagree."""

from collections.abc import Mapping, Sequence
from typing import Any

from release_management.facade.caller import Caller, identity
from release_management.facade.lazy_list import Listed
from release_management.facade.views import (
    Approval,
    Deployment,
)


class Approvals(Caller):
    """Approvals of deployments."""

    def request_approval(self, deployment: Deployment | str) -> Approval:
        """Ask for approval of a planned deployment."""
        return self._approval("approval.request", {"deployment": identity(deployment)})

    def approve(self, approval: Approval | Deployment | str, note: str | None = None) -> Approval:
        """Agree; the approval or its deployment may be given."""
        return self._approval("approval.grant", {"approval": identity(approval), "note": note})

    def refuse(self, approval: Approval | Deployment | str, note: str | None = None) -> Approval:
        """Disagree, which ends the deployment."""
        return self._approval("approval.refuse", {"approval": identity(approval), "note": note})

    def approvals(self, waiting: bool = True) -> Sequence[Approval]:
        """Approvals, newest first. They are read page by page, as they are looked at."""
        return Listed(self._rows("approvals", waiting=waiting), Approval.model_validate)

    def _approval(self, command: str, data: Mapping[str, Any]) -> Approval:
        result = self.send(command, data).result
        rows = self._query("approvals", deployment=result["deployment"])
        return next(Approval(**row) for row in rows if row["id"] == result["approval"])
