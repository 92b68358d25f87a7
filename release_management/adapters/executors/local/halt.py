"""Stop cleanly: finish requests in flight, then end every process; the intended state stays."""

import asyncio
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from release_management.adapters.executors.base import processes
from release_management.adapters.executors.base.executor import line, plain
from release_management.adapters.executors.base.processes import Process
from release_management.adapters.executors.local import balancer
from release_management.adapters.executors.local.layout import layout
from release_management.adapters.executors.local.state import LocalFolder

_POLL = 0.02


async def halt_all(data: Path) -> list[str]:
    """End the processes of every component under a folder. Return a sentence for each component that may still run."""
    folders = await asyncio.to_thread(LocalFolder.all, data.absolute())
    troubles = await asyncio.gather(*(_trouble(folder) for folder in folders))
    return [trouble for trouble in troubles if trouble is not None]


async def _trouble(folder: LocalFolder) -> str | None:
    try:
        await halt(folder)
    except Exception as error:
        return f"what runs for {'/'.join(folder.path.parts[-4:])} may go on: {line(plain(error))}"
    return None


async def halt(folder: LocalFolder) -> None:
    """End a component's HAProxies and then its instances; kill each that takes longer than `stop_grace`."""
    state = await asyncio.to_thread(folder.load)
    grace = layout(state).stop_grace if state.settings is not None else 0.0
    await _gone(await asyncio.to_thread(_tell_balancers, folder), grace)
    await _gone(await asyncio.to_thread(_tell_instances, folder), grace)
    await asyncio.to_thread(_record, folder)


def _tell_balancers(folder: LocalFolder) -> list[Process]:
    with folder.locked():
        state = folder.load()
        process = balancer.running(state.balancer)
        found = [*state.leaving, *([process] if process is not None else [])]
        for each in found:
            processes.tell(each, signal.SIGUSR1)
        return found


def _tell_instances(folder: LocalFolder) -> list[Process]:
    with folder.locked():
        slot_states = folder.load().slots.values()
        found = [
            each.process for slot_state in slot_states for each in slot_state.instances if each.process is not None
        ]
        for process in found:
            processes.tell(process, signal.SIGTERM)
        return found


def _record(folder: LocalFolder) -> None:
    with folder.locked():
        state = folder.load()
        for slot_state in state.slots.values():
            for instance in slot_state.instances:
                processes.end_leftovers(instance.process)
                instance.process, instance.phase = None, "starting"
                instance.exits, instance.not_before = 0, 0.0
                instance.last_exit, instance.watched = None, False
        balancer.end(state)
        state.setback = None
        folder.save(state)


async def _gone(signalled: Iterable[Process], grace: float) -> None:
    give_up = time.monotonic() + grace
    while await asyncio.to_thread(_any_alive, signalled) and time.monotonic() < give_up:
        await asyncio.sleep(_POLL)
    for process in signalled:
        processes.tell(process, signal.SIGKILL)


def _any_alive(signalled: Iterable[Process]) -> bool:
    return any(processes.alive(process) for process in signalled)
