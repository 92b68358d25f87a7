"""Run one role as a process of its own.

It survives transient errors: while the store or the bus is away it says so in its health and its log, and retries. It
ends, with one sentence as its last line on standard error, if only a person can help. It stops cleanly on SIGTERM.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from release_management.adapters.event_store import EventStoreError
from release_management.adapters.executors.installed import UnusableExecutorError
from release_management.adapters.nats.access import permissions
from release_management.adapters.system.error_paths import naming
from release_management.adapters.system.folder_lock import FolderOpenError
from release_management.adapters.system.gc_tuning import collect_rarely
from release_management.kernel.errors import ErrorCode, RelmanError
from release_management.kernel.gathering import NotListedError
from release_management.kernel.visible import visible
from release_management.runtime.data_directory import DataDirectory
from release_management.runtime.exit_codes import FINAL, SENTENCE
from release_management.runtime.program_log import log_everything
from release_management.runtime.roles.declared import ALL_IN_ONE, Role, Serving, role_of
from release_management.runtime.roles.kit.away import answering_while_away
from release_management.runtime.roles.kit.health import Health
from release_management.runtime.roles.kit.probes import DEFAULT_ADDRESS, HealthServer
from release_management.runtime.roles.kit.transient_errors import (
    PASSING,
    causes,
    damaged,
    is_damage,
    keep_serving,
    line,
)
from release_management.services.ports import LogUnavailableError
from release_management.services.ports.bus import BusUnfitError
from release_management.services.redaction import redacted

FINALLY = (BusUnfitError, EventStoreError, FolderOpenError, UnusableExecutorError)
"""Errors after which a restart does not help."""
PROJECTOR_NICE = 5
"""On one machine a busy projector yields to the other roles, which people and services wait for."""
SWITCH_SECONDS = 0.0005
"""Seconds after which a busy thread lets another run (Python's own: 5 ms, at each call of the store)."""
LEAVE_SECONDS = 1.0
"""Seconds for which a role that has ended waits for its helper threads."""


def run(
    role: str,
    home: DataDirectory,
    *,
    executor: str = "local",
    http: str = DEFAULT_ADDRESS,
    on_ready: Callable[[str], None] = lambda _: None,
    with_parent: bool = False,
) -> int:
    """Serve a role until told to stop; return the process's exit code.

    `on_ready` is called with the address for probes once the role serves, or stands by. `with_parent`: standard input
    is a pipe that the parent holds open, and this process dies, as suddenly, when the parent does.
    """
    health = Health(role)
    sys.setswitchinterval(SWITCH_SECONDS)
    log_everything(role=role, instance=health.instance)
    if with_parent:
        if role == "projector":
            os.nice(PROJECTOR_NICE)
        threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        home.prepare()
        require_bus_user(role_of(role))
        serving = role_of(role).make(home, health, executor)
        with contextlib.closing(HealthServer(health, http)) as server, _noted(home, health, server.address):
            kept = _keep(serving, home, health)

            def ready() -> None:
                collect_rarely()
                on_ready(server.address)

            # All cleanup has been done then. A thread that still reads or waits is not worth a wait.
            leaving = threading.Timer(LEAVE_SECONDS, os._exit, (0,))
            leaving.daemon = True
            try:
                asyncio.run(_until_told(kept, health, ready, leaving, interrupts=not with_parent))
            finally:
                leaving.cancel()
        return 0
    except Exception as error:
        return _last_words(error, role, home)


def require_bus_user(role: Role) -> None:
    """Raise `NotListedError` if a role is declared that may use nothing of the bus."""
    user = role.answers_as if role == ALL_IN_ONE else role.name
    if not role.per_executor and user not in permissions.ROLES:
        raise NotListedError(
            f"the role {role.name} has no user of the bus; add its permissions to `ROLES` of "
            "adapters/nats/access/permissions.py"
        )


async def _keep(serving: Serving, home: DataDirectory, health: Health) -> None:
    async with answering_while_away(home, role_of(health.role).answers_as, health):
        await keep_serving(serving.serve, health)


async def _until_told(
    serving: Coroutine[Any, Any, None],
    health: Health,
    on_ready: Callable[[], None],
    leaving: threading.Timer,
    *,
    interrupts: bool,
) -> None:
    """Serve until SIGTERM, then start `leaving`.

    ctrl-C reaches a parent as well, which then signals us: only without one it `interrupts`.
    """
    task = asyncio.ensure_future(serving)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    loop.add_signal_handler(signal.SIGINT, task.cancel if interrupts else lambda: None)
    while not task.done() and not health.ready:
        await asyncio.wait([task], timeout=0.01)
    if not task.done():
        on_ready()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    leaving.start()


@contextlib.contextmanager
def _noted(home: DataDirectory, health: Health, address: str) -> Iterator[None]:
    """Write this process's address into a file, for `relman health`, while the body runs."""
    home.run.mkdir(mode=0o700, exist_ok=True)
    host = socket.gethostname()
    note = home.run / f"{health.role}-{host}-{os.getpid()}.json"
    beside = note.with_suffix(".new")
    with naming(beside):
        document = {"role": health.role, "host": host, "pid": os.getpid(), "address": address}
        beside.write_text(json.dumps(document) + "\n")
    beside.rename(note)
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def _last_words(error: Exception, role: str, home: DataDirectory) -> int:
    """Print why the role ends; return the exit code."""
    found = list(causes(error))
    known = [(sentence, final) for each in found for sentence, final in _explained(each, role, home)]
    if len(known) < len(found):
        print(visible(redacted("".join(traceback.format_exception(error)))), end="", file=sys.stderr)
    if not known:
        return 1
    print(SENTENCE + line(visible(redacted(known[0][0]))), file=sys.stderr, flush=True)
    return FINAL if any(final for _, final in known) else 1


def _explained(error: BaseException, role: str, home: DataDirectory) -> Iterator[tuple[str, bool]]:
    """Yield an expected error's sentence, and True if a restart cannot help; nothing for a fault of ours."""
    if is_damage(error):
        # The log and the keyring have sentences of their own: this is about the role's own database.
        made = home.read_models if role == "projector" else home.agenda
        yield damaged(made), True
    elif isinstance(error, PASSING) or (isinstance(error, RelmanError) and error.code is not ErrorCode.INTERNAL):
        final = isinstance(error, FINALLY) and not isinstance(error, LogUnavailableError)
        yield str(error), final


def _die_with_parent() -> None:
    """Read until the parent is gone; then kill this process too: deployed processes go on running."""
    try:
        while os.read(0, 1):
            pass
    finally:  # also if the pipe cannot be read: a parent that cannot be watched counts as gone
        os.kill(os.getpid(), signal.SIGKILL)
