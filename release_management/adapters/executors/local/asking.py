"""Check again that instances that were found healthy are well: an answer at this instant is not enough.

An instance that has ended since it was found healthy is not well, though another process runs in its place: in the
forward leg it is the candidate, and may not have served anybody yet. In a rollback to an earlier version, an instance
may have ended since then, perhaps months ago; there, one that ends repeatedly is not well.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from release_management.adapters.executors.base import processes
from release_management.adapters.executors.local.converge import LONGEST_BACKOFF
from release_management.adapters.executors.local.health import (
    end_of,
    ill,
    unseen,
)
from release_management.adapters.executors.local.settings import server_name
from release_management.adapters.executors.local.state import Instance, LocalFolder


@dataclass(frozen=True, slots=True)
class Wellness:
    """The result of a check. `trouble` says what is wrong, None if enough instances are well; `lasts` if waiting is
    vain.

    `fence` is the highest fence that the component has seen.
    """

    fence: int
    trouble: str | None = None
    lasts: bool = False


def ask(folder: LocalFolder, slot: str, count: int, now: float, *, returning: bool) -> Wellness:
    """Check that `count` instances of a slot are well. `returning` is True in a rollback to an earlier version.

    Raises `OSError`, `ValueError` if the state cannot be read.
    """
    state = folder.load()
    slot_state = state.slots.get(slot)
    if slot_state is None:
        return Wellness(state.fence, f"nothing is provisioned in {slot}", lasts=True)
    troubles: list[str] = []
    lapsed = 0
    instances = [instance for instance in slot_state.instances if slot_state.keeps(instance)]
    for instance in instances:
        if not returning and instance.lapses:
            lapsed += 1
            troubles.insert(0, _lapses(slot, instance))
        elif returning and _ends_again_and_again(instance, now):
            troubles.append(f"{server_name(slot, instance.index)} ends again and again: it {instance.last_exit}")
        elif instance.process is None or not processes.alive(instance.process):
            troubles.append(end_of(folder, slot, slot_state, instance)[0])
        elif (trouble := ill(slot, slot_state, instance) or unseen(state, slot, [instance])) is not None:
            troubles.append(trouble)
    if len(instances) - len(troubles) >= count:
        return Wellness(state.fence)
    missing = f"{len(instances)} of {count} instances of {slot} are provisioned"
    return Wellness(state.fence, next(iter(troubles), missing), lasts=len(instances) - lapsed < count)


def lapse(folder: LocalFolder, slot: str) -> str | None:
    """Return a sentence on an instance of the slot that has ended since it was found healthy, or None."""
    slot_state = folder.load().slots.get(slot)
    instances = slot_state.instances if slot_state is not None else []
    return next((_lapses(slot, instance) for instance in instances if instance.lapses), None)


def note_healthy(folder: LocalFolder, slot: str, living: Mapping[int, str]) -> None:
    """Record that these processes, by index and token, were found healthy; their ends count from now on."""
    with folder.locked():
        state = folder.load()
        slot_state = state.slots.get(slot)
        for instance in slot_state.instances if slot_state is not None else []:
            if (
                instance.process is not None
                and living.get(instance.index) == instance.process.token
                and instance.lapses is None
            ):
                instance.lapses = 0
        folder.save(state)


def _lapses(slot: str, instance: Instance) -> str:
    times = "once" if instance.lapses == 1 else f"{instance.lapses} times"
    return f"{server_name(slot, instance.index)} has ended {times} since it was found healthy: it {instance.lapsed}"


def _ends_again_and_again(instance: Instance, now: float) -> bool:
    return instance.exits > 1 and now - instance.since < LONGEST_BACKOFF
