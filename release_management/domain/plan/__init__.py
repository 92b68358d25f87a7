"""A plan: the list of steps that a strategy compiles to. It is shown, approved, recorded, then walked.

Steps of one wave run side by side; the next wave begins when all of them succeeded. Steps speak of the roles `stable`
(what runs) and `candidate` (what comes); roles are bound to slots when the deployment starts.
"""

import hashlib
import json
from typing import Annotated, Literal

from pydantic import Field, model_validator

from release_management.domain.configuration_difference import Difference
from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import (
    Digest,
    Line,
    Name,
    Percent,
    Refused,
    Seconds,
    Value,
    Version,
)

Role = Literal["stable", "candidate"]
MAX_STEPS = 20_000
"""The steps of the way forward, and those of the way back."""


class Step(Value):
    """What every step carries. `since` (rollback only): needed once the forward leg has begun that wave."""

    wave: Annotated[int, Field(ge=0)]
    since: int | None = None


class PlaceStep(Step):
    """A step for one component on one target."""

    target: Name
    component: Name


class Provision(PlaceStep):
    """The role's version runs with so many replicas. Idempotent: make it so."""

    verb: Literal["provision"] = "provision"
    role: Role
    replicas: Annotated[int, Field(ge=0, le=100)]


Healthy = Annotated[dict[Role, Annotated[int, Field(ge=1, le=100)]], Field(exclude_if=lambda roles: not roles)]
"""How many instances of which roles must be well before the step is begun; else the deployment goes back."""


class AwaitHealthy(PlaceStep):
    """Healthy for `min_ready` without a break, before `deadline` seconds have passed.

    `again`: it was healthy before, and is asked whether it still is, and has been since.
    """

    verb: Literal["await_healthy"] = "await_healthy"
    role: Role
    replicas: Annotated[int, Field(ge=0, le=100)]
    min_ready: Seconds = 0.0
    deadline: Seconds
    again: Annotated[bool, Field(exclude_if=lambda again: not again)] = False


class Route(PlaceStep):
    """Traffic shares in percent: they sum to 100, or are all 0 where nothing serves."""

    verb: Literal["route"] = "route"
    weights: dict[Role, Percent]
    healthy: Healthy = {}

    @model_validator(mode="after")
    def _whole(self) -> "Route":
        if sum(self.weights.values()) not in (0, 100):
            raise ValueError(f"weights sum to {sum(self.weights.values())}; they must sum to 100, or all be 0")
        return self


class Pause(Step):
    """Wait for `duration` seconds, or for a person where it is None; `deadline` then ends the waiting."""

    verb: Literal["pause"] = "pause"
    reason: Line
    duration: Seconds | None = None
    deadline: Seconds = 0.0
    baking: bool = False


class Promote(PlaceStep):
    """The role is the place's stable version now. Nothing is ordered; it is recorded."""

    verb: Literal["promote"] = "promote"
    role: Role


class Retire(PlaceStep):
    """Nothing runs in the role any more."""

    verb: Literal["retire"] = "retire"
    role: Role
    healthy: Healthy = {}


AnyStep = Annotated[
    Provision | AwaitHealthy | Route | Pause | Promote | Retire,
    Field(discriminator="verb"),
]


class PlannedChange(Value):
    """What a plan changes of one component at one place: from the version that is stable to the one that comes.

    `candidate` None: the component is given up here. `artifact` and `configuration` are digests of what comes;
    `differs` are the settings and variables that have other values than those of the stable version.
    """

    target: Name
    component: Name
    stable: Version | None = None
    candidate: Version | None = None
    artifact: Digest | None = None
    configuration: Digest | None = None
    differs: Annotated[tuple[Difference, ...], Field(strict=False)] = ()

    def __str__(self) -> str:
        """One line for a person."""
        where = f"{self.component} on {self.target}"
        if self.candidate is None:
            return f"{where}: {self.stable or 'what is there'} is given up, and is stopped"
        names = ", ".join(dict.fromkeys(difference.name for difference in self.differs))
        differs = f"; configuration differs: {names}" if names else ""
        if self.stable is None:
            return f"{where}: {self.candidate}, the first one there"
        if self.stable == self.candidate:
            return f"{where}: {self.candidate} again{differs}"
        return f"{where}: {self.stable} → {self.candidate}{differs}"


class Plan(Value):
    """The forward steps and the way back, compiled together.

    `changes` says what they bring to which place; plans of older records have none. `reversible` False: the way back
    is to stop here (`Halted`); a newer version is needed.
    """

    strategy: Name
    version: Version
    forward: tuple[AnyStep, ...]
    rollback: tuple[AnyStep, ...] = ()
    reversible: bool = True
    notes: tuple[Line, ...] = ()
    changes: tuple[PlannedChange, ...] | None = None

    def steps(self, leg: str) -> tuple[AnyStep, ...]:
        """The steps of a leg: `forward` or `rollback`."""
        return self.forward if leg == "forward" else self.rollback

    @property
    def digest(self) -> str:
        """SHA-256 of the plan's canonical JSON: what an approval is bound to."""
        return digest_of(self.model_dump(mode="json"))


def digest_of(value: object) -> str:
    """SHA-256, in hexadecimal, of the value's canonical JSON (sorted keys, no spaces)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def bounded(plan: Plan) -> Plan:
    """Refuse a plan that is too long to be recorded, approved and walked as one."""
    longest = max(len(plan.forward), len(plan.rollback))
    if longest > MAX_STEPS:
        raise Refused(
            f"the plan has {longest:,} steps and may have {MAX_STEPS:,}: deploy fewer components or targets "
            "at once, or use fewer traffic steps",
            code=ErrorCode.INVALID,
        )
    return plan


def weight_sequence(plan: Plan) -> tuple[int, ...]:
    """The candidate's traffic shares that the forward leg passes through, in order, each once."""
    shares: list[int] = []
    for step in plan.forward:
        if isinstance(step, Route) and (not shares or shares[-1] != step.weights.get("candidate", 0)):
            shares.append(step.weights.get("candidate", 0))
    return tuple(shares)


def describe(step: AnyStep) -> str:
    """One line for a person."""
    match step:
        case Provision():
            return f"run {step.replicas} of the {step.role} version of {step.component} on {step.target}"
        case AwaitHealthy(again=True):
            return f"ask again whether {step.replicas} of {step.component} ({step.role}) on {step.target} are healthy"
        case AwaitHealthy():
            held = f" for {step.min_ready:g} s" if step.min_ready else ""
            return (
                f"wait until {step.replicas} of {step.component} ({step.role}) on {step.target} are healthy{held}, "
                f"at most {step.deadline:g} s"
            )
        case Route():
            shares = ", ".join(f"{share} % {role}" for role, share in step.weights.items())
            return f"route {step.component} on {step.target}: {shares}"
        case Pause(duration=None):
            return f"pause until promoted ({step.reason})"
        case Pause():
            return f"{'bake' if step.baking else 'pause'} {step.duration:g} s ({step.reason})"
        case Promote():
            return f"the {step.role} version of {step.component} on {step.target} is stable now"
        case Retire():
            return f"stop the {step.role} version of {step.component} on {step.target}"
