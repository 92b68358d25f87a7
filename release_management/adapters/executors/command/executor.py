"""The executor `command`: a program of the user's for every verb.

One program at a time runs for a component, also among executors that share a folder: each takes its `turn` with a lock
of its own, which it holds while the program runs. The state's lock is free meanwhile, so that a newer order is admitted
at once; the executor that runs the older order's program sees the higher fence, ends the program and releases the turn.
An order that gets no turn before its deadline is errored. An executor that dies releases its turn too, and its program
dies with it; processes left of that program are ended before the next one begins. An order without a report is carried
out again, so a program must be idempotent.
"""

import asyncio
import os
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from release_management.adapters.executors.base import processes
from release_management.adapters.executors.base.executor import (
    AGAIN_SECONDS,
    FencedExecutor,
    StepResult,
    plain,
)
from release_management.adapters.executors.base.lock import (
    LockHeld,
    exclusive,
    turn,
)
from release_management.adapters.executors.base.look import Look
from release_management.adapters.executors.base.processes import Process
from release_management.adapters.executors.base.variables import (
    SecretMissing,
    check_environment,
    secret_mask,
)
from release_management.adapters.executors.command.answer import verdict
from release_management.adapters.executors.command.environment import environment
from release_management.adapters.executors.command.observing import observe
from release_management.adapters.executors.command.output import Output
from release_management.adapters.executors.command.program import CannotStart, Program
from release_management.adapters.executors.command.settings import (
    CommandSettings,
    check_program,
    check_settings,
)
from release_management.adapters.executors.command.state import CommandFolder, CommandState
from release_management.adapters.system.error_paths import naming
from release_management.domain.orders import Order, Report
from release_management.domain.plan.steps.await_healthy import AwaitSlotHealthy
from release_management.domain.plan.steps.provision import ProvisionSlot
from release_management.kernel.record import timestamp
from release_management.services.ports import Clock

OVERTAKEN_POLL_SECONDS = 0.2
FIRST_LOOK_SECONDS = 1.0
LOOKS_AT_ONCE = 16
_TURN = "turn.lock"

_log = structlog.get_logger(__name__)


