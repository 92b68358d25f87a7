"""What the services need of the message bus, as Protocols. `adapters.nats` provides the bus side of them."""

from collections.abc import Sequence
from typing import Protocol

from release_management.domain.orders import Order
from release_management.kernel.errors import ErrorCode, RelmanError
from release_management.kernel.record import Recorded
from release_management.services.envelope import CommandEnvelope, Outcome


class BusError(RelmanError):
    """The bus did not do what was asked of it."""

    code = ErrorCode.UNAVAILABLE


class BusAwayError(BusError):
    """The bus does not answer. Nothing is known of what was sent; send it again under the same id."""


class BusDeniedError(BusAwayError):
    """The bus is there, and does not take the user or the password."""

    code = ErrorCode.UNAUTHORIZED


class BusFullError(BusError):
    """The bus takes no more of this kind just now. Nothing was stored; try again later."""

    code = ErrorCode.BUSY


class BusSilentError(BusAwayError):
    """Somebody listens, and has not answered in time: busy, or it hangs."""


class OutOfStepError(BusError):
    """The event stream is not where the publisher thought it was. Read its position again."""

    code = ErrorCode.CONFLICT


class BusUnfitError(RelmanError):
    """The bus is there and cannot be used as it is. Trying again does not help: a person has to change it."""

    code = ErrorCode.UNUSABLE


class GatewayFailed(RelmanError):
    """The gateway failed at one wish: a fault of ours. Nothing was recorded. The text goes to the caller."""

    code = ErrorCode.INTERNAL


class OlderThanSenderError(RelmanError):
    """A role of a newer version asks for what this gateway does not know. Nothing was recorded: ask a newer gateway."""

    code = ErrorCode.BUSY


class QueryNotUnderstood(RelmanError):
    """A query that does not exist, or whose parameters are wrong. The text goes to the caller."""

    code = ErrorCode.INVALID


class NotAnsweredNow(RelmanError):
    """A query that cannot be answered at this moment. The text, which says why, goes to the caller, who asks again."""

    code = ErrorCode.UNAVAILABLE


class Gateway(Protocol):
    """The one writer: a wish goes in, its outcome comes out."""

    async def submit(self, envelope: CommandEnvelope) -> Outcome:
        """Decide a wish and record the decision.

        Never raises for a refusal; raises `GatewayFailed` for a fault of ours, `OlderThanSenderError`, and
        `DeposedError` where another gateway is to be asked.
        """
        ...

    async def outcome(self, sender: str, id: str) -> Outcome | None:
        """What became of a wish that was decided before; None where it is unknown."""
        ...


class LineGateway(Gateway, Protocol):
    """A gateway that decides the wishes of a line in their order, or not yet; and reads what stands beside records."""

    async def content(self, dataref: str) -> bytes:
        """The data beside the records with this `dataref`. Raises `LogUnavailableError` and `LogDamagedError`."""
        ...

    @property
    def failed_before(self) -> int:
        """How often a wish of a line was not decided."""
        ...

    @property
    def others_come(self) -> bool:
        """Whether wishes that do not yield came just now."""
        ...

    async def submit(
        self, envelope: CommandEnvelope, failed_before: int | None = None, *, yields: bool = False
    ) -> Outcome:
        """Decide a wish; a sender's calls are decided in call order, but all that `yields` behind all that does not.

        `failed_before` are the failures that the line's sender knows of: where there was one since, the command is
        `busy`, as the one before it was. None: it is in no line.
        """
        ...


class EventStream(Protocol):
    """Where the relay publishes the log: position n of the log is sequence n of the stream."""

    async def last_position(self) -> int:
        """The position of the newest record ever published; 0 when there is none. Raises `BusAwayError`."""
        ...

    async def event_at(self, position: int) -> str | None:
        """The CloudEvents id of the record published at `position`.

        None where the stream no longer holds it, "" where what it holds is no record of ours.
        """
        ...

    async def publish(self, records: Sequence[Recorded]) -> None:
        """Publish records that follow the last position. Returns when the bus has stored all of them, in order.

        Raises `OutOfStepError` where they do not follow, `BusError` otherwise; a first part may then be stored.
        """
        ...


class OrderChannel(Protocol):
    """The way to the executors."""

    async def send(self, order: Order, again: int) -> None:
        """Hand an order over durably. `again` counts the times that it was sent before: 0, 1, …

        Raises `BusFullError` or `BusAwayError`; the order may then be sent again with the same `again`.
        """
        ...
