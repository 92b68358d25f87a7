"""`relman up` without the command line: `python -m tests.acceptance.up FOLDER`. It says `ready`; SIGTERM ends it."""

import signal
import sys
from pathlib import Path

from release_management.runtime.data_directory import DataDirectory
from release_management.runtime.supervisor import Supervisor


def main(folder: str) -> None:
    supervisor = Supervisor(DataDirectory.at(Path(folder)))
    supervisor.tell = lambda message: print(message, file=sys.stderr, flush=True)
    signal.signal(signal.SIGTERM, lambda *_: supervisor.stop.set())
    supervisor.run(lambda: print("ready", flush=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
