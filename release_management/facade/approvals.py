"""Approvals: request, grant, deny."""

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
        """Request approval of a planned deployment."""
        return self._approval("approval.request", {"deployment": identity(deployment)})

    def approve(self, approval: Approval | Deployment | str, note: str | None = None) -> Approval:
        """Sign an approval, given by its own id or its deployment's."""
        return self._approval("approval.grant", {"approval": identity(approval), "note": note})

    def refuse(self, approval: Approval | Deployment | str, note: str | None = None) -> Approval:
        """Deny an approval, which ends the deployment."""
        return self._approval("approval.refuse", {"approval": identity(approval), "note": note})

    def approvals(self, waiting: bool = True) -> Sequence[Approval]:
        """Return approvals, newest first. They are read page by page on demand."""
        return Listed(self._rows("approvals", waiting=waiting), Approval.model_validate)

    def _approval(self, command: str, data: Mapping[str, Any]) -> Approval:
        result = self.send(command, data).result
        rows = self._query("approvals", deployment=result["deployment"])
        return next(Approval(**row) for row in rows if row["id"] == result["approval"])
