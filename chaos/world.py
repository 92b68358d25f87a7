"""The platform that is deployed to: `python world.py FOLDER` is the program of the executor `command`.

It stands for whatever a deployment changes, and shares no code with the tested program. Every place and component has a
journal, to which each line is appended and flushed: a program's beginning, its effect, its end. The effects are the
world: the last effects in the journal define the version in a slot, and the traffic shares. A program that finds the
effect of its own fence and verb in the journal has none, and says so: it was begun again. Health is checked under the
fence of a route or a retire, ahead of it.

Versions whose patch number ends in 9 never become healthy; those that end in 4 cannot be provisioned at the first try.
"""

import json
import os
import sys
import time
from typing import Any

LONGEST_SECONDS = 0.12
"""The longest time, in seconds, that a program takes before and after its effect."""
Line = dict[str, Any]


def main(folder: str) -> int:
    """Carry out the order on standard input."""
    order = json.load(sys.stdin)
    action = order["action"]
    place = "-".join(order[part] for part in ("environment", "application", "target", "component"))
    journal = os.path.join(folder, place + ".journal")
    about = {key: order[key] for key in ("fence", "deployment", "leg", "step", "attempt")}
    about |= {"verb": action["verb"], "pid": os.getpid(), "by": os.getppid()}
    write(journal, {"what": "begin", **about})
    time.sleep(LONGEST_SECONDS * (order["fence"] * 7 % 10) / 10)
    effects = [line for line in read(journal) if line["what"] == "effect"]
    if any((line["fence"], line["verb"]) == (order["fence"], action["verb"]) for line in effects):
        write(journal, {"what": "again", **about})
    else:
        if action["verb"] == "provision" and action["version"].endswith("4") and order["attempt"] == 1:
            print("no room just now", file=sys.stderr)
            return 75
        write(journal, {"what": "effect", **about, "action": action})
    time.sleep(LONGEST_SECONDS * (order["fence"] * 3 % 10) / 10)
    write(journal, {"what": "end", **about})
    return answer(action, effects)


def answer(action: Line, effects: list[Line]) -> int:
    """Write the answer to the executor; return the exit code."""
    if action["verb"] == "route":
        print(json.dumps({"observed": action["weights"]}))
    if action["verb"] == "await_healthy" and version_in(action["slot"], effects).endswith("9"):
        print(json.dumps({"result": "failed", "reason": "this version never becomes healthy"}))
    return 0


def version_in(slot: str, effects: list[Line]) -> str:
    """Return the version in a slot, or ""."""
    version = ""
    for line in effects:
        action = line["action"]
        if action.get("slot") == slot and action["verb"] in ("provision", "retire"):
            version = action.get("version", "")
    return version


def read(journal: str) -> list[Line]:
    """Return the journal's lines."""
    with open(journal, "rb") as file:
        return [json.loads(line) for line in file.read().splitlines()]


def write(journal: str, line: Line) -> None:
    """Append a line, durably."""
    line = {**line, "at": time.time()}
    descriptor = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, json.dumps(line).encode() + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
