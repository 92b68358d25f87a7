"""`relman up --detach`: the background process tells its starter over a pipe when it is ready, or why not."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from release_management.adapters.system.folder_lock import make_private
from release_management.cli.kit.errors import (
    Failed,
    code_of,
    explained,
    notice,
)
from release_management.cli.kit.settings import settings
from release_management.kernel.errors import known_code

READY_SECONDS = 60.0


class Announcement:
    """The background process's end of the pipe; without one nothing is sent."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        if descriptor is not None:
            os.set_inheritable(descriptor, False)

    def waits(self, text: str) -> None:
        """Send the reason why the process does not serve yet."""
        if self._descriptor is not None:
            with suppress(BrokenPipeError):
                os.write(self._descriptor, json.dumps({"waits": text}).encode() + b"\n")

    def ready(self, details: dict[str, Any]) -> None:
        """Send that the process serves."""
        self._send({"ready": details})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self._send({"error": explained(error), "code": code_of(error)})

    def _send(self, message: dict[str, Any]) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        try:
            with os.fdopen(descriptor, "w") as pipe:
                json.dump(message, pipe)
        except BrokenPipeError:
            return


def launch(
    folder: Path, store: str | None, *, apart: bool, clients: Sequence[str] = (), passed: Sequence[str] = ()
) -> dict[str, Any]:
    """Start `relman up` in the background and wait until it is ready. Raises `Failed` with its reason."""
    logs = folder / "logs"
    make_private(folder)
    logs.mkdir(exist_ok=True)
    reading, writing = os.pipe()
    actor = settings().actor
    command = [sys.executable, "-m", "release_management.cli", "up", "--data", str(folder), "--ready-fd", str(writing)]
    command += [] if actor is None else ["--as", actor]
    command += ["--apart"] if apart else []
    command += [f"--client={name}" for name in clients]
    command += [f"--pass-env={name}" for name in passed]
    try:
        with (logs / "up.log").open("ab") as log:
            child = subprocess.Popen(
                command,
                # In the environment, since everybody on the machine may read the arguments: it holds a password.
                env=os.environ if store is None else {**os.environ, "RELMAN_STORE": store},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(writing,),
            )
    finally:
        os.close(writing)
    try:
        message = _message(reading)
    except BaseException:
        child.terminate()
        raise
    finally:
        os.close(reading)
    if "ready" not in message:
        child.wait()
        reason = message.get("error", f"it ended with exit code {child.returncode}; see {logs / 'up.log'}")
        raise Failed(reason, code=known_code(message.get("code")))
    child.returncode = 0  # it goes on without us; this keeps Popen from warning
    details: dict[str, Any] = message["ready"]
    return details


def _message(descriptor: int) -> dict[str, Any]:
    """Return the last message before the other end closes the pipe, or {}. Prints the reasons for waiting."""
    deadline = time.monotonic() + READY_SECONDS
    received = b""
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            raise Failed(f"it was not ready within {READY_SECONDS:g} s")
        piece = os.read(descriptor, 65536)
        if not piece:
            return json.loads(received) if received else {}
        *lines, received = (received + piece).split(b"\n")
        for line in lines:
            notice(json.loads(line)["waits"])
