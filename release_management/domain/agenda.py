"""The items of the agenda: outstanding orders, and commands with a due time."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from release_management.domain.orders import Order
from release_management.kernel.types import Value


class OutstandingOrder(Value):
    """An order whose report is awaited. `cause` is the id of the record that issued it."""

    kind: Literal["order"] = "order"
    order: Order
    cause: str


class DueCommand(Value):
    """A command to give at `due` (RFC 3339 UTC), or at once if that is None.

    `cause` is the id of the record that requires it, and `correlation` that of the command that started the chain.
    """

    kind: Literal["command"] = "command"
    command: str
    data: dict[str, JsonValue]
    due: str | None = None
    cause: str
    correlation: str


AgendaItem = Annotated[OutstandingOrder | DueCommand, Field(discriminator="kind")]
