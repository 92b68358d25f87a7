"""The installation of `make chaos ARGS=--seen`, in a process of its own, so that it can be killed.

`python -m chaos.owner FOLDER [STORE]` serves until its standard input ends.
"""

import sys

from release_management import ReleaseManager
from release_management.adapters.executors.local import converge
from release_management.domain import damping

APPLICATION = "shop"
LONGEST_SECONDS = 2.0
"""The longest time here for which alarms are held, and starts are delayed."""
READY = "ready"


def open_manager(data: str, store: str | None) -> ReleaseManager:
    """Open the installation as its owner, or as its client if another process owns it."""
    return ReleaseManager(APPLICATION, data=data, store=store, actor="alice")


def main(arguments: list[str]) -> None:
    """Serve."""
    damping.LONGEST_HOLD = LONGEST_SECONDS
    converge.LONGEST_BACKOFF = LONGEST_SECONDS
    data, *store = arguments
    manager = open_manager(data, store[0] if store else None)
    manager._backend.start_workers()
    print(READY, flush=True)
    sys.stdin.read()
    manager.close()


if __name__ == "__main__":
    main(sys.argv[1:])
