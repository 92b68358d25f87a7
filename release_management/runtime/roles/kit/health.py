"""A role's health: its status (starting, active or standby), its troubles and warnings."""

import os
import socket
import threading
from datetime import UTC, datetime
from typing import Any, Literal

import structlog

from release_management.kernel.record import timestamp
from release_management.services import telemetry

RoleStatus = Literal["starting", "active", "standby"]
_log = structlog.get_logger(__name__)


class Health:
    """One role's health. Thread-safe.

    A *trouble* keeps the role from its work: it is not healthy while it has one. A *warning* needs a person's
    attention, and the work goes on. Each belongs to a part ("store", "bus gateway", "projection deployments"), which
    has at most one of them; the part "serving" is well again as soon as the role serves, or stands by.
    """

    def __init__(self, role: str) -> None:
        self.role = role
        self.instance = f"{socket.gethostname()}:{os.getpid()}"
        self.status: RoleStatus = "starting"
        self.details: dict[str, Any] = {}
        """Further figures: positions, lengths."""
        self._since = _now()
        self._changing = threading.Lock()
        self._entries: dict[str, tuple[Literal["trouble", "warning"], str, str]] = {}
        telemetry.ROLE_HEALTHY.labels(role).set(0)

    @property
    def ready(self) -> bool:
        """True if the role serves, or stands by for another that does."""
        return self.status != "starting"

    @property
    def is_well(self) -> bool:
        """True if the role does its work, or stands by to do it."""
        return self.ready and not any(kind == "trouble" for kind, _, _ in list(self._entries.values()))

    def set_status(self, status: RoleStatus) -> None:
        """Change the status."""
        with self._changing:
            if status != self.status:
                _log.info("standing", role=self.role, now=status, before=self.status)
                self.status, self._since = status, _now()
        if self.ready:
            self.clear("serving")
        self._measure()

    def trouble(self, part: str, sentence: str) -> None:
        """Report a trouble of a part: it keeps the role from its work."""
        self._say(part, "trouble", sentence)

    def warn(self, part: str, sentence: str) -> None:
        """Report a warning of a part: a person should look at it."""
        self._say(part, "warning", sentence)

    def clear(self, part: str) -> None:
        """Remove the trouble or warning of a part."""
        with self._changing:
            removed = self._entries.pop(part, None)
            if removed is not None:
                telemetry.TROUBLE.labels(self.role, part, removed[0]).set(0)
        if removed is not None:
            _log.info("well again", role=self.role, part=part, was=removed[1])
        self._measure()

    def show(self, part: str, trouble: str | None) -> None:
        """Report or, with None, remove the trouble of a part."""
        if trouble is None:
            self.clear(part)
        else:
            self.trouble(part, trouble)

    def trouble_of(self, part: str) -> str | None:
        """Return the trouble of a part, or None."""
        entry = self._entries.get(part)
        return entry[1] if entry is not None and entry[0] == "trouble" else None

    def document(self) -> dict[str, Any]:
        """Return the health as JSON."""
        entries = sorted(self._entries.items())
        return {
            "role": self.role,
            "instance": self.instance,
            "healthy": self.is_well,
            "standing": self.status,
            "since": self._since,
            "troubles": [
                {"part": part, "says": what, "since": since} for part, (k, what, since) in entries if k == "trouble"
            ],
            "warnings": [
                {"part": part, "says": what, "since": since} for part, (k, what, since) in entries if k == "warning"
            ],
            "details": dict(self.details),
        }

    def _say(self, part: str, kind: Literal["trouble", "warning"], sentence: str) -> None:
        with self._changing:
            before = self._entries.get(part)
            since = before[2] if before is not None and before[0] == kind else _now()
            self._entries[part] = (kind, sentence, since)
            if before is not None:
                telemetry.TROUBLE.labels(self.role, part, before[0]).set(0)
            telemetry.TROUBLE.labels(self.role, part, kind).set(1)
        if before is None or before[0] != kind:
            _log.warning(kind, role=self.role, part=part, says=sentence)
        self._measure()

    def _measure(self) -> None:
        telemetry.ROLE_HEALTHY.labels(self.role).set(self.is_well)


def _now() -> str:
    return timestamp(datetime.now(UTC))
