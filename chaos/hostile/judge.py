"""The rules for the honest client and the installation during an attack."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from chaos.hostile.attacker import Sent
from chaos.hostile.honest import ASKED, Heard

TIMES = 10.0
"""The factor by which an answer, and a deployment, may take longer than in calm."""
MORE_MEBIBYTES = 400
"""MiB by which all processes together may grow."""
MOST_LETTERS = 10_000
MOST_LETTER_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that an answer and a deployment may take in any case, and for which health may miss a waiting client.

    Calm is a few milliseconds, and the attacker has the same machine.
    """

    answer: float = 0.25
    deployment: float = 30.0
    silence: float = 15.0


STRICT = Limits()


@dataclass(slots=True)
class Phase:
    """The observations of one phase: the honest client, the processes, their logs, their health and their memory.

    `ill` is the health's text, and `silent` for how many seconds a client waited while all were well. `mute` are roles
    whose health did not answer. `troubles` are those of the health at the end.
    """

    name: str
    heard: Heard = field(default_factory=Heard)
    restarts: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    lines: int = 0
    ill: Counter[str] = field(default_factory=Counter)
    silent: list[float] = field(default_factory=list)
    mute: Counter[str] = field(default_factory=Counter)
    troubles: list[str] = field(default_factory=list)
    before: Mapping[str, int] = field(default_factory=dict)
    after: Mapping[str, int] = field(default_factory=dict)
    peak: int = 0
    sizes: Mapping[str, int] = field(default_factory=dict)
    letters: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


def faults(calm: Phase, others: Iterable[Phase], sent: Sent, limits: Limits = STRICT) -> list[str]:
    """Return every rule that was broken."""
    return [*_of_calm(calm), *_of_answers(sent), *(fault for phase in others for fault in _of(calm, phase, limits))]


def _of_calm(calm: Phase) -> Iterator[str]:
    """Check that calm itself was measured well enough to compare with."""
    for kind in ASKED:
        if not calm.heard.seconds.get(kind):
            yield f"in calm no {kind} was answered"
    if not calm.heard.deployments:
        yield "in calm no deployment was finished"
    yield from (f"in calm: {wrong}" for wrong in calm.heard.wrong)


def _of_answers(sent: Sent) -> Iterator[str]:
    yield from (f"the attacker was answered {count} times: {text}" for text, count in sent.ours.items())
    if sent.overheard:
        yield f"the attacker overheard {sent.overheard} answers to the honest client"


def _of(calm: Phase, phase: Phase, limits: Limits) -> Iterator[str]:
    yield from (f"{phase.name}: {text}" for text in _of_one(calm, phase, limits))


def _of_one(calm: Phase, phase: Phase, limits: Limits) -> Iterator[str]:
    yield from phase.heard.wrong
    for kind in ASKED:
        took = phase.heard.percentile(0.99, (kind,))
        bound = limit(calm.heard.percentile(0.99, (kind,)), limits.answer)
        if math.isnan(took):
            yield f"no {kind} was answered"
        elif took > bound:
            yield f"the slowest hundredth of {kind} answers took {took:.2f} s or more; {bound:.2f} s are right"
    bound = limit(max(calm.heard.deployments, default=0.0), limits.deployment)
    if not phase.heard.deployments:
        yield "no deployment was finished"
    elif (longest := max(phase.heard.deployments)) > bound:
        yield f"a canary took {longest:.1f} s; {bound:.1f} s are right"
    yield from (f"{name} was begun again {count} times" for name, count in phase.restarts.items())
    yield from (f"the log says {count} times: {text}" for text, count in phase.errors.items())
    yield from (f"the health of {name} did not answer {count} times" for name, count in phase.mute.items())
    if (silence := max(phase.silent, default=0.0)) > limits.silence:
        yield f"all were well, and somebody waited for {silence:.0f} s"
    yield from (f"the health says at the end: {trouble}" for trouble in phase.troubles)
    if (more := sum(phase.after.values()) - sum(phase.before.values())) > MORE_MEBIBYTES:
        yield f"{more} MiB more are in memory than before: {dict(phase.before)} and {dict(phase.after)}"
    if phase.letters.get("messages", 0) > MOST_LETTERS or phase.letters.get("bytes", 0) > MOST_LETTER_BYTES:
        yield f"the dead letters are without bounds: {dict(phase.letters)}"


def limit(calm: float, least: float) -> float:
    """Return the time that something may take, given the time in calm."""
    return max(TIMES * calm, least) if not math.isnan(calm) else least
