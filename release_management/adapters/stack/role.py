"""One role of `relman up` as a process: `python -m release_management.adapters.stack.role road|projector FOLDER`.

It prints `ready` once it serves, stops cleanly on SIGTERM, and dies with its parent: its standard input is a pipe that
the parent holds open.
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from release_management.adapters.stack.core import Core
from release_management.adapters.stack.home import Home
from release_management.adapters.stack.logs import log_everything
from release_management.adapters.stack.reading import QueryRole, open_reading
from release_management.adapters.stack.road import Road


def main(role: str, folder: str) -> None:
    """Serve a role until told to stop."""
    log_everything()
    threading.Thread(target=_die_with_parent, daemon=True).start()
    path = Path(folder)
    url = Home(path).url()
    if url is None:
        raise SystemExit(f"{folder} has no message bus; start it with relman up")
    if role == "road":
        with Core(path) as core:
            road = Road(core)
            asyncio.run(_until_told(road.serve(url), road.ready))
    else:
        reading = open_reading(path)
        queries = QueryRole(reading)
        asyncio.run(_until_told(queries.serve(url), queries.ready))
        reading.close()


async def _until_told(serving: Coroutine[Any, Any, None], ready: asyncio.Event) -> None:
    task = asyncio.ensure_future(serving)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    waiting = asyncio.ensure_future(ready.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    if waiting.done():
        print("ready", flush=True)
    waiting.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return


def _die_with_parent() -> None:
    """Read until the parent is gone; then be gone too, as suddenly: what was deployed goes on running."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
