"""Assign a slot of a place to each role, and decide whether the versions there can be relied on.

A deployment that could not go back, or could not stop what it replaced, leaves its places unsettled: traffic is split
or uncertain, or more runs than the stable version, or nobody knows what runs in a slot. The next one says so, and sets
it right before anything else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from release_management.domain.place_component import ComponentStatus, Occupant


@dataclass(frozen=True, slots=True)
class SlotAssignment:
    """The roles of a component at a place by slot. `serving` is what runs as stable: a rollback returns to it.

    `unsettled`: what the deployment before left is to be set right. `busy`: the candidate's slot may have traffic.
    `left`: where nothing serves, another slot with what could not be undone there; it is stopped in the end.
    """

    candidate: str
    stable: str | None
    serving: Occupant | None
    unsettled: bool = False
    busy: bool = False
    left: str | None = None


def assign_slots(status: ComponentStatus, slots: Sequence[str], *, held: bool, reversible: bool) -> SlotAssignment:
    """Give each role its slot; with a single slot they share it.

    `held`: a deployment is at work there, and leaves behind what nobody knows yet; its stable version is assumed.
    """
    if held or is_clean(status, slots):
        stable = status.stable if status.serving else None
        return SlotAssignment(_first(slots, stable), stable, status.serving)
    base = _base(status)
    serving = _runs(status, base)
    stable = base if serving is not None else None
    # Where traffic first leaves the slot, the candidate replaces what was left there; else it keeps out of the way.
    cleared = serving is not None and reversible
    free = [slot for slot in slots if slot != stable] or list(slots)
    share = {slot: status.reach.get(slot, 0) for slot in free}
    candidate = min(free, key=lambda slot: (0 if cleared else share[slot], not _occupied(status, slot)))
    rest = [slot for slot in free if slot != candidate and (share[slot] or _occupied(status, slot))]
    left = max(rest, key=lambda slot: share[slot], default=None) if serving is None else None
    return SlotAssignment(candidate, stable, serving, unsettled=True, busy=share[candidate] > 0, left=left)


def _first(slots: Sequence[str], stable: str | None) -> str:
    return next((slot for slot in slots if slot != stable), slots[0])


def is_clean(status: ComponentStatus, slots: Sequence[str]) -> bool:
    """The stable version runs alone and has all traffic, or nothing runs and nothing has any; and that is certain."""
    if not status.certain or status.doubted & set(slots):
        return False
    at_work = {slot for slot in slots if _runs(status, slot) is not None}
    at_work |= {slot for slot, share in status.reach.items() if share}
    if status.serving is None:
        return not at_work
    return at_work <= {status.stable} and (not status.reach or status.reach.get(status.stable or "") == 100)


def _base(status: ComponentStatus) -> str | None:
    """The stable slot; or the slot to which an unfinished rollback has routed all traffic."""
    intended = next((slot for slot, share in status.intended.items() if share == 100), None)
    if _runs(status, intended) is not None and (status.stable is None or intended == status.former):
        return intended
    return status.stable


def _runs(status: ComponentStatus, slot: str | None) -> Occupant | None:
    occupant = status.slots.get(slot) if slot is not None else None
    return occupant if occupant is not None and occupant.replicas > 0 else None


def _occupied(status: ComponentStatus, slot: str) -> bool:
    """Something runs in the slot, or may run there."""
    return slot in status.doubted or _runs(status, slot) is not None


def unsettled_note(
    status: ComponentStatus, assignment: SlotAssignment, *, stays: bool, recreate: bool, reversible: bool
) -> str:
    """Return a sentence for people on what is unsettled, and how it is repaired."""
    first = f"the deployment before did not end cleanly: {_describe_slots(status)}"
    if assignment.serving is None:
        cleared = "all traffic is taken away first" if assignment.busy else f"it starts in {assignment.candidate}"
        left = "" if assignment.left is None else f", and what is in {assignment.left} is stopped once it serves"
        after = "; after a rollback nothing serves" if reversible else ""
        return f"{first}. Nothing there is known to be stable: {cleared}{left}{after}"
    base = f"{assignment.serving.content.version} in {assignment.stable}"
    if stays:
        return f"{first}. {base} gets all traffic, and what is in {assignment.candidate} is stopped"
    if recreate:
        after = f"; a rollback returns to {base}" if reversible else ""
        return f"{first}. All traffic is taken away first{after}"
    if reversible:
        return f"{first}. First {base} gets all traffic; a rollback returns to it"
    consequence = ", traffic or not; recreate would take all traffic away first" if assignment.busy else ""
    return f"{first}. There is no way back here: it replaces what is in {assignment.candidate}{consequence}"


def _describe_slots(status: ComponentStatus) -> str:
    """The slots with what runs there, as far as is known, and how much traffic they have."""
    parts = []
    for slot in sorted({*status.slots, *_positive(status.reach), *status.doubted}):
        occupant = _runs(status, slot)
        version = occupant.content.version if occupant is not None else "nothing known"
        if slot in status.doubted:
            version = f"{version}, in doubt"
        share = status.reach.get(slot, 0)
        traffic = f"{share} %" if status.certain else f"perhaps {share} %"
        parts.append(f"{slot} ({version}) has {traffic} of the traffic" if status.reach else f"{slot} runs {version}")
    return ", ".join(parts) or "nothing is known to run"


def _positive(reach: Mapping[str, int]) -> list[str]:
    return [slot for slot, share in reach.items() if share]
