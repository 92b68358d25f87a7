"""A role as a child of `relman up`: `python -m release_management.runtime.roles ROLE FOLDER EXECUTOR`.

It writes a line once it is ready, and dies with its parent, which holds its standard input open.
"""

import sys
from pathlib import Path

from release_management.adapters.system.gc_tuning import collect_not_yet
from release_management.adapters.system.lean_imports import load_structlog


def main(role: str, folder: str, executor: str) -> int:
    """Serve the role until told to stop; return the process's exit code."""
    collect_not_yet()
    load_structlog()
    from release_management.runtime.data_directory import DataDirectory
    from release_management.runtime.roles.process import run

    home = DataDirectory.at(Path(folder))
    return run(role, home, executor=executor, on_ready=lambda _: print("ready", flush=True), with_parent=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
