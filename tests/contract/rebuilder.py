"""Rebuilds a projection in a process of its own, which can be killed: `python -m tests.contract.rebuilder WHERE`."""

import sys
from pathlib import Path

from release_management.adapters.read_model import Projector
from tests.contract.read_models import counting
from tests.projections.event_script import REGISTRY, EventScript

RELEASES = 100


def script_of() -> EventScript:
    """The same story in every process."""
    script = EventScript()
    for minor in range(RELEASES):
        script.release(f"1.{minor}.0")
    return script


def main(where: str) -> None:
    place = where if "://" in where else Path(where)
    projector = Projector(script_of().log, REGISTRY, place, [counting(slow=0.005)], page=5)
    projector.rebuild(progress=lambda name, position, last: print(position, flush=True))
    projector.close()


if __name__ == "__main__":
    main(sys.argv[1])
