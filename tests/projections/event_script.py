"""Facts as a log would hold them: what is not said is the usual."""

import hashlib
import threading
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta

from pydantic import JsonValue

from release_management.domain.approval import ApprovalRequested
from release_management.domain.component import Component
from release_management.domain.configuration import Configuration
from release_management.domain.deployment.commands import Abort, ReportStep
from release_management.domain.deployment.commands import Promote as PromoteDeployment
from release_management.domain.deployment.decide import (
    DeploymentCommand,
    DeploymentFacts,
    Start,
    decide,
)
from release_management.domain.deployment.effects import effects
from release_management.domain.deployment.events import (
    DeploymentEvent,
    DeploymentPlanned,
    DeploymentRequested,
    DeploymentSucceeded,
)
from release_management.domain.deployment.state import Deployment, evolve
from release_management.domain.environment import ApprovalRule
from release_management.domain.place_events import PlaceVersionSucceeded
from release_management.domain.plan import Binding, Plan
from release_management.domain.plan.builder import RolloutTarget
from release_management.domain.plan.compiler import compile_plan
from release_management.domain.plan.steps.route import Route
from release_management.domain.plan.strategies import StrategyName, parse_options
from release_management.domain.registry import Registry
from release_management.domain.release import (
    Change,
    ReleaseCreated,
    ReleasePublished,
    ReleaseSucceeded,
)
from release_management.kernel.record import (
    Envelope,
    Event,
    Recorded,
    encode,
    timestamp,
)
from release_management.kernel.types import Fact, Personal
from release_management.services.ports import (
    Append,
    CommandKey,
    Lease,
    Snapshot,
    Status,
    StoredOutcome,
)

ANN = "usr_ann00001"
BEN = "usr_ben00001"
ANY = "0193a5c2-7d7e-7000-8000-000000000001"
"""An id for commands to those whose state says which deployment it is."""
DIGEST = hashlib.sha256(b"content").hexdigest()
START = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
REGISTRY = Registry()


def at(position: int) -> str:
    """The time of the record at a position: a second after the one before."""
    return timestamp(START + timedelta(seconds=position))


def sealed(text: str, subject: str = ANN) -> Personal:
    return Personal(subject=subject, sealed=f"sealed:{text}")


class MemoryLog:
    """An `EventLog` to read from; a story writes it."""

    def __init__(self) -> None:
        self.records: list[Recorded] = []
        self.reads = 0
        self._grown = threading.Condition()

    @property
    def store_id(self) -> str:
        return "00000000-0000-0000-0000-000000000000"

    def add(self, recorded: Recorded) -> None:
        with self._grown:
            self.records.append(recorded)
            self._grown.notify_all()

    def append(self, batch: Sequence[Append], lease: Lease | None = None) -> list[Status]:
        raise NotImplementedError

    def read(self, after: int, limit: int = 500) -> list[Recorded]:
        self.reads += 1
        return self.records[after : after + limit]

    def read_stream(self, stream: str, after: int = 0) -> list[Recorded]:
        return [it for it in self.records if it.stream == stream and it.version > after]

    def content(self, dataref: str) -> bytes:
        raise NotImplementedError

    def last_position(self) -> int:
        return len(self.records)

    def outcomes(self, commands: Collection[CommandKey]) -> dict[CommandKey, StoredOutcome]:
        return {}

    def snapshot(self, stream: str, shape: str) -> Snapshot | None:
        return None

    def keep_snapshot(self, stream: str, snapshot: Snapshot) -> None: ...

    def take(self, role: str) -> Lease | None:
        return None

    def wait(self, after: int, timeout: float) -> bool:
        with self._grown:
            return self._grown.wait_for(lambda: len(self.records) > after, timeout)

    def close(self) -> None: ...


