"""Look at a slot's instances: does the process live, does it answer, does HAProxy see it?"""

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from release_management.adapters.executors.base import processes
from release_management.adapters.executors.base.variables import blotter
from release_management.adapters.executors.local import haproxy
from release_management.adapters.executors.local.settings import server_name
from release_management.adapters.executors.local.state import (
    ComponentState,
    Folder,
    Instance,
    SlotState,
)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What was seen at one moment. `fence` is the highest one that the component has seen.

    `living` names the processes that live, `ended` tells by index how others ended; `crashed` is how one ended under
    our eyes. `ill` is what is wrong, None where everything is healthy.
    """

    fence: int
    living: Mapping[int, str]
    ended: Mapping[int, str]
    crashed: str | None
    ill: str | None


def look(folder: Folder, slot: str, replicas: int) -> ProbeResult:
    """Look at the first `replicas` instances of a slot. Raises `OSError`, `ValueError` over an unreadable state."""
    state = folder.load()
    stand = state.slots.get(slot)
    if stand is None:
        return ProbeResult(state.fence, {}, {}, None, f"nothing is provisioned in {slot}")
    instances = [each for each in stand.instances if stand.keeps(each) and each.index <= replicas]
    living: dict[int, str] = {}
    ended: dict[int, str] = {}
    crashed: str | None = None
    for each in instances:
        if each.process is not None and processes.alive(each.process):
            living[each.index] = each.process.token
            continue
        ended[each.index], watched = end_of(folder, slot, stand, each)
        crashed = crashed or (ended[each.index] if watched else None)
    trouble = next(iter(ended.values()), None)
    if len(instances) < replicas:
        trouble = f"{len(instances)} of {replicas} instances of {slot} are provisioned"
    elif trouble is None:
        trouble = next((text for each in instances if (text := ill(slot, stand, each))), None)
        trouble = trouble or unseen(state, slot, instances)
    if trouble is not None:
        trouble = blotter(stand.variables, folder).text(trouble)
    return ProbeResult(state.fence, living, ended, crashed, trouble)


def end_of(folder: Folder, slot: str, stand: SlotState, instance: Instance) -> tuple[str, bool]:
    """How an instance that does not run ended, and whether that was under our eyes."""
    name = server_name(slot, instance.index)
    if instance.process is None:
        return f"{name} {instance.trouble or instance.last_exit or 'is not started yet'}", instance.watched
    code = processes.exit_code(instance.process)
    said = processes.last_line(folder.log(name), instance.log_from, blotter(stand.variables, folder))
    return f"{name} {processes.describe_exit(code, said)}", code is not None


def ill(slot: str, stand: SlotState, instance: Instance, within: float = inf) -> str | None:
    """Ask an instance how it is; what is wrong, None where it answers well.

    Raises `TimeoutError` where there is no answer `within` so many seconds, and its settings give it longer.
    """
    name = server_name(slot, instance.index)
    timeout = stand.settings.health_check.timeout
    connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=min(timeout, within))
    try:
        connection.request("GET", stand.settings.health, headers={"Connection": "close"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, TimeoutError) and within < timeout:
            raise
        return f"{name} does not answer GET {stand.settings.health}: {str(error) or type(error).__name__}"
    finally:
        connection.close()
    return None if 200 <= status < 400 else f"{name} answers GET {stand.settings.health} with {status}"


def unseen(state: ComponentState, slot: str, instances: list[Instance]) -> str | None:
    """What HAProxy sees otherwise than up, of some instances; None where there is no such thing."""
    if not instances:
        return None
    if state.balancer is None:
        return "HAProxy does not run"
    try:
        servers = haproxy.table(state.balancer.socket)
    except OSError as error:
        return f"HAProxy does not answer: {error}"
    for instance in instances:
        server = servers.get(server_name(slot, instance.index))
        if server is None or server.mode != "ready" or not server.status.startswith("UP"):
            stands = f"{server.status} ({server.check})" if server is not None else "not at all"
            return f"HAProxy sees {server_name(slot, instance.index)} {stands}"
    return None
