"""Run the attacker and the typist, each in a process of its own, like somebody on another machine."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from chaos.hostile.attacker import Order, Sent, read
from chaos.installation import ROOT, die_with_us

SAY_SECONDS = 30.0
Tell = Callable[[str], None]
"""A callback for the progress."""


@dataclass(slots=True)
class Fired:
    """The result: the messages sent, the number of typed command lines, and the faults found."""

    sent: Sent = field(default_factory=Sent)
    typed: int = 0
    faults: list[str] = field(default_factory=list)


def fire(order: Order, folder: Path, url: str, tell: Tell, lines: int = 0, files: int = 0) -> Fired:
    """Carry out the order; meanwhile type hostile command lines, and apply files, in the folder, on a bus."""
    folder.mkdir()
    fired = Fired()
    typist = _typist(order.seed, folder, url, lines, files)
    try:
        fired.sent = _attack(order, tell, fired.faults)
        printed, _ = typist.communicate()
    finally:
        typist.kill()
    for line in printed.splitlines():
        said = json.loads(line)
        fired.typed += said.get("typed", 0)
        if "wrong" in said:
            fired.faults.append(f"{said['what']} {said['words']}: {said['wrong']}")
    if typist.returncode or fired.typed != lines + files:
        fired.faults.append(f"the command line has ended its program, with code {typist.returncode}, or hangs")
    return fired


def _attack(order: Order, tell: Tell, faults: list[str]) -> Sent:
    """Run the attacker; its death is a fault of the test, and reported."""
    sent, say = Sent(), SAY_SECONDS
    with subprocess.Popen(
        [sys.executable, "-m", "chaos.hostile.attacker"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_us,
    ) as attacker:
        assert attacker.stdin is not None
        assert attacker.stdout is not None
        attacker.stdin.write(json.dumps(asdict(order)))
        attacker.stdin.close()
        for line in attacker.stdout:
            sent = read(line)
            if sent.seconds >= say:
                say = sent.seconds + SAY_SECONDS
                tell(f"  {sent.messages:,} messages in {sent.seconds:.0f} s")
    if attacker.returncode or not sent.over:
        faults.append(f"the attacker ended with code {attacker.returncode}, after {sent.messages:,} messages")
    return sent


def _typist(seed: int, folder: Path, url: str, lines: int, files: int) -> "subprocess.Popen[str]":
    variables = {name: value for name, value in os.environ.items() if not name.startswith("RELMAN_")}
    return subprocess.Popen(
        [sys.executable, "-m", "chaos.hostile.typist", str(seed), str(lines), str(files)],
        cwd=folder,
        env={**variables, "RELMAN_DATA": url, "RELMAN_AS": "mallory", "TERM": "dumb", "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_us,
    )
