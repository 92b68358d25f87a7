"""Combine recorded slots with the newest observations. Without a fresh one the condition is unknown."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any, Protocol

from release_management.domain.condition import (
    Observation,
    SeenSlot,
    compare,
    worst,
)
from release_management.services.observations.looks import (
    FRESH_SECONDS,
    ComponentLook,
    Key,
)

Row = dict[str, Any]
PLACED = ("environment", "application", "target", "component")


class ObservationSource(Protocol):
    """A source of the newest observations."""

    def find(self, key: Key) -> tuple[ComponentLook, float] | None:
        """Return the newest observation of a component and its age in seconds."""
        ...

    def missed(self, key: Key, executor: str) -> float | None:
        """Return the age of the executor's newest round, if the component was not in it; else None."""
        ...


def slots(rows: Iterable[Row], observations: ObservationSource) -> list[Row]:
    """Return one row per recorded slot, with its observation."""
    shown: list[Row] = []
    for key, group in groupby(rows, _key):
        found = list(group)
        whole = _component(key, found, observations)
        shown += [_slot(row, whole) for row in found]
    return shown


def components(rows: Iterable[Row], observations: ObservationSource) -> list[Row]:
    """Return one row per component, made from the rows of its slots."""
    return [_component(key, list(group), observations)["row"] for key, group in groupby(rows, _key)]


def _key(row: Mapping[str, Any]) -> Key:
    environment, application, target, component = (str(row[name]) for name in PLACED)
    return environment, application, target, component


def _component(key: Key, rows: list[Row], observations: ObservationSource) -> dict[str, Any]:
    """Return the component's row, and the observation in it if that is fresh."""
    first = rows[0]
    row: Row = {
        **dict(zip(PLACED, key, strict=True)),
        "condition": "unknown",
        "reason": None,
        "condition_since": None,
        "wanted": sum(each["replicas"] for each in rows),
        "running": None,
        "healthy": None,
        "restarts": None,
        "looked_at": None,
        "looked_by": first["recorded_by"],
        "age": None,
    }
    found = observations.find(key)
    if found is not None:
        look, age = found
        row |= {"looked_at": look.observedat, "age": round(age, 1)}
        if age <= FRESH_SECONDS and (look.condition == "unknown" or look.fence >= (first["fence"] or 0)):
            return {"row": row | _seen(rows, look), "look": look}
    row |= _unseen(key, first, found, observations)
    return {"row": row, "look": None}


def _seen(rows: list[Row], look: ComponentLook) -> Row:
    first = rows[0]
    condition, reason = look.condition, look.reason
    if first["held_by"] is None:
        recorded = {row["slot"]: row["version"] for row in rows if row["replicas"]}
        condition, reason = compare(recorded, look)
    is_recorded = condition == first["recorded_condition"]
    seen = {
        "condition": condition,
        "reason": reason,
        "condition_since": first["recorded_since"] if is_recorded else look.since,
    }
    return seen if look.is_blind else seen | _counts(look)


def _counts(look: ComponentLook) -> Row:
    return {
        "wanted": sum(slot.wanted for slot in look.slots),
        "running": _sum(slot.running for slot in look.slots),
        "healthy": _sum(slot.healthy for slot in look.slots),
        "restarts": sum(slot.restarts for slot in look.slots),
    }


def _sum(counts: Iterable[int | None]) -> int | None:
    """Return the sum, or None if one is unknown."""
    found = list(counts)
    return None if None in found else sum(each for each in found if each is not None)


def _unseen(key: Key, first: Row, found: tuple[ComponentLook, float] | None, observations: ObservationSource) -> Row:
    """Return the columns of a component without a fresh observation: unknown, or down if its executor lacks it."""
    if first["recorded_by"] is not None:
        missed = observations.missed(key, first["recorded_by"])
        if missed is not None and missed <= FRESH_SECONDS:
            reason = f"the executor {first['recorded_by']} has nothing of this name to look after; deploy it again"
            return {"condition": "down", "reason": reason, "age": round(missed, 1), "running": 0, "healthy": 0}
    if found is not None:
        look, age = found
        since = f"for {_duration(age)}" if age > FRESH_SECONDS else "since the newest step"
        return {"reason": f"nobody has looked {since}; last seen {look.condition} at {look.observedat}"}
    if first["recorded_condition"] is not None:
        last = f"{first['recorded_condition']} at {first['recorded_at']}"
        return {"reason": f"nobody looks; the last change that was seen: {last}", "looked_at": None}
    return {"reason": "nobody has looked yet"}


def _slot(row: Row, whole: dict[str, Any]) -> Row:
    component, look = whole["row"], whole["look"]
    shown = {
        **row,
        **{name: component[name] for name in ("looked_at", "looked_by", "age")},
        "condition": component["condition"],
        "reason": component["reason"],
        "observed_at": component["looked_at"],
        **dict.fromkeys(("wanted", "running", "healthy", "restarts", "observed")),
    }
    if look is None or look.is_blind:
        return shown
    seen = next((slot for slot in look.slots if slot.slot == row["slot"]), None)
    if seen is None:
        absent = {"condition": "down", "reason": "it holds nothing"} if row["replicas"] else {"condition": "well"}
        return shown | {"wanted": 0, "running": 0, "healthy": 0, "restarts": 0, "observed": 0, "reason": None, **absent}
    condition, reason = seen.condition, seen.reason
    if row["held_by"] is None and row["replicas"]:
        one = Observation.model_validate({**look.model_dump(exclude={"since"}), **_alone(seen)})
        condition, reason = compare({row["slot"]: row["version"]}, one)
    return shown | {
        **{name: getattr(seen, name) for name in ("wanted", "running", "healthy", "restarts")},
        "condition": worst(condition, seen.condition),
        "reason": reason,
        "observed": seen.share,
    }


def _alone(seen: SeenSlot) -> dict[str, Any]:
    return {"slots": (seen.model_dump(),), "condition": seen.condition, "reason": seen.reason}


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
