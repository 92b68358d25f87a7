"""The ports to the message bus, as Protocols. `adapters.nats` implements the bus side of them."""

from collections.abc import Sequence
from typing import Protocol

from release_management.domain.orders import Order
from release_management.kernel.errors import ErrorCode, RelmanError
from release_management.kernel.record import Recorded
from release_management.services.envelope import CommandEnvelope, Outcome


class BusError(RelmanError):
    """The bus did not carry out a request."""

    code = ErrorCode.UNAVAILABLE


class BusAwayError(BusError):
    """The bus does not answer. Nothing is known of a message that was sent; send it again under the same id."""


class BusDeniedError(BusAwayError):
    """The bus is there, and rejects the user or the password."""

    code = ErrorCode.UNAUTHORIZED


class BusFullError(BusError):
    """The bus accepts no more of this kind at present. Nothing was stored; try again later."""

    code = ErrorCode.BUSY


class BusSilentError(BusAwayError):
    """Somebody listens, and has not answered in time: it is busy, or hangs."""


class OutOfStepError(BusError):
    """The event stream is not at the position that the publisher expected. Read its position again."""

    code = ErrorCode.CONFLICT


class BusUnfitError(RelmanError):
    """The bus is there and cannot be used as it is. Trying again does not help: a person has to change it."""

    code = ErrorCode.UNUSABLE


class GatewayFailed(RelmanError):
    """The gateway failed at one command, by a fault of ours. Nothing was recorded. The text goes to the caller."""

    code = ErrorCode.INTERNAL


class OlderThanSenderError(RelmanError):
    """A role of a newer version sent a command unknown to this gateway. Nothing was recorded: ask a newer gateway."""

    code = ErrorCode.BUSY


class QueryNotUnderstood(RelmanError):
    """A query does not exist, or its parameters are wrong. The text goes to the caller."""

    code = ErrorCode.INVALID


class NotAnsweredNow(RelmanError):
    """A query cannot be answered at this moment. The text, which says why, goes to the caller, who asks again."""

    code = ErrorCode.UNAVAILABLE


class CommandGateway(Protocol):
    """The one writer: it takes a command envelope and returns its outcome."""

    async def submit(self, envelope: CommandEnvelope) -> Outcome:
        """Decide a command and record the decision.

        Never raises for a refusal; raises `GatewayFailed` for a fault of ours, `OlderThanSenderError`, and
        `DeposedError` if another gateway is to be asked.
        """
        ...

    async def outcome(self, sender: str, id: str) -> Outcome | None:
        """Return the outcome of a command that was decided before; None if it is unknown."""
        ...


class LineGateway(CommandGateway, Protocol):
    """A gateway that keeps the order of a line of commands, and reads the content beside records."""

    async def content(self, dataref: str) -> bytes:
        """Return the data beside records with this `dataref`. Raises `LogUnavailableError` and `LogDamagedError`."""
        ...

    @property
    def failed_before(self) -> int:
        """The number of commands of a line that were not decided so far."""
        ...

    @property
    def others_come(self) -> bool:
        """True if commands that do not yield arrived just now."""
        ...

    async def submit(
        self, envelope: CommandEnvelope, failed_before: int | None = None, *, yields: bool = False
    ) -> Outcome:
        """Decide a command; a sender's commands are decided in call order, but those that `yields` after all others.

        `failed_before` is the number that the line's sender knows of: if there was one more since, the command is
        answered `busy` like the one before it. None: it belongs to no line.
        """
        ...


class EventStream(Protocol):
    """The event stream to which the relay publishes the log: position n of the log is sequence n of the stream."""

    async def last_position(self) -> int:
        """Return the position of the newest record ever published, or 0. Raises `BusAwayError`."""
        ...

    async def event_at(self, position: int) -> str | None:
        """Return the CloudEvents id of the record published at `position`.

        None if the stream no longer holds it, "" if the message there is no record of ours.
        """
        ...

    async def publish(self, records: Sequence[Recorded]) -> None:
        """Publish records that follow the last position. Returns when the bus has stored all of them, in order.

        Raises `OutOfStepError` if they do not follow, `BusError` otherwise; a first part may then be stored.
        """
        ...


class OrderChannel(Protocol):
    """The channel to the executors."""

    async def send(self, order: Order, again: int) -> None:
        """Send an order durably. `again` counts how often it was sent before: 0, 1, …

        Raises `BusFullError` or `BusAwayError`; the order may then be sent again with the same `again`.
        """
        ...
