"""The items of the agenda: orders that are out, and commands that fall due."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from release_management.domain.orders import Order
from release_management.kernel.types import Value


class OutstandingOrder(Value):
    """An order whose report is awaited. `cause` is the id of the record that gave it."""

    kind: Literal["order"] = "order"
    order: Order
    cause: str


class DueCommand(Value):
    """A command that is to be given at `due` (RFC 3339 UTC), or at once where that is None.

    `cause` is the id of the record that asks for it, and `correlation` that of the command which all of it follows.
    """

    kind: Literal["command"] = "command"
    command: str
    data: dict[str, JsonValue]
    due: str | None = None
    cause: str
    correlation: str


AgendaItem = Annotated[OutstandingOrder | DueCommand, Field(discriminator="kind")]
