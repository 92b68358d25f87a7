"""What a role says of itself: whether it serves or stands by, and what is wrong."""

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
    """One role's health, for any thread.

    A *trouble* keeps it from its work: it is not well while it has one. A *warning* wants to be seen by a person, and
    the work goes on. Each belongs to a part ("store", "bus gateway", "projection deployments") that has one of them at
    most; the part "serving" is well again as soon as it serves, or stands by.
    """

    def __init__(self, role: str) -> None:
        self.role = role
        self.instance = f"{socket.gethostname()}:{os.getpid()}"
        self.standing: RoleStatus = "starting"
        self.details: dict[str, Any] = {}
        """What else is worth a look: positions, lengths."""
        self._since = _now()
        self._changing = threading.Lock()
        self._said: dict[str, tuple[Literal["trouble", "warning"], str, str]] = {}
        telemetry.ROLE_HEALTHY.labels(role).set(0)

    @property
    def ready(self) -> bool:
        """Whether it serves, or stands by for another that does."""
        return self.standing != "starting"

    @property
    def is_well(self) -> bool:
        """Whether it does its work, or stands by to do it."""
        return self.ready and not any(kind == "trouble" for kind, _, _ in list(self._said.values()))

    def stand(self, standing: RoleStatus) -> None:
        """From now on it is this."""
        with self._changing:
            if standing != self.standing:
                _log.info("standing", role=self.role, now=standing, before=self.standing)
                self.standing, self._since = standing, _now()
        if self.ready:
            self.clear("serving")
        self._measure()

    def trouble(self, part: str, sentence: str) -> None:
        """Something keeps it from its work."""
        self._say(part, "trouble", sentence)

    def warn(self, part: str, sentence: str) -> None:
        """A person should look at something."""
        self._say(part, "warning", sentence)

    def clear(self, part: str) -> None:
        """Nothing is wrong with this part any more."""
        with self._changing:
            gone = self._said.pop(part, None)
            if gone is not None:
                telemetry.TROUBLE.labels(self.role, part, gone[0]).set(0)
        if gone is not None:
            _log.info("well again", role=self.role, part=part, was=gone[1])
        self._measure()

    def show(self, part: str, trouble: str | None) -> None:
        """A part's trouble as it stands now; None: nothing is wrong with it."""
        if trouble is None:
            self.clear(part)
        else:
            self.trouble(part, trouble)

    def trouble_of(self, part: str) -> str | None:
        """What keeps a part from its work; None where nothing does."""
        said = self._said.get(part)
        return said[1] if said is not None and said[0] == "trouble" else None

    def document(self) -> dict[str, Any]:
        """All of it, as JSON."""
        said = sorted(self._said.items())
        return {
            "role": self.role,
            "instance": self.instance,
            "healthy": self.is_well,
            "standing": self.standing,
            "since": self._since,
            "troubles": [{"part": part, "says": what, "since": at} for part, (k, what, at) in said if k == "trouble"],
            "warnings": [{"part": part, "says": what, "since": at} for part, (k, what, at) in said if k == "warning"],
            "details": dict(self.details),
        }

    def _say(self, part: str, kind: Literal["trouble", "warning"], sentence: str) -> None:
        with self._changing:
            before = self._said.get(part)
            since = before[2] if before is not None and before[0] == kind else _now()
            self._said[part] = (kind, sentence, since)
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