class EventScript:
    """Tells facts to a log, in order."""

    def __init__(self, log: MemoryLog | None = None) -> None:
        self.log = log or MemoryLog()
        self._versions: dict[str, int] = {}
        self._deployments: dict[str, Deployment] = {}

    @property
    def now(self) -> str:
        return at(self.log.last_position() + 1)

    @property
    def events(self) -> list[Event]:
        return [event for recorded in self.log.records for event in REGISTRY.read(recorded)]

    def tell(self, stream: str, *facts: Fact, actor: str = ANN) -> int:
        """Record facts; the position of the last."""
        for fact in facts:
            position = self.log.last_position() + 1
            version = self._versions[stream] = self._versions.get(stream, 0) + 1
            envelope = Envelope(
                id=f"event-{position}",
                source=f"urn:uuid:{self.log.store_id}",
                type=fact.NAME,
                subject=stream,
                time=at(position),
                streamversion=version,
                schemaversion=fact.VERSION,
                actor=actor,
                actorkind="system" if actor.startswith("system:") else "person",
                actorauth="system" if actor.startswith("system:") else "os",
                commandid=f"command-{position}",
            )
            self.log.add(Recorded(position, stream, version, fact.NAME, encode(envelope, fact)))
        return self.log.last_position()

    def release(self, version: str = "1.0.0", application: str = "shop") -> str:
        created = ReleaseCreated(
            application=application,
            version=version,
            author=ANN,
            components=(component("web", version),),
            changes=(Change(commit="abcd1234", committed_at="2026-11-20T08:00:00Z", author=sealed("Ann")),),
            changelog=(sealed("faster"),),
            content=DIGEST,
        )
        self.tell(f"release:{application}@{version}", created, ReleasePublished())
        return f"{application}@{version}"

    def ask_approval(self, deployment: str, approval: str = "a-1", required: int = 1) -> str:
        asked = ApprovalRequested(
            approval=approval,
            deployment=deployment,
            release="shop@1.0.0",
            environment="production",
            digest=DIGEST,
            rule=ApprovalRule(required=required),
            people=(ANN,),
            expires_at=at(90_000),
        )
        self.tell(f"approval:{approval}", asked)
        return approval

    def planned(self, deployment: str, version: str = "1.0.0", environment: str = "production", **of: object) -> None:
        self.walk(deployment, [planned(deployment, version, environment, **of)], ANN)

    def requested(self, deployment: str, by: str = ANN) -> None:
        self.walk(deployment, [DeploymentRequested(by=by)], by)

    def started(self, deployment: str) -> None:
        state = self.state(deployment)
        self.walk(deployment, self.decided(deployment, Start((binding(state.version),))))

    def reported(self, deployment: str, result: str = "succeeded", observedat: str | None = None) -> bool:
        """The executor reports on the order that is out; False where there is none."""
        state = self.state(deployment)
        out = [(key, step) for key, step in state.steps.items() if key[0] == state.leg and step.status == "started"]
        if not out:
            return False
        (leg, index), step = out[0]
        plan_step = state.plan.steps(leg)[index] if state.plan else None
        weights = plan_step.weights if isinstance(plan_step, Route) else None
        observed = None if weights is None else {"green": weights.get("candidate", 0), "blue": weights.get("stable", 0)}
        report = ReportStep.model_validate(
            {
                "deployment": deployment,
                "leg": leg,
                "step": index,
                "attempt": step.attempt,
                "fence": 1,
                "result": result,
                "reason": None if result == "succeeded" else "no luck",
                "observed": observed,
                "observedat": observedat or self.now,
            }
        )
        self.walk(deployment, self.decided(deployment, report))
        return True

    def promoted(self, deployment: str, *, full: bool = False) -> None:
        self.walk(deployment, self.decided(deployment, PromoteDeployment(deployment=ANY, full=full)), BEN)

    def aborted(self, deployment: str) -> None:
        self.walk(deployment, self.decided(deployment, Abort(deployment=ANY)), BEN)

    def finished(self, deployment: str, result: str = "succeeded") -> None:
        """Walk to the end, promoting where it waits."""
        while not self.state(deployment).ended:
            if not self.reported(deployment, result):
                self.promoted(deployment)

    def decided(self, deployment: str, command: DeploymentCommand) -> list[DeploymentEvent]:
        """What a command of now leads to."""
        return decide(command, self.state(deployment), DeploymentFacts(BEN, self.now))

    def state(self, deployment: str) -> Deployment:
        return self._deployments.get(deployment, Deployment())

    def walk(self, deployment: str, facts: Sequence[DeploymentEvent], actor: str = "system:executor") -> None:
        """Record a deployment's facts, and what they mean for its place."""
        for fact in facts:
            self.tell(f"deployment:{deployment}", fact, actor=actor)
            state = self._deployments[deployment] = evolve(self.state(deployment), fact)
            place = f"place:{state.environment}/{state.application}/main"
            self.tell(place, *(effect for _, effect in effects(state, fact)), actor=actor)
            if isinstance(fact, DeploymentSucceeded):
                succeeded = PlaceVersionSucceeded(deployment=deployment, version=state.version)
                self.tell(place, succeeded, actor=actor)
                done = ReleaseSucceeded(environment=state.environment, deployment=deployment)
                self.tell(f"release:{state.release}", done, actor=actor)


def component(name: str = "web", version: str = "1.0.0") -> Component:
    return Component(
        name=name,
        version=version,
        artifact=f"registry.example/{name}:{version}",
        artifact_digest=hashlib.sha256(f"{name}{version}".encode()).hexdigest(),
        config_digest=DIGEST,
    )


def binding(version: str = "1.0.0") -> Binding:
    return Binding(
        target="main",
        component="web",
        executor="local",
        slots=("blue", "green"),
        replicas=2,
        configuration=Configuration(settings={"port": 8080}),
        candidate=component("web", version),
        candidate_slot="green",
        stable=component("web", "0.9.0"),
        stable_slot="blue",
    )


CANARY: dict[str, JsonValue] = {"steps": [{"set_weight": 5}, {"pause": {}}, {"set_weight": 50}], "scale_down_delay": 0}


def compiled(strategy: StrategyName = "canary", version: str = "1.0.0") -> Plan:
    options = CANARY if strategy == "canary" else {"scale_down_delay": 0}
    stand = RolloutTarget(target="main", component="web", serving=True, replicas=2)
    return compile_plan(parse_options(strategy, dict(options)), version, [stand])


def planned(
    deployment: str, version: str = "1.0.0", environment: str = "production", **of: object
) -> DeploymentPlanned:
    plan = compiled(version=version)
    return DeploymentPlanned.model_validate(
        {
            "deployment": deployment,
            "release": f"shop@{version}",
            "application": "shop",
            "version": version,
            "environment": environment,
            "targets": ("main",),
            "strategy": "canary",
            "plan": plan,
            "digest": plan.digest,
            "by": ANN,
            **of,
        }
    )


Telling = Callable[[EventScript], object]
