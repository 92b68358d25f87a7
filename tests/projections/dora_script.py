"""Deployments and incidents at times that a test says, as a log would hold them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from release_management.domain.deployment.events import (
    DeploymentAborting,
    DeploymentHalted,
    DeploymentPlanned,
    DeploymentRollbackFailed,
    DeploymentRolledBack,
    DeploymentStarted,
    DeploymentStepSucceeded,
    DeploymentSucceeded,
    Return,
)
from release_management.domain.environment import ApprovalRule, EnvironmentConfigured
from release_management.domain.incident import (
    IncidentAttributed,
    IncidentOpened,
    IncidentResolved,
)
from release_management.domain.plan import Plan
from release_management.domain.release import (
    Change,
    ReleaseCreated,
    ReleaseSucceeded,
)
from release_management.domain.tiers import Tier
from release_management.kernel.record import (
    Envelope,
    Recorded,
    encode,
    timestamp,
)
from release_management.kernel.types import Fact
from release_management.projections.dora.exposure import leaving
from tests.projections.event_script import (
    ANN,
    DIGEST,
    MemoryLog,
    binding,
    compiled,
    component,
    sealed,
)

DAY_ZERO = datetime(2026, 11, 2, tzinfo=UTC)
"""A Monday."""
ENDS: Mapping[str, Fact] = {
    "Succeeded": DeploymentSucceeded(),
    "RolledBack": DeploymentRolledBack(empty=False),
    "RollbackFailed": DeploymentRollbackFailed(reason="why"),
    "Halted": DeploymentHalted(reason="why"),
}
ROUTE = 2
"""The first step of the canary that users meet."""
_PLAN = compiled()


def day(days: float) -> str:
    """So many days after the first one, as records have it."""
    return timestamp(DAY_ZERO + timedelta(days=days))


class Timeline:
    """Tells facts to a log. What is not said is the usual: shop, in production."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self._versions: dict[str, int] = {}
        self.environment("production")

    def environment(self, name: str, tier: Tier = "production", at: float = 0) -> None:
        configured = EnvironmentConfigured(name=name, label=name, tier=tier, order=1, approval=ApprovalRule())
        self.tell(at, f"environment:{name}", configured)

    def release(
        self,
        version: str,
        commits: Mapping[str, float | str] | None = None,
        application: str = "shop",
        at: float = 0,
        components: Mapping[str, str] | Sequence[str] = ("web",),
        complete: bool = False,
    ) -> None:
        """A release with commits that were made at times: days, or texts. Components may have versions of their own."""
        versions = components if isinstance(components, Mapping) else dict.fromkeys(components, version)
        changes = tuple(
            Change(commit=commit, committed_at=when if isinstance(when, str) else day(when))
            for commit, when in (commits or {}).items()
        )
        created = ReleaseCreated(
            application=application,
            version=version,
            author=ANN,
            components=tuple(component(name, own) for name, own in versions.items()),
            changes=changes,
            content=DIGEST,
            complete=complete or None,
        )
        self.tell(at, f"release:{application}@{version}", created)

    def deploy(
        self,
        id: str,
        at: float,
        version: str = "1.0.0",
        outcome: str | None = "Succeeded",
        *,
        application: str = "shop",
        environment: str = "production",
        reached: bool = True,
        failing: float | None = None,
        back: float | None = None,
        cause: str = "failed",
        began: float | None = None,
        reverts: str | None = None,
        retries: str | None = None,
        to: str | None = None,
        gives_up: bool = False,
        plan: Plan | None = None,
    ) -> str:
        """A deployment that ends at a time, or (`outcome` None) is still under way. Its id.

        `began`: when it did all its steps, so that users met it. `failing`: it began to go back then, for `cause`; the
        old version had all traffic again at `back`, and not before it ended unless said. `plan`: another than the
        canary's, and all of it is done. `to`: the deployment to which a rollback goes back. `gives_up`: it only
        stops what runs.
        """
        stream = f"deployment:{id}"
        began = at if began is None else began
        planned = DeploymentPlanned(
            deployment=id,
            release=f"{application}@{version}",
            application=application,
            version=version,
            environment=environment,
            targets=("main",),
            strategy="canary",
            plan=plan or _PLAN,
            digest=(plan or _PLAN).digest,
            by=ANN,
            reverts=reverts,
            retries=retries,
            returns=(Return(target="main", component="web", to=to),) if to or gives_up else None,
        )
        self.tell(began, stream, planned, DeploymentStarted(bindings=(binding(version),)))
        for step in range(len(plan.forward) if plan else ROUTE + 1 if reached else ROUTE):
            done = DeploymentStepSucceeded(leg="forward", step=step, attempt=1, wave=step, observedat=day(began))
            self.tell(began, stream, done)
        if failing is not None or outcome in ("RolledBack", "RollbackFailed"):
            aborting = DeploymentAborting.model_validate({"cause": cause, "reason": "why"})
            self.tell(at if failing is None else failing, stream, aborting)
        if back is not None:
            for step in map(int, leaving(plan or _PLAN)):
                done = DeploymentStepSucceeded(leg="rollback", step=step, attempt=1, wave=step, observedat=day(back))
                self.tell(back, stream, done)
        if outcome is not None:
            self.tell(at, stream, ENDS[outcome])
        if outcome == "Succeeded" and not gives_up:
            succeeded = ReleaseSucceeded(environment=environment, deployment=id)
            self.tell(at, f"release:{application}@{version}", succeeded)
        return id

    def incident(
        self,
        id: str,
        detected: float,
        *,
        cause: str | None = None,
        explicit: bool | None = None,
        resolved: float | None = None,
        remedy: str | None = None,
        attributed: Sequence[str | None] = (),
        at: float | None = None,
        application: str = "shop",
        environment: str = "production",
    ) -> None:
        """An incident, and what was said of it later. `at`: when it was opened, else when it was detected."""
        opened_at = detected if at is None else at
        is_explicit = cause is not None if explicit is None else explicit
        opened = IncidentOpened(
            incident=id,
            application=application,
            environment=environment,
            title=sealed("x"),
            detected_at=day(detected),
            cause=cause,
            attribution="explicit" if is_explicit else "inferred",
        )
        self.tell(opened_at, f"incident:{id}", opened, *(IncidentAttributed(cause=each) for each in attributed))
        if resolved is not None:
            self.tell(resolved, f"incident:{id}", IncidentResolved(resolved_at=day(resolved), remedy=remedy))

    def tell(self, at: float, stream: str, *facts: Fact) -> None:
        for fact in facts:
            position = self.log.last_position() + 1
            version = self._versions[stream] = self._versions.get(stream, 0) + 1
            envelope = Envelope(
                id=f"event-{position}",
                source=f"urn:uuid:{self.log.store_id}",
                type=fact.NAME,
                subject=stream,
                time=day(at),
                streamversion=version,
                schemaversion=fact.VERSION,
                actor=ANN,
                actorkind="person",
                actorauth="os",
                commandid=f"command-{position}",
            )
            self.log.add(Recorded(position, stream, version, fact.NAME, encode(envelope, fact)))
