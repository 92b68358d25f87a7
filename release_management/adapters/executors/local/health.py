"""Check a slot's instances: is the process alive, does it answer, does HAProxy see it up?"""

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from release_management.adapters.executors.base import processes
from release_management.adapters.executors.base.variables import secret_mask
from release_management.adapters.executors.local import haproxy
from release_management.adapters.executors.local.settings import server_name
from release_management.adapters.executors.local.state import (
    ComponentState,
    Instance,
    LocalFolder,
    SlotState,
)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The result of one check. `fence` is the highest fence that the component has seen.

    `living` are the tokens of living processes by index, `ended` says by index how others ended; `crashed` says how one
    ended that this executor watched. `ill` says what is wrong, None if everything is healthy.
    """

    fence: int
    living: Mapping[int, str]
    ended: Mapping[int, str]
    crashed: str | None
    ill: str | None


def look(folder: LocalFolder, slot: str, replicas: int) -> ProbeResult:
    """Check the first `replicas` instances of a slot. Raises `OSError`, `ValueError` if the state cannot be read."""
    state = folder.load()
    slot_state = state.slots.get(slot)
    if slot_state is None:
        return ProbeResult(state.fence, {}, {}, None, f"nothing is provisioned in {slot}")
    instances = [each for each in slot_state.instances if slot_state.keeps(each) and each.index <= replicas]
    living: dict[int, str] = {}
    ended: dict[int, str] = {}
    crashed: str | None = None
    for each in instances:
        if each.process is not None and processes.alive(each.process):
            living[each.index] = each.process.token
            continue
        ended[each.index], watched = end_of(folder, slot, slot_state, each)
        crashed = crashed or (ended[each.index] if watched else None)
    trouble = next(iter(ended.values()), None)
    if len(instances) < replicas:
        trouble = f"{len(instances)} of {replicas} instances of {slot} are provisioned"
    elif trouble is None:
        trouble = next((text for each in instances if (text := ill(slot, slot_state, each))), None)
        trouble = trouble or unseen(state, slot, instances)
    if trouble is not None:
        trouble = secret_mask(slot_state.variables, folder).text(trouble)
    return ProbeResult(state.fence, living, ended, crashed, trouble)


def end_of(folder: LocalFolder, slot: str, slot_state: SlotState, instance: Instance) -> tuple[str, bool]:
    """Return how an instance ended that does not run, and True if this executor watched it (knows its exit code)."""
    name = server_name(slot, instance.index)
    if instance.process is None:
        return f"{name} {instance.trouble or instance.last_exit or 'is not started yet'}", instance.watched
    code = processes.exit_code(instance.process)
    last_line = processes.last_line(folder.log(name), instance.log_from, secret_mask(slot_state.variables, folder))
    return f"{name} {processes.describe_exit(code, last_line)}", code is not None


def ill(slot: str, slot_state: SlotState, instance: Instance, within: float = inf) -> str | None:
    """Send a health request to an instance; return what is wrong, None if it answers well.

    Raises `TimeoutError` if there is no answer within `within` seconds although its settings allow longer.
    """
    name = server_name(slot, instance.index)
    timeout = slot_state.settings.health_check.timeout
    connection = http.client.HTTPConnection("127.0.0.1", instance.port, timeout=min(timeout, within))
    try:
        connection.request("GET", slot_state.settings.health, headers={"Connection": "close"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, TimeoutError) and within < timeout:
            raise
        return f"{name} does not answer GET {slot_state.settings.health}: {str(error) or type(error).__name__}"
    finally:
        connection.close()
    return None if 200 <= status < 400 else f"{name} answers GET {slot_state.settings.health} with {status}"


def unseen(state: ComponentState, slot: str, instances: list[Instance]) -> str | None:
    """Return how HAProxy sees the first of these instances that is not up; None if all are."""
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
            status = f"{server.status} ({server.check})" if server is not None else "not at all"
            return f"HAProxy sees {server_name(slot, instance.index)} {status}"
    return None
