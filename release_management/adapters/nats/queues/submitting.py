"""Submit commands from the bus to the gateway, whichever way they came."""

import time

import structlog

from release_management.services.envelope import CommandEnvelope, Outcome
from release_management.services.gateway.outcomes import busy
from release_management.services.ports import DeposedError, LogUnavailableError
from release_management.services.ports.bus import LineGateway, OlderThanSenderError

OLDER_SECONDS = 15.0

_log = structlog.get_logger(__name__)


class Submitter:
    """Submits commands to the gateway, and remembers which newer role it did not understand."""

    def __init__(self, gateway: LineGateway) -> None:
        self.gateway = gateway
        self._older: tuple[float, str] | None = None

    @property
    def older(self) -> str | None:
        """The role of a newer version whose command this gateway did not understand lately, in a sentence; or None."""
        if self._older is None or time.monotonic() - self._older[0] > 2 * OLDER_SECONDS:
            return None
        return self._older[1]

    async def submit(
        self, envelope: CommandEnvelope, failed_before: int | None = None, *, yields: bool = False
    ) -> Outcome | None:
        """Return the outcome; None if the gateway failed.

        Raises `DeposedError`: another gateway will answer; and `OlderThanSenderError`: a newer one will.
        """
        try:
            return await self.gateway.submit(envelope, failed_before, yields=yields)
        except DeposedError:
            raise
        except OlderThanSenderError as error:
            self._older = (time.monotonic(), str(error))
            raise
        except LogUnavailableError as error:
            return busy(envelope, f"the log does not answer; try again later ({error})", error.code)
        except Exception:
            _log.exception("the gateway failed", sender=envelope.sender, id=envelope.id, command=envelope.command)
            return None


def encode(outcome: Outcome) -> bytes:
    """Encode an outcome for the bus."""
    return outcome.model_dump_json().encode()
