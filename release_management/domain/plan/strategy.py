"""The declaration of a strategy. A strategy is one file of `strategies`: its options, its needs, and its steps."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from pydantic import JsonValue

from release_management.domain.plan.builder import PlanBuilder
from release_management.domain.plan.options import Options
from release_management.domain.plan.rollback import back_by_traffic
from release_management.domain.plan.steps import AnyStep


class Strategy(Options):
    """A strategy with its options.

    `STOPS_FIRST`: it stops the old version before the new one starts, so that one slot is enough; others need two where
    a version serves. `SHIFTS_TRAFFIC`: it needs a target that routes.
    """

    NAME: ClassVar[str]
    STOPS_FIRST: ClassVar[bool] = False
    SHIFTS_TRAFFIC: ClassVar[bool] = False

    @abstractmethod
    def bring(self, builder: PlanBuilder) -> None:
        """Write the steps that replace the serving version by the new one."""

    def back(self, forward: PlanBuilder) -> list[AnyStep]:
        """Return the rollback of the steps that were written."""
        return back_by_traffic(forward)

    def fault(self) -> str | None:
        """Return the fault of the options taken together, in words, or None."""
        return None

    @classmethod
    def merge(cls, wider: Mapping[str, JsonValue], nearer: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """Return the options of two scopes merged; the nearer ones win."""
        return {**wider, **nearer}
