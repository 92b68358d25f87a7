"""`relman up` and `relman down`."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from release_management.cli.commands.apply import apply_file
from release_management.cli.commands.init import FILE
from release_management.cli.kit.background import Announcement, launch
from release_management.cli.kit.command import command
from release_management.cli.kit.errors import (
    Failed,
    code_of,
    exit_code,
    explained,
    notice,
)
from release_management.cli.kit.output import (
    printable,
    say,
    show,
)
from release_management.cli.kit.session import bus_url, holder
from release_management.cli.kit.settings import (
    StoreOption,
    local_folder,
    store_of,
)
from release_management.kernel.errors import ErrorCode

if TYPE_CHECKING:
    from release_management.runtime.data_directory import DataDirectory
    from release_management.runtime.supervisor import Supervisor

GONE_SECONDS = 90.0
SAY_SECONDS = 3.0


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @command(app, "up", example="relman up\nrelman up --detach && relman env list")
    def up(
        detach: Annotated[
            bool, typer.Option("--detach", "-d", help="Run in the background; return once it is ready.")
        ] = False,
        store: StoreOption = None,
        apart: Annotated[
            bool, typer.Option("--apart", help="Every role in a process of its own; so it is with PostgreSQL.")
        ] = False,
        client: Annotated[
            list[str] | None,
            typer.Option(metavar="NAME", help="A client of the bus that gets a user of its own, from now on."),
        ] = None,
        pass_env: Annotated[
            list[str] | None,
            typer.Option(
                "--pass-env",
                metavar="NAME",
                envvar="RELMAN_PASS_ENV",
                help="A variable of this environment, or NAME* for all that begin so, that executors get: env:NAME "
                "refers to it.",
            ),
        ] = None,
        ready_fd: Annotated[int | None, typer.Option("--ready-fd", hidden=True)] = None,
    ) -> None:
        """Run everything on this machine.

        That is the message bus, the gateway, the orchestrator, the timers, the relay, the executors and the read
        models.

        A relman.yaml in the working directory is applied once it is ready. ctrl-C, SIGTERM or relman down stop it
        cleanly, with the processes that it deployed; the next relman up restores those.
        """
        folder = local_folder()
        clients = _checked(client or [])
        passed = _passed(pass_env or [])
        if detach:
            started = launch(folder, store_of(store), apart=apart, clients=clients, passed=passed)
        else:
            with Announcement(ready_fd) as announcement:
                _serve(folder, store_of(store), apart, clients, passed, announcement)
            return
        show(started)
        _print(started)

    @command(app, "down", example="relman down")
    def down() -> None:
        """Stop what relman up started here.

        It returns once everything is gone. Nothing is lost: the next relman up goes on from there.
        """
        folder = local_folder()
        pid = _up_process(folder)
        began = reported = time.monotonic()
        os.kill(pid, signal.SIGTERM)
        while holder(folder) == pid or _is_alive(pid):
            if time.monotonic() - reported > SAY_SECONDS:
                reported = time.monotonic()
                left = ", ".join(_left(folder)) or "what was deployed"
                notice(f"waiting for {left} to stop ({reported - began:.0f} s)")
            if time.monotonic() - began > GONE_SECONDS:
                raise Failed(f"process {pid} has not ended within {GONE_SECONDS:g} s; see {folder / 'logs'}")
            time.sleep(0.05)
        seconds = round(time.monotonic() - began, 3)
        show({"stopped": pid, "folder": str(folder), "seconds": seconds})
        say(f"✔ stopped process {pid} of {folder} in {seconds:.1f} s\n  next: relman up")


def _checked(clients: list[str]) -> list[str]:
    from release_management.kernel.types import plain_name

    for name in clients:
        try:
            plain_name(name)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--client") from None
    return clients


def _passed(names: list[str]) -> list[str]:
    from release_management.adapters.system.process_environment import check_passed, is_there

    for name in names:
        try:
            check_passed(name)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--pass-env") from None
        if not is_there(name):
            notice(f"--pass-env {name}: there is no such variable here; executors start without it")
    return names


def _serve(
    folder: Path,
    store: str | None,
    apart: bool,
    clients: list[str],
    passed: list[str],
    announcement: Announcement,
) -> None:
    began = time.monotonic()
    from release_management.runtime.data_directory import DataDirectory
    from release_management.runtime.supervisor import (
        TOGETHER,
        Supervisor,
        parts_apart,
    )

    is_new = not (folder / "store.url").exists()
    home = DataDirectory.at(folder, store)
    if store is not None and is_new:
        _see_that_it_opens(home)
    supervisor = Supervisor(home, parts_apart() if apart or home.store is not None else TOGETHER, clients, passed)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: supervisor.stop.set())

    def ready() -> None:
        if supervisor.stop.is_set():
            return
        started = _ready(folder, supervisor, time.monotonic() - began)
        announcement.ready(started)
        show(started)
        _print(started)
        sys.stdout.flush()

    def tell(message: str) -> None:
        notice(message)
        announcement.waits(message)

    supervisor.tell = tell
    supervisor.run(ready)
    if supervisor.left:
        raise Failed(f"stopped, but not everything could be ended: {'; '.join(supervisor.left)}")
    say("✔ stopped; nothing is left running")


def _see_that_it_opens(home: "DataDirectory") -> None:
    """Open the log once, to report at once what is wrong with a newly named store."""
    from release_management.domain.registry import Registry

    home.open_log(Registry()).close()


def _ready(folder: Path, supervisor: "Supervisor", seconds: float) -> dict[str, Any]:
    url = urlsplit(bus_url(folder) or "")
    details: dict[str, Any] = {
        "pid": os.getpid(),
        "folder": str(folder),
        "bus": f"nats://{url.hostname}:{url.port}",
        "credentials": str(folder / "nats.url"),
        "logs": str(folder / "logs"),
        "seconds": round(seconds, 3),
    }
    if Path(FILE).is_file():
        details["applied"] = _apply()
    return details


def _apply() -> dict[str, Any]:
    """Apply the working directory's file; a failure does not stop `up`."""
    try:
        changes, lines = apply_file(Path(FILE))
    except Exception as error:
        if exit_code(error) is None:
            raise
        return {"file": FILE, "error": explained(error), "code": code_of(error)}
    return {"file": FILE, "changes": [change.document() for change in changes], "lines": lines}


