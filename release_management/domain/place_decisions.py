"""The decisions on a place.

Executors give one command for a place. The decisions on deployments give all others, and write the place's facts in the
same append.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from release_management.domain.observation import ReportCondition, report_condition
from release_management.domain.place import Place
from release_management.domain.place_events import (
    PlaceEvent,
    PlaceLocked,
    PlaceOffered,
    PlaceQueued,
    PlaceUnlocked,
    PlaceUnqueued,
    PlaceVersionSucceeded,
    PlaceVersionWithdrawn,
)
from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import Refused

MAX_WAITING = 500
"""The maximum number of deployments that wait for a place."""


# Commands


@dataclass(frozen=True, slots=True)
class Lock:
    """Lock the place for a deployment; the giver has checked that it is free."""

    deployment: str


@dataclass(frozen=True, slots=True)
class Enqueue:
    """Add a deployment, which does not hold the place, to the place's queue."""

    deployment: str


@dataclass(frozen=True, slots=True)
class LetGo:
    """Release the lock, or leave the queue."""

    deployment: str


@dataclass(frozen=True, slots=True)
class Offer:
    """Offer the place to the deployment that has waited longest; its holder is known to release it on request."""


@dataclass(frozen=True, slots=True)
class RememberSuccess:
    """Record that a deployment brought this version; `components` maps what it brought to digests."""

    deployment: str
    version: str
    components: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class WithdrawPlaceSuccess:
    """Withdraw the success of the deployment `withdrawn`, since `deployment` reverted it.

    `components` None: all that it brought.
    """

    deployment: str
    version: str
    withdrawn: str
    components: tuple[str, ...] | None


PlaceCommand = Lock | Enqueue | LetGo | Offer | RememberSuccess | WithdrawPlaceSuccess
AnyPlaceCommand = PlaceCommand | ReportCondition


# Decisions


@dataclass(frozen=True, slots=True)
class PlaceFacts:
    """The further input of a decision on a place: the time."""

    now: str


def decide(command: AnyPlaceCommand, state: Place, facts: PlaceFacts) -> list[PlaceEvent]:
    """Decide on one place."""
    match command:
        case Lock(deployment=deployment):
            return [] if state.lock == deployment else [PlaceLocked(deployment=deployment)]
        case Enqueue(deployment=deployment):
            return _enqueue(deployment, state)
        case LetGo(deployment=deployment):
            return _let_go(deployment, state)
        case Offer():
            if state.lock is None or not state.queue:
                return []
            return [PlaceOffered(deployment=state.lock, next=state.queue[0])]
        case RememberSuccess(deployment=deployment, version=version, components=digests):
            return [
                PlaceVersionSucceeded(deployment=deployment, version=version, components=dict(digests), at=facts.now)
            ]
        case WithdrawPlaceSuccess():
            return [
                PlaceVersionWithdrawn(
                    deployment=command.deployment,
                    version=command.version,
                    withdrawn=command.withdrawn,
                    components=command.components,
                )
            ]
        case ReportCondition():
            return [*report_condition(state, command)]
        case _:
            assert_never(command)


def _enqueue(deployment: str, state: Place) -> list[PlaceEvent]:
    """Add the deployment to the queue. A full queue refuses."""
    if deployment in state.queue or state.lock == deployment:
        return []
    if len(state.queue) >= MAX_WAITING:
        raise Refused(
            f"{MAX_WAITING} deployments wait for this place already; abort some, or deploy with supersede, "
            "which has them give way",
            code=ErrorCode.CONFLICT,
        )
    return [PlaceQueued(deployment=deployment)]


def _let_go(deployment: str, state: Place) -> list[PlaceEvent]:
    waiting = [other for other in state.queue if other != deployment]
    turn = waiting[0] if waiting else None
    if state.lock == deployment:
        return [PlaceUnlocked(deployment=deployment, next=turn)]
    if deployment in state.queue:
        return [PlaceUnqueued(deployment=deployment, next=turn if state.lock is None else None)]
    return []
