"""Ask again whether instances that were found healthy are well: an answer at this instant is not enough.

An instance that has ended since it was found healthy is not well, though another process runs in its place: on the way
forward it is the candidate, and may have served nobody yet. Where a version is returned to, an instance may have ended
since then, perhaps months ago; there, one that ends again and again is not well.
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
from release_management.adapters.executors.local.state import Folder, Instance


@dataclass(frozen=True, slots=True)
class Wellness:
    """What was seen: `trouble` is what is wrong, None where enough instances are well; `lasts`: it will not pass.

    `fence` is the highest one that the component has seen.
    """

    fence: int
    trouble: str | None = None
    lasts: bool = False


def ask(folder: Folder, slot: str, count: int, now: float, *, returning: bool) -> Wellness:
    """Whether so many instances of a slot are well. `returning`: it is a version that is returned to.

    Raises `OSError`, `ValueError` over an unreadable state.
    """
    state = folder.load()
    stand = state.slots.get(slot)
    if stand is None:
        return Wellness(state.fence, f"nothing is provisioned in {slot}", lasts=True)
    troubles: list[str] = []
    lapsed = 0
    instances = [each for each in stand.instances if stand.keeps(each)]
    for each in instances:
        if not returning and each.lapses:
            lapsed += 1
            troubles.insert(0, _lapses(slot, each))
        elif returning and _ends_again_and_again(each, now):
            troubles.append(f"{server_name(slot, each.index)} ends again and again: it {each.last_exit}")
        elif each.process is None or not processes.alive(each.process):
            troubles.append(end_of(folder, slot, stand, each)[0])
        elif (trouble := ill(slot, stand, each) or unseen(state, slot, [each])) is not None:
            troubles.append(trouble)
    if len(instances) - len(troubles) >= count:
        return Wellness(state.fence)
    missing = f"{len(instances)} of {count} instances of {slot} are provisioned"
    return Wellness(state.fence, next(iter(troubles), missing), lasts=len(instances) - lapsed < count)


def lapse(folder: Folder, slot: str) -> str | None:
    """What has ended in a slot since it was found healthy."""
    stand = folder.load().slots.get(slot)
    instances = stand.instances if stand is not None else []
    return next((_lapses(slot, each) for each in instances if each.lapses), None)


def note_healthy(folder: Folder, slot: str, living: Mapping[int, str]) -> None:
    """Remember that these processes, by index and token, were found healthy; their ends count from now on."""
    with folder.locked():
        state = folder.load()
        stand = state.slots.get(slot)
        for each in stand.instances if stand is not None else []:
            if each.process is not None and living.get(each.index) == each.process.token and each.lapses is None:
                each.lapses = 0
        folder.save(state)


def _lapses(slot: str, instance: Instance) -> str:
    times = "once" if instance.lapses == 1 else f"{instance.lapses} times"
    return f"{server_name(slot, instance.index)} has ended {times} since it was found healthy: it {instance.lapsed}"


def _ends_again_and_again(instance: Instance, now: float) -> bool:
    return instance.exits > 1 and now - instance.since < LONGEST_BACKOFF