def _print(details: dict[str, Any]) -> None:
    say(f"✔ relman is up after {details['seconds']:.1f} s (process {details['pid']})")
    say(f"  data   {details['folder']}")
    say(f"  bus    {details['bus']} (with its password: {details['credentials']})")
    say(f"  logs   {details['logs']}")
    say("  stop   ctrl-C, or: relman down")
    applied = details.get("applied", {})
    for line in applied.get("lines", ()):
        say(f"  {FILE}: {line}")
    if "error" in applied:
        print(printable(f"relman: {FILE} was not applied: {applied['error']}"), file=sys.stderr, flush=True)


def _is_alive(pid: int) -> bool:
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _left(folder: Path) -> list[str]:
    """Return the parts of a `relman up` that still run."""
    from release_management.runtime.data_directory import DataDirectory
    from release_management.runtime.supervisor import running_parts

    return [name for name, _ in running_parts(DataDirectory(folder))]


def _up_process(folder: Path) -> int:
    """Return the process id of the folder's `relman up`. Raises `Failed` if there is none."""
    import psutil

    pid = holder(folder)
    if pid is None:
        raise Failed(f"nothing runs in {folder}; start it with: relman up", code=ErrorCode.CONFLICT)
    try:
        arguments = psutil.Process(pid).cmdline() if pid else []
    except psutil.Error:
        arguments = []
    if "up" not in arguments:
        owner = f"process {pid}" if pid else "a process that has not said its id"
        reason = f"{folder} is in use by {owner}, which is no relman up; end it where it was started"
        raise Failed(reason, code=ErrorCode.CONFLICT)
    return pid
