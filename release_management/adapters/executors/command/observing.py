"""Run the program `observe` between and during orders. It only reads, and reports the component's condition as JSON."""

import json
import os
import time
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError

from release_management.adapters.executors.base import processes
from release_management.adapters.executors.base.executor import line, plain
from release_management.adapters.executors.base.look import Look
from release_management.adapters.executors.base.masking import SecretMask
from release_management.adapters.executors.base.processes import describe_exit
from release_management.adapters.executors.base.variables import (
    SecretMissing,
    resolve,
    secret_mask,
)
from release_management.adapters.executors.command.output import Output
from release_management.adapters.executors.command.program import CannotStart, Program
from release_management.adapters.executors.command.settings import (
    OBSERVE,
    CommandSettings,
    check_settings,
)
from release_management.adapters.executors.command.state import CommandFolder, CommandState
from release_management.adapters.system.error_paths import naming
from release_management.adapters.system.process_environment import inherited
from release_management.domain.component import Slot
from release_management.domain.condition import (
    Condition,
    Count,
    Observation,
    worst,
)
from release_management.kernel.record import timestamp
from release_management.kernel.types import (
    Line,
    Percent,
    Value,
    Version,
    explain,
)
from release_management.services.ports import Clock
from release_management.services.strict_json import read_json

NO_PROGRAM = "nobody can look: its settings have no program for observe"


class ObservedSlot(Value):
    """The program's observation of one slot. Without a `condition`, it follows from the counts; absent values are
    unknown.

    `running` instances run, `healthy` of them answer well, `restarts` is how many ended during the last minute; `share`
    is the slot's real share of the traffic in percent, `version` the version that really runs.
    """

    condition: Condition | None = Field(
        None,
        description="`well`, `drifted` (it serves, but not as recorded), `degraded` (a part does not serve), `down`, "
        "or `unknown`",
    )
    reason: Line | None = Field(None, description="why, in a sentence")
    running: Count | None = Field(None, description="how many instances run")
    healthy: Count | None = Field(None, description="how many of them answer well")
    restarts: Count = Field(0, description="how many ended and were started again during the last minute")
    share: Percent | None = Field(None, description="its real share of the traffic, in percent")
    version: Version | None = Field(None, description="what really runs; absent: what should")


class Observed(Value):
    """The JSON object that `observe` writes. Without a `condition`, it follows from the slots' conditions."""

    condition: Condition | None = Field(
        None,
        description="`well`, `drifted` (it serves, but not as recorded), `degraded` (a part does not serve), `down`, "
        "or `unknown`",
    )
    reason: Line | None = Field(None, description="why, in a sentence")
    slots: Annotated[dict[Slot, ObservedSlot], Field(max_length=8)] = Field(
        {}, description="what was seen of each slot; of one that is not named, what `condition` says"
    )


class Unseen(Exception):
    """The program gave no observation; the text says why."""


async def observe(folder: CommandFolder, clock: Clock) -> tuple[Look | None, float]:
    """Return one observation and the seconds until the next; None as observation if nothing was ever provisioned."""
    pause = 1.0
    environment, application, target, component = folder.path.parts[-4:]
    about = {"environment": environment, "application": application, "target": target, "component": component}
    found: dict[str, Any] = {**about, "condition": "unknown", "observedat": timestamp(clock.now())}
    try:
        state = folder.load()
        if state.settings is None:
            return None, pause
        found["fence"] = state.fence
        settings = check_settings(state.settings, routes=False)
        pause = settings.observe_interval if OBSERVE in settings.commands else pause
        observed = await _ask(folder, state, settings, about)
        found |= _judge(state, observed)
    except (OSError, ValueError, SecretMissing, CannotStart, Unseen) as error:
        found |= {"reason": line(plain(error)), "slots": ()}
    return Look(Observation.model_validate(found)), pause


async def _ask(
    folder: CommandFolder, state: CommandState, settings: CommandSettings, about: Mapping[str, str]
) -> Observed:
    argv = settings.commands.get(OBSERVE)
    if argv is None:
        raise Unseen(NO_PROGRAM)
    intended = {slot: each.model_dump() for slot, each in state.slots.items()}
    stdin = folder.path / "look.json"
    with naming(stdin), open(os.open(stdin, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({**about, "slots": intended, "weights": state.weights}, file)
    named = {f"RELMAN_{name.upper()}": value for name, value in {**about, "verb": OBSERVE}.items()}
    env = {**inherited(), **settings.env, **resolve(state.variables, folder), **named}
    output = Output(open(os.devnull, "ab"), OBSERVE, secret_mask(state.variables, folder))  # noqa: SIM115 # the output closes it
    program = Program(processes.new_token(), argv, env, settings.cwd, stdin, output)
    program.watch()
    code, give_up = None, time.monotonic() + settings.observe_timeout
    try:
        while code is None and (left := give_up - time.monotonic()) > 0:
            code = await program.ended(left)
    finally:
        await program.finish(settings.stop_grace)
    if code is None:
        raise Unseen(f"observe took longer than {settings.observe_timeout:g} s and was ended")
    if code != 0:
        raise Unseen(f"observe {describe_exit(code, output.last_line)}")
    return _without_secrets(output.answer(_read), output.secret_mask)


def _read(text: str) -> Observed:
    """Parse the program's output: its last line if that is an object, else all of it."""
    whole = text.strip()
    last = whole.splitlines()[-1].strip() if whole else ""
    answer = last if last.startswith("{") else whole
    try:
        observed = Observed.model_validate_json(answer or "null")
        read_json(answer)
    except ValidationError as error:
        raise ValueError(f"what observe says cannot be used: {explain(error)}") from None
    except ValueError as error:
        raise ValueError(f"what observe says cannot be used: {error}") from None
    return observed


def _without_secrets(observed: Observed, secret_mask: SecretMask) -> Observed:
    """Redact secrets in the reasons, and drop a version that contains one."""
    slots = {
        name: slot.model_copy(
            update={
                "reason": slot.reason and secret_mask.text(slot.reason),
                "version": None if slot.version and secret_mask.text(slot.version) != slot.version else slot.version,
            }
        )
        for name, slot in observed.slots.items()
    }
    return observed.model_copy(update={"reason": observed.reason and secret_mask.text(observed.reason), "slots": slots})


def _judge(state: CommandState, observed: Observed) -> dict[str, Any]:
    slots = []
    for name, intended in state.slots.items():
        seen = observed.slots.get(name, ObservedSlot(condition=observed.condition))
        slots.append(
            {
                **seen.model_dump(exclude={"condition"}),
                "slot": name,
                "version": seen.version or intended.version,
                "wanted": intended.replicas,
                "condition": seen.condition or _by_counts(seen, intended.replicas),
            }
        )
    conditions = [slot["condition"] for slot in slots]
    condition = observed.condition or worst(*("degraded" if each == "down" else each for each in conditions))
    if observed.condition is None and conditions and all(each == "down" for each in conditions):
        condition = "down"
    reason = observed.reason or next((slot["reason"] for slot in slots if slot["condition"] != "well"), None)
    return {"condition": condition, "reason": reason, "slots": tuple(slots)}


def _by_counts(seen: ObservedSlot, replicas: int) -> Condition:
    counts = [count for count in (seen.running, seen.healthy) if count is not None]
    if not counts:
        return "unknown"
    return "well" if min(counts) >= replicas else "degraded" if min(counts) else "down"