class CommandExecutor(FencedExecutor[CommandFolder]):
    """Carries out orders by running programs. Several executors may share a folder."""

    def __init__(self, data: Path, clock: Clock) -> None:
        super().__init__(data, clock)
        self._looks: dict[Path, Look] = {}
        self._looking: dict[Path, asyncio.Task[None]] = {}
        self._looked: dict[Path, float] = {}
        self._observing = asyncio.Semaphore(LOOKS_AT_ONCE)

    async def run(self) -> None:
        """End the programs that dead executors left behind; then wait until `stop`."""
        for folder in await self._blocking(CommandFolder.all, self._data):
            with suppress(LockHeld, OSError, ValueError):
                await self._blocking(_end_left_behind, folder)
        await self._stopping.wait()

    async def stop(self, keep: bool = False) -> None:
        """End the running programs; their orders get no report. Deployed components go on running, with `keep` or
        without.

        Afterwards this executor does nothing more.
        """
        await self.give_up()
        looking = list(self._looking.values())
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)

    async def look(self, order: Order | None = None) -> list[Look]:
        """Return the newest observation of every component; for an order, a new observation of its component.

        The observing programs run in the background: one that hangs delays no other, and its last observation grows
        old.
        """
        if order is not None:
            folder = self._folder(order)
            if (under_way := self._looking.get(folder.path)) is not None:
                await asyncio.shield(under_way)
            await asyncio.shield(self._begin_look(folder))
            return [self._looks[folder.path]] if folder.path in self._looks else []
        folders = await self._blocking(CommandFolder.all, self._data)
        for folder in folders:
            if folder.path not in self._looking and time.monotonic() >= self._looked.get(folder.path, 0.0):
                self._begin_look(folder)
        if self._looking and any(folder.path not in self._looked for folder in folders):
            await asyncio.wait(list(self._looking.values()), timeout=FIRST_LOOK_SECONDS)
        paths = {folder.path for folder in folders}
        self._looks = {path: look for path, look in self._looks.items() if path in paths}
        return list(self._looks.values())

    def _begin_look(self, folder: CommandFolder) -> "asyncio.Task[None]":
        task = self._looking[folder.path] = asyncio.create_task(self._look(folder))
        task.add_done_callback(lambda _: self._looking.pop(folder.path, None))
        task.add_done_callback(_say_failure)
        return task

    async def _look(self, folder: CommandFolder) -> None:
        if self._stopping.is_set():
            return
        async with self._observing:
            look, pause = await observe(folder, self._clock)
        self._looked[folder.path] = time.monotonic() + pause
        if look is not None:
            self._looks[folder.path] = look

    def _folder(self, order: Order) -> CommandFolder:
        return CommandFolder.of(self._data, order)

    def _intend(self, state: CommandState, order: Order) -> str | None:
        try:
            check_program(check_settings(order.settings, routes=False), type(order.action))
            config = order.action.config if isinstance(order.action, ProvisionSlot) else {}
            check_environment({**config, **order.variables})
        except ValueError as error:
            return f"the settings of {order.component} cannot be used: {error}"
        state.intend(order)
        return None

    def _forget(self, state: CommandState) -> None:
        state.program = None

    async def _complete(self, folder: CommandFolder, order: Order) -> Report:
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(turn(folder.path / _TURN, self._left(order)))
            except LockHeld as held:
                reason = f"{order.action.verb} had no turn before its deadline: {held}"
                return await self._blocking(self._finish, folder, order, ("errored", reason, None))
            return await super()._complete(folder, order)

    async def _ask(self, folder: CommandFolder, order: Order, slot: str, count: int) -> StepResult | None:
        """Run the program for `await_healthy`, to check a slot again."""
        action = AwaitSlotHealthy(slot=slot, replicas=count, again=True)
        health_order = order.model_copy(update={"action": action})
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(turn(folder.path / _TURN, self._left(order)))
            except LockHeld as held:
                return "errored", f"await_healthy had no turn before its deadline: {held}", None
            result, reason, _ = await self._effect(folder, health_order)
        if result == "succeeded":
            return None
        return ("unwell" if result == "failed" else result), reason, None

    async def _effect(self, folder: CommandFolder, order: Order) -> StepResult:
        if isinstance(order.action, AwaitSlotHealthy) and order.action.again and self._left(order) > AGAIN_SECONDS:
            soon = timestamp(self._clock.now() + timedelta(seconds=AGAIN_SECONDS))
            order = order.model_copy(update={"deadline": soon})
        settings = check_settings(order.settings, routes=False)
        seconds = self._seconds(order, settings)
        if seconds <= 0:
            return "errored", f"there was no time left for {order.action.verb}", None
        started: list[Program] = []
        beginning = asyncio.ensure_future(self._blocking(self._begin, folder, order, settings, started))
        try:
            trouble = await asyncio.shield(beginning)
            if trouble is not None:
                return "errored", f"{order.action.verb} cannot be started: {trouble}", None
            if not started:
                return "stale", None, None
            result, reason, observed = await self._outcome(folder, order, started[0], seconds, settings.stop_grace)
            return result, reason and started[0].output.secret_mask.text(reason), observed
        finally:
            # Also when we are cancelled meanwhile, even twice: no program goes on without us.
            await _undisturbed(_end(beginning, started, settings.stop_grace))

    def _seconds(self, order: Order, settings: CommandSettings) -> float:
        """Return the seconds that the program may take."""
        return min(settings.timeout, self._left(order))

    def _left(self, order: Order) -> float:
        """Return the seconds until the order's deadline."""
        deadline = datetime.fromisoformat(order.deadline)
        deadline = deadline if deadline.tzinfo is not None else deadline.replace(tzinfo=UTC)
        return (deadline - self._clock.now()).total_seconds()

    def _begin(
        self, folder: CommandFolder, order: Order, settings: CommandSettings, started: list[Program]
    ) -> str | None:
        """Start the program, unless the order was overtaken or answered meanwhile; return why it cannot start."""
        with folder.locked():
            state = folder.load()
            if self._answered(state, order) is not None:
                return None
            processes.end_leftovers(state.program)
            token = processes.new_token()
            state.program = Process(token=token)
            folder.save(state)
            try:
                program = _start(folder, order, settings, token)
            except (OSError, ValueError, SecretMissing, CannotStart) as error:
                return plain(error)
            started.append(program)
            state.program = program.process
            folder.save(state)
            return None

    async def _outcome(
        self, folder: CommandFolder, order: Order, program: Program, seconds: float, grace: float
    ) -> StepResult:
        """Wait for the program; end it if its time is over or its order was overtaken."""
        program.watch()
        give_up = time.monotonic() + seconds
        while (left := give_up - time.monotonic()) > 0:
            if (code := await program.ended(min(left, OVERTAKEN_POLL_SECONDS))) is not None:
                await program.finish(grace)
                return verdict(order, code, program.output)
            if (await self._blocking(folder.load)).fence > order.fence:
                return "stale", None, None
        await program.finish(grace)
        last_line = f'; its last line was "{program.output.last_line}"' if program.output.last_line else ""
        return _late(order, f"{order.action.verb} took longer than {seconds:.4g} s and was ended{last_line}")


def _start(folder: CommandFolder, order: Order, settings: CommandSettings, token: str) -> Program:
    env = environment(order, settings, folder)
    stdin = folder.path / "order.json"
    with naming(stdin), open(os.open(stdin, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(order.model_dump_json().encode() + b"\n")
    log = processes.open_log(folder.log("command"))
    try:
        heading = f"{order.action.verb}, fence {order.fence}, attempt {order.attempt}"
        argv = settings.commands[order.action.verb]
        return Program(
            token, argv, env, settings.cwd, stdin, Output(log, heading, secret_mask(order.variables, folder))
        )
    except BaseException:
        log.close()
        raise


def _say_failure(look: "asyncio.Task[None]") -> None:
    """Log why an observation failed; if the next ones fail too, the component becomes *unknown*."""
    if not look.cancelled() and (error := look.exception()) is not None:
        _log.error("a component could not be looked at", exc_info=error)


async def _end(beginning: asyncio.Future[str | None], started: list[Program], grace: float) -> None:
    await asyncio.wait([beginning])
    for program in started:
        await program.finish(grace)


async def _undisturbed(ending: Coroutine[Any, Any, None]) -> None:
    """Run the coroutine to its end, and raise a cancellation that comes meanwhile only afterwards."""
    task = asyncio.ensure_future(ending)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()


def _late(order: Order, reason: str) -> StepResult:
    """Return the verdict on a program that took too long: the release failed if it waited for health, else errored."""
    return "failed" if isinstance(order.action, AwaitSlotHealthy) else "errored", reason, None


def _end_left_behind(folder: CommandFolder) -> None:
    with exclusive(folder.path / _TURN, patience=0), folder.locked():
        processes.end_leftovers(folder.load().program)
