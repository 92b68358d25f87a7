"""`ReleaseManager`: plan, approve, deploy, watch, roll back and prove releases, from Python."""

import concurrent.futures.thread  # noqa: F401 # before `_register_atexit` below: its pools are shut down after us
import getpass
import os
import shutil
import tempfile
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, TypeVar

from pydantic import ValidationError

from release_management.adapters.nats.client import NotReachableError, UnavailableError
from release_management.facade.arguments import (
    application_layer,
    by_names,
    data_address,
    environment_data,
    listed,
    mapped,
    moment,
    named,
    plain,
    reordered,
    text,
    window,
)
from release_management.facade.batches import (
    adding_changes,
    configuring_environment,
    creating_release,
    in_batches,
)
from release_management.facade.declared import (
    Row,
    outdated,
    said_of,
)
from release_management.facade.lazy_list import Listed
from release_management.facade.views import (
    Approval,
    CanaryPlan,
    ComponentCondition,
    Deployment,
    Entry,
    Environment,
    History,
    Incident,
    Measured,
    Metric,
    Metrics,
    Pipeline,
    Plan,
    Policy,
    Release,
    Running,
    View,
)
from release_management.kernel.errors import ErrorCode, RelmanError
from release_management.kernel.names import ref_of
from release_management.kernel.types import Refused, explain
from release_management.runtime.installations import Installation, connect
from release_management.runtime.patient import ANSWER_SECONDS, PatientInstallation
from release_management.services.envelope import (
    CommandEnvelope,
    InvalidCommand,
    Outcome,
)
from release_management.services.paging.pages import Page, read
from release_management.services.ports.bus import QueryNotUnderstood

T = TypeVar("T")
V = TypeVar("V", bound=View)
POLL_SECONDS = 0.1
PASSING = ("reason", "deadline", "retry_at")
"""What is said of a step for a time only."""
Time = str | date | datetime
"""RFC 3339, a date, or so long ago, such as `30d`."""


class NotFinishedError(RelmanError, TimeoutError):
    """The deployment has neither ended nor come to wait for a person in time. It goes on.

    `last` is the deployment as it was last seen; None where it was not seen at all.
    """

    code = ErrorCode.TIMEOUT

    def __init__(self, reason: str, last: Deployment | None = None) -> None:
        super().__init__(reason)
        self.last = last


class ReleaseManager:
    """Releases of one application.

    `data` is the folder that keeps everything (`.relman` of the working directory), `":memory:"` for a folder that is
    thrown away at the end, or `"nats://…"` for an installation elsewhere. With a running `relman up` on the folder this
    is its client; else it owns the folder, and starts the rest of the stack at the first `deploy`, until `close` or the
    end of the process. `store` is a `postgresql://…` URL, for a new folder that keeps everything there; the folder
    remembers it. `actor` is who acts; by default the operating system's user. It serves the process that made it, not
    those that are forked from that.

    Every method raises `Refused` with a sentence that says what, where, and what would be right, and
    `NotReachableError` where nobody answers. What passes by itself, such as a PostgreSQL server that is away, a restart
    of `relman up`, or read models that are still being built, is waited for: each command and each question is tried
    for `timeout` seconds, then `NotReachableError` says why there was no answer.
    """

    def __init__(
        self,
        application: str = "default",
        data: str | os.PathLike[str] = ".relman",
        *,
        actor: str | None = None,
        store: str | None = None,
        timeout: float = ANSWER_SECONDS,
    ) -> None:
        self.application, self._written = named("application", application), application
        self._actor = None if actor is None else text("actor", actor)
        address = data_address(data)
        self._temporary = tempfile.mkdtemp(prefix="relman-") if address == ":memory:" else None
        try:
            backend = connect(self._temporary or address, may_start=True, store=store)
            self._opened: PatientInstallation | None = PatientInstallation(backend, timeout)
        except BaseException:
            if self._temporary is not None:
                shutil.rmtree(self._temporary, ignore_errors=True)
            raise
        self._owns = True
        self._process = os.getpid()
        self._sender = "python"
        self._last = 0
        _open.add(self)

    @classmethod
    def on(
        cls, backend: Installation, application: str = "default", *, actor: str | None = None, sender: str = "python"
    ) -> "ReleaseManager":
        """A manager on a backend that the caller opened and closes; `sender` is the program that its records name."""
        manager = cls.__new__(cls)
        manager.application, manager._written = named("application", application), application
        manager._opened = backend if isinstance(backend, PatientInstallation) else PatientInstallation(backend)
        manager._actor = None if actor is None else text("actor", actor)
        manager._owns, manager._temporary, manager._last = False, None, 0
        manager._sender, manager._process = sender, os.getpid()
        return manager

    def acting_as(self, actor: str) -> "ReleaseManager":
        """A manager of the same application and installation for somebody else, such as one who approves.

        It is `actor`'s word for being that person, and ends with this one.
        """
        return ReleaseManager.on(self._backend, self._written, actor=actor, sender=self._sender)

    def close(self) -> None:
        """Stop what this process started. Safe to repeat; nothing happens in a fork."""
        if self._process != os.getpid():
            return
        _open.discard(self)
        backend, self._opened = self._opened, None
        if backend is not None and self._owns:
            backend.close()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def __enter__(self) -> "ReleaseManager":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def _backend(self) -> PatientInstallation:
        if self._opened is None:
            raise RuntimeError("this ReleaseManager was closed; make another one")
        if self._process != os.getpid():
            raise NotReachableError(
                f"this ReleaseManager belongs to process {self._process}; make another one after a fork"
            )
        return self._opened

    # Configure

    def configure_environments(
        self,
        environments: Mapping[str, Mapping[str, Any]],
        applications: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> tuple[Environment, ...]:
        """Create or change environments; what is not named stays.

        Each value may have `name` (the label), `tier`, `order`, `approval`, `variables`, `applications` and `targets`;
        the order is the mapping's unless given, the tier follows from the key unless given. A key is the environment's
        id, or a name that its id is derived from. `applications` holds the defaults of applications' components for
        every target that is named here; what the environment or the target says of them goes over it.
        """
        environments = mapped("configure_environments: environments", environments, "{'staging': {}}")
        written = by_names("configure_environments", environments)
        defaults = application_layer("configure_environments", applications)
        data = {id: environment_data(name, environments[name], defaults) for id, name in written.items()}
        if not any("order" in given for given in environments.values()):
            known = [str(row["name"]) for row in self._query("environments")]
            for name, order in reordered(known, list(written)).items():
                data.setdefault(name, {"name": name})["order"] = order
        for given in data.values():
            for command, part in configuring_environment(given):
                self.send(command, part)
        return tuple(self.environment(name) for name in written)

    def retire_environment(
        self, name: str, target: str | None = None, reason: str | None = None
    ) -> tuple[Deployment, ...]:
        """Retire an environment, or one target of it; returns the deployments that stop what runs there.

        They ask for approval where the environment does; once they have succeeded it is retired, and where nothing
        runs it is at once. Nothing new comes there meanwhile. Asked again, it plans again for what is left.
        """
        running = self._query("running", environment=name)
        applications = sorted({str(slot["application"]) for slot in running})
        data = {"name": name, "target": target, "reason": reason, "applications": applications}
        outcome = self.send("environment.retire", {key: value for key, value in data.items() if value is not None})
        return tuple(self.deployment(str(id)) for id in outcome.result["deployments"])  # type: ignore[union-attr] # a list

    def keep_environment(self, name: str, target: str | None = None) -> Environment:
        """Keep what is being retired, or take a retired environment back."""
        data = {"name": name} if target is None else {"name": name, "target": target}
        self.send("environment.keep", data)
        return self.environment(name)

    def rename_environment(self, name: str, label: str) -> Environment:
        """Give an environment another label; its name, which the history knows, stays."""
        self.send("environment.configure", {"name": self.environment(name).name, "label": label})
        return self.environment(name)

    def setup_release_pipeline(self, name: str, stages: Sequence[str] | None = None, id: str | None = None) -> Pipeline:
        """State the application's pipeline. `stages` None: all environments, in order.

        A release may enter a stage once it has succeeded in the stage before. The pipeline's id is derived from its
        name unless given.
        """
        data: dict[str, Any] = {"name": name, "application": self.application}
        if id is not None:
            data |= {"name": id, "label": name}
        if stages is not None:
            data["stages"] = listed("setup_release_pipeline: stages", stages, "['staging', 'production']", str)
        made = self.send("pipeline.configure", data).result["pipeline"]
        return next(Pipeline(**row) for row in self._rows("pipelines") if row["name"] == made)

    def configure_deployment_strategy(
        self, strategy: str, options: Mapping[str, Any] | None = None, environment: str | None = None
    ) -> Policy:
        """Set a strategy's options and make it the default, everywhere or in one environment.

        `strategy` is its name, such as `canary`.
        """
        data = {"strategy": strategy, "options": _options("configure_deployment_strategy", options)}
        return self._policy("policy.configure_strategy", data, environment)

    def configure_rollback_window(self, window: str | float, environment: str | None = None) -> Policy:
        """State for how long after its success a version may be gone back to without approval: `"7d"`, or seconds."""
        return self._policy("policy.configure_rollback_window", {"window": window}, environment)

    def configure_rollback_strategy(
        self, trigger_conditions: Sequence[Mapping[str, Any]], environment: str | None = None
    ) -> Policy:
        """State when to roll back: `{"metric", "threshold", "duration_seconds"}` each. Recorded, not armed yet."""
        where = "configure_rollback_strategy: trigger_conditions"
        such_as = "[{'metric': 'error_rate', 'threshold': 0.05}]"
        data = {"conditions": [dict(each) for each in listed(where, trigger_conditions, such_as, Mapping)]}
        return self._policy("policy.configure_triggers", data, environment)

    def configure_compliance_gates(
        self, gates: Mapping[str, Mapping[str, Any]], environment: str | None = None
    ) -> Policy:
        """State gates: `{name: {"required", "pass_threshold"}}`. A required one blocks until it is attested."""
        where, such_as = "configure_compliance_gates: gates", "{'required': True}"
        named = mapped(where, gates, f"{{'tests': {such_as}}}")
        data = {"gates": {name: mapped(f"{where}: {name}", gate, such_as) for name, gate in named.items()}}
        return self._policy("policy.configure_gates", data, environment)

    def configure_versions(self, versions: str) -> Policy:
        """State how the application numbers its releases: `semver`, `calendar`, or `any`, ordered by creation."""
        return self._policy("policy.configure_versions", {"versions": versions}, None)

    # Releases

    def create_release(
        self,
        version: str,
        components: Sequence[str | Mapping[str, Any]],
        changelog: Sequence[str] = (),
        changes: Sequence[Mapping[str, Any]] = (),
        draft: bool = False,
        partial: bool = False,
    ) -> Release:
        """Create a release. Components are names, or `{name, version, artifact, digest, config}`.

        It names every component of the application: a deployment stops what the release no longer names. A `partial`
        one brings only what it names, and the rest stays as it is.

        The same content again is the same release; other content under the same version is refused.
        """
        parts = listed("create_release: components", components, "['web']", str, Mapping)
        lines = listed("create_release: changelog", changelog, "['faster']", str)
        commits = listed("create_release: changes", changes, "[{'commit': 'abcd1234'}]", Mapping)
        data = {
            "application": self._written,
            "version": version,
            "components": [{"name": part} if isinstance(part, str) else dict(part) for part in parts],
            "changelog": lines,
            "changes": _changes(commits),
            "draft": draft,
            "partial": partial,
        }
        for command, part in creating_release(data):
            self.send(command, part)
        return self.release(version)

    def add_changes(self, release: Release | str, changes: Sequence[Mapping[str, Any]]) -> Release:
        """Add changes `{commit, committed_at, author, message}` to a release; those that it has already stay.

        They may be added at any time, and the audit trail says when. An approval that was given before is asked for
        again, unless the deployment has begun.
        """
        ref = self._ref(release)
        commits = _changes(listed("add_changes: changes", changes, "[{'commit': 'abcd1234'}]", Mapping))
        for command, part in adding_changes(ref, list(in_batches(commits))):
            self.send(command, part)
        return self.release(ref)

    def publish(self, release: Release | str) -> Release:
        """Let a draft be deployed."""
        return self._release_command("release.publish", release)

    def attest(self, release: Release | str, gate: str, result: str, note: str | None = None) -> Release:
        """State by hand that a gate has `passed` or `failed`."""
        return self._release_command("release.attest", release, gate=gate, result=result, note=note)

    def release(self, release: Release | str) -> Release:
        """A release, by version or `application@version`."""
        ref = self._ref(release)
        return self._one(Release, "release", {"ref": ref}, f"release {ref} does not exist")

    def releases(self) -> Sequence[Release]:
        """The application's releases, newest first. They are read page by page, as they are looked at."""
        return self._own(Release.model_validate, "releases")

    # Deployments

    def plan_deployment(
        self,
        release: Release | str,
        target_environment: str,
        strategy: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Deployment:
        """Compile a plan and keep it, with the verdicts that would stop it today.

        Asked again unchanged, it is the same deployment.
        """
        given = _options("plan_deployment", options)
        return self._deployment("deployment.plan", self._wanted(release, target_environment, strategy, given))

    def preview_deployment(
        self,
        release: Release | str,
        target_environment: str,
        strategy: str | None = None,
        options: Mapping[str, Any] | None = None,
        redeploy: bool = False,
        supersede: bool = False,
        downgrade: bool = False,
    ) -> Deployment:
        """What `deploy` would do now: a deployment of phase "Preview", with its plan and verdicts. Records nothing."""
        given = _options("preview_deployment", options)
        wanted = self._wanted(release, target_environment, strategy, given)
        insisted = {"redeploy": redeploy, "supersede": supersede, "downgrade": downgrade}
        result, steps = self._preview(wanted | insisted)
        application, _, version = str(wanted["release"]).partition("@")
        return Deployment(
            id="",
            release=wanted["release"],
            application=application,
            version=version,
            environment=wanted["environment"],
            strategy=result["strategy"],
            phase="Preview",
            plan=Plan(
                strategy=result["strategy"],
                notes=tuple(result["plan"]["notes"]),
                steps=tuple(steps),
                reversible=result["plan"]["reversible"],
                changes=tuple(result["plan"]["changes"]),
            ),
            verdicts=tuple(result["verdicts"]),
        )

    def setup_canary_deployment(self, release: Release | str, traffic_percentage: int) -> CanaryPlan:
        """Give the release its own initial canary traffic; its planned deployments are compiled again.

        Refused once one of them progresses.
        """
        ref = self._ref(release)
        data = {"release": ref, "traffic_percentage": traffic_percentage}
        outcome = self.send("release.configure_canary", data)
        recompiled = [self.deployment(str(id)) for id in _list(outcome.result.get("deployments"))]
        steps, interval = _canary_walk(recompiled)
        if len(steps) < 2:
            steps, interval = self._canary_policy(traffic_percentage)
        first = sorted({deployment.environment for deployment in recompiled if len(_canary_walk([deployment])[0]) < 2})
        notes = [f"in {name} all traffic at once, as planned now: nothing serves there yet" for name in first]
        return CanaryPlan(
            release=ref,
            traffic_percentage=traffic_percentage,
            steps=steps,
            interval_seconds=interval,
            deployments=tuple(deployment.id for deployment in recompiled),
            notes=tuple(notes),
        )

    def deploy(
        self,
        release: Release | Deployment | str,
        target_environment: str | None = None,
        strategy: str | None = None,
        options: Mapping[str, Any] | None = None,
        supersede: bool = False,
        redeploy: bool = False,
        downgrade: bool = False,
    ) -> Deployment:
        """Carry a release out, as soon as the rules allow. A planned deployment may be given instead of a release.

        `supersede`: what holds or awaits the same places goes back first, instead of being waited for. `downgrade`: it
        may bring an older version than runs there. Both may be said of one that waits already. `redeploy`: what runs
        already is brought again, to repair it; else such a deployment is answered with `already_so`.
        """
        if isinstance(release, Deployment):
            if target_environment not in (None, release.environment) or strategy is not None or options:
                raise Refused(
                    f"deployment {release.id} is planned for {release.environment} with its strategy and options; "
                    "deploy it as it is, or name its release to plan another one",
                    code=ErrorCode.INVALID,
                )
            wanted = {"release": release.release, "environment": release.environment}
        elif target_environment is None:
            raise Refused("deploy needs target_environment, the name of an environment", code=ErrorCode.INVALID)
        else:
            wanted = self._wanted(release, target_environment, strategy, _options("deploy", options))
        insisted = {"supersede": supersede, "redeploy": redeploy, "downgrade": downgrade}
        return self._deployment("deployment.deploy", {**wanted, **insisted})

    def wait(self, deployment: Deployment | str, timeout: float = 600.0) -> Deployment:
        """Wait until it has ended, or waits for a person. Raises `NotFinishedError` after `timeout` seconds."""
        deque(self.watch(deployment, timeout), maxlen=0)
        return self.deployment(deployment)

    def watch(
        self, deployment: Deployment | str, timeout: float = 600.0, every: float = POLL_SECONDS
    ) -> Iterator[Deployment]:
        """The deployment as it is now, and again every so many seconds, until it has ended or waits for a person.

        What keeps everybody from answering is waited out. Raises `NotFinishedError` after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        last = deployment if isinstance(deployment, Deployment) else None
        while True:
            try:
                with self._backend.until(deadline):
                    self._backend.start_workers()
                    last = self.deployment(deployment) if last is None else self.refreshed(last)
            except UnavailableError as error:
                known = "" if last is None else f"; it was {last.phase} when it was last seen"
                reason = f"deployment {_id(deployment)} goes on, and nobody could say how it is{known}: {error}"
                raise NotFinishedError(reason, last) from error
            yield last
            if last.ended is not None or last.awaits_person or last.phase == "Planned":
                return
            if time.monotonic() > deadline:
                raise NotFinishedError(f"deployment {last.id} is {last.phase} after {timeout:.2g} s; it goes on", last)
            time.sleep(every)

    def promote(self, deployment: Deployment | str, full: bool = False, step: int | None = None) -> Deployment:
        """End the pause that was seen: that of the deployment as it is given, or `step`, its number as it is shown.

        `full` skips all that are left. An id alone does for what pauses only once.
        """
        data: dict[str, Any] = {"deployment": _id(deployment), "full": full}
        if step is not None:
            data["step"] = step - 1
        elif isinstance(deployment, Deployment) and not full:
            if deployment.paused_step is None and deployment.ended is None:
                raise Refused(
                    f"deployment {deployment.id} was {deployment.phase} when you looked, and waited for nobody; "
                    "look at it again, or promote it in full",
                    code=ErrorCode.CONFLICT,
                )
            data["step"] = None if deployment.paused_step is None else deployment.paused_step - 1
        return self._deployment("deployment.promote", data)

    def abort(self, deployment: Deployment | str, reason: str | None = None) -> Deployment:
        """Go back to the stable version; before the start: cancel."""
        return self._deployment("deployment.abort", {"deployment": _id(deployment), "reason": reason})

    def rollback(
        self,
        deployment: Deployment | str | None = None,
        reason: str | None = None,
        *,
        environment: str | None = None,
        to: str | None = None,
    ) -> Deployment:
        """Abort while it runs; afterwards, or where it could not go back, deploy the version before it.

        Instead of a deployment, an `environment` may be given: what is under way there, or else what succeeded there
        last. `to` is then an earlier version that succeeded there, to go back to in one step. Returns the deployment
        that goes back.
        """
        data: dict[str, Any] = {"reason": reason, "environment": environment, "to": to}
        if deployment is not None:
            data["deployment"] = _id(deployment)
        else:
            data["application"] = self.application
        return self._deployment("deployment.rollback", data)

    def retry(self, deployment: Deployment | str) -> Deployment:
        """Deploy again what did not succeed, and return that deployment."""
        return self._deployment("deployment.retry", {"deployment": _id(deployment)})

    def deployment(self, deployment: Deployment | str) -> Deployment:
        """A deployment as it is now."""
        id = _id(deployment)
        pages: list[Page] = []
        rows = list(read(lambda asked: self._noted(pages, "deployment", asked), {"id": id}))
        if not rows:
            raise Refused(f"deployment {id} does not exist", code=ErrorCode.NOT_FOUND)
        found = Deployment.of(rows[0])
        return found if len(pages) == 1 else self._moved_since(found, _newest_step(pages[0]))

    def _noted(self, pages: list[Page], query: str, params: dict[str, Any]) -> Page:
        pages.append(self._page(query, params))
        return pages[-1]

    def refreshed(self, deployment: Deployment) -> Deployment:
        """The same deployment as it is now; where its phase is the same, only the steps that have moved are read."""
        known = deployment.plan
        steps = () if known is None else (*known.steps, *known.rollback)
        return self._moved_since(deployment, max((step.get("position", 0) for step in steps), default=0))

    def _moved_since(self, deployment: Deployment, position: int) -> Deployment:
        """The same deployment as it is now. `position`: all that had moved up to there is known of its steps."""
        now = self._standing(deployment.id)
        known = deployment.plan
        if known is None or (now.phase, now.digest) != (deployment.phase, deployment.digest):
            return self.deployment(deployment)
        legs = {"forward": list(known.steps), "rollback": list(known.rollback)}
        for step in self._rows("steps", deployment=deployment.id, changed_after=position):
            leg = legs[step["leg"]]
            leg[step["step"]] = {**leg[step["step"]], **dict.fromkeys(PASSING), **step}
        plan = known.model_copy(update={"steps": tuple(legs["forward"]), "rollback": tuple(legs["rollback"])})
        return now.model_copy(update={"plan": plan})

    def _standing(self, id: str) -> Deployment:
        """A deployment without its steps."""
        return Deployment.of(self._row("deployment", {"id": id, "steps": False}, f"deployment {id} does not exist"))

    def deployments(self, environment: str | None = None, active: bool | None = None) -> Sequence[Deployment]:
        """The application's deployments, newest first. `active`: only those that have not ended.

        They are read page by page, as they are looked at.
        """
        return self._own(Deployment.of, "deployments", environment=environment, active=active)

    # Approvals

    def request_approval(self, deployment: Deployment | str) -> Approval:
        """Ask for approval of a planned deployment."""
        return self._approval("approval.request", {"deployment": _id(deployment)})

    def approve(self, approval: Approval | Deployment | str, note: str | None = None) -> Approval:
        """Agree; the approval or its deployment may be given."""
        return self._approval("approval.grant", {"approval": _id(approval), "note": note})

    def refuse(self, approval: Approval | Deployment | str, note: str | None = None) -> Approval:
        """Disagree, which ends the deployment."""
        return self._approval("approval.refuse", {"approval": _id(approval), "note": note})

    def approvals(self, waiting: bool = True) -> Sequence[Approval]:
        """Approvals, newest first. They are read page by page, as they are looked at."""
        return Listed(self._rows("approvals", waiting=waiting), Approval.model_validate)

    # Incidents, and how delivery goes

    def open_incident(
        self,
        title: str,
        environment: str = "production",
        deployment: Deployment | str | None = None,
        detected_at: Time | None = None,
        severity: str | None = None,
    ) -> Incident:
        """State that something went wrong. `deployment` is the cause where it is known, or `"none"`.

        Where nobody says, the metrics blame the newest deployment before. `severity` is critical, major or minor.
        """
        data = {
            "application": self.application,
            "environment": environment,
            "title": title,
            "severity": severity,
            "detected_at": None if detected_at is None else moment("detected_at", detected_at),
            "deployment": None if deployment is None else _id(deployment),
        }
        self._query("incidents", application=self.application, limit=1)  # refuses an unknown application
        return self._incident("incident.open", data)

    def attribute_incident(self, incident: Incident | str, deployment: Deployment | str) -> Incident:
        """State what caused an incident: a deployment, or `"none"`. It may be said again."""
        return self._incident("incident.attribute", {"incident": _id(incident), "deployment": _id(deployment)})

    def resolve_incident(
        self,
        incident: Incident | str,
        deployment: Deployment | str | None = None,
        note: str | None = None,
        resolved_at: Time | None = None,
    ) -> Incident:
        """State that an incident is over. `deployment` is the one that ended it: unplanned work, that is rework."""
        data = {
            "incident": _id(incident),
            "deployment": None if deployment is None else _id(deployment),
            "note": note,
            "resolved_at": None if resolved_at is None else moment("resolved_at", resolved_at),
        }
        return self._incident("incident.resolve", data)

    def incident(self, incident: Incident | str) -> Incident:
        """An incident as it is now."""
        id = _id(incident)
        return self._one(Incident, "incident", {"id": id}, f"incident {id} does not exist")

    def incidents(self, environment: str | None = None, open: bool | None = None) -> Sequence[Incident]:
        """The application's incidents, the last opened first. `open`: only those that are not over.

        They are read page by page, as they are looked at.
        """
        return self._own(Incident.model_validate, "incidents", environment=environment, open=open)

    def metrics(
        self,
        since: Time | None = None,
        until: Time | None = None,
        environment: str | None = "production",
        time_zone: str = "UTC",
        by: str = "day",
    ) -> Metrics:
        """The DORA five of the application, from `since` (30 days before `until`) to just before `until` (now).

        `environment` None: all environments of the production tier. `by` day or week: the frequency's buckets, in
        `time_zone`, an IANA name.
        """
        asked = window(since, until, time_zone) | {"application": self.application}
        environment = None if environment is None else named("environment", environment)
        rows = self._query("metrics_dora", **asked, environment=environment, by=by)
        return Metrics(**asked, environment=environment, metrics=tuple(Metric(**row) for row in rows))

    def measured(
        self,
        metric: str,
        since: Time | None = None,
        until: Time | None = None,
        environment: str | None = "production",
        time_zone: str = "UTC",
    ) -> Sequence[Measured]:
        """What stands behind one of the `metrics`, such as `change_fail_rate`: each deployment, counted or not.

        It is read page by page, as it is looked at.
        """
        asked = window(since, until, time_zone) | {"application": self.application, "metric": metric}
        return Listed(self._rows("metrics_dora_drill", **asked, environment=environment), Measured.model_validate)

    # What is, and what was

    def environment(self, name: str) -> Environment:
        """An environment, with what runs there and how it was seen last."""
        row = self._row("environment", {"name": name}, f"environment {name!r} does not exist")
        at = row["name"]
        running, conditions = self._query("running", environment=at), self._query("conditions", environment=at)
        return _with_running(row, running, conditions, self._query("policies"))

    def environments(self) -> Sequence[Environment]:
        """Every environment in order, with what runs there and how it was seen last.

        They are read page by page, as they are looked at.
        """
        running, conditions = _by_environment(self._rows("running")), _by_environment(self._rows("conditions"))
        policies = self._query("policies")

        def made(row: Row) -> Environment:
            return _with_running(row, running.get(row["name"], []), conditions.get(row["name"], []), policies)

        return Listed(self._rows("environments"), made)

    def history(
        self,
        subject: Release | Deployment | str | None = None,
        environment: str | None = None,
        limit: int = 100,
    ) -> History:
        """The newest part of the audit trail, oldest first: of a release, a deployment, an environment, or all."""
        params: dict[str, Any] = {"environment": environment, "limit": limit}
        if isinstance(subject, Release) or (isinstance(subject, str) and not _looks_like_id(subject)):
            params["release"] = self._ref(subject)
        elif subject is not None:
            params["deployment"] = _id(subject)
        rows = self._query("trail", **params)
        return History(entries=tuple(Entry(**row) for row in reversed(rows)))

    # The road in and the road out

    def send(self, command: str, data: Mapping[str, Any]) -> Outcome:
        """Send any command under a new id. Raises `Refused` where it is refused."""
        asserted = self._actor is not None or not self._backend.verifies_user
        actor = getpass.getuser() if self._actor is None else self._actor
        if actor.startswith("system:"):
            raise Refused(
                f"actor: {actor!r} begins with 'system:', which is reserved; name a person", code=ErrorCode.DENIED
            )
        try:
            envelope = CommandEnvelope(
                sender=self._sender,
                id=str(uuid.uuid4()),
                command=command,
                data={key: plain(value) for key, value in data.items() if value is not None},
                actor=actor,
                actorkind="person",
                actorauth="asserted" if asserted else "os",
            )
        except ValidationError as error:
            raise Refused(f"{command}: {explain(error)}", code=ErrorCode.INVALID) from None
        try:
            outcome = self._backend.ask(envelope)
        except InvalidCommand as error:
            raise Refused(f"{command}: {error}", code=error.code) from None
        if outcome.refused or outcome.status == "refused":
            raise Refused(
                outcome.reason or f"{command} was refused", outcome.verdicts, code=outcome.code or ErrorCode.DENIED
            )
        self._last = max(self._last, outcome.last)
        return outcome

    def _page(self, query: str, params: dict[str, Any]) -> Page:
        try:
            return self._backend.page(query, params, self._last)
        except QueryNotUnderstood as error:
            raise Refused(str(error), code=error.code) from None

    def _rows(self, query: str, /, **params: Any) -> Iterator[dict[str, Any]]:
        """A query's rows, or as many as the parameter `limit` says, asked for page by page as they are wanted."""
        given = {key: value for key, value in params.items() if value is not None}
        return read(lambda asked: self._page(query, asked), given)

    def _query(self, query: str, /, **params: Any) -> list[dict[str, Any]]:
        return list(self._rows(query, **params))

    def _own(self, make: Callable[..., T], query: str, /, environment: str | None = None, **params: Any) -> Sequence[T]:
        """The things of the application; none where nothing of it is known yet."""
        try:
            return Listed(self._rows(query, application=self.application, environment=environment, **params), make)
        except Refused as refused:
            known = refused.code is not ErrorCode.NOT_FOUND
            if known or any(row["name"] == self.application for row in self._query("applications")):
                raise
            self._query("conditions", environment=environment, limit=1)  # refuses an unknown environment
            return ()

    def _row(self, name: str, params: dict[str, Any], missing: str) -> dict[str, Any]:
        rows = self._query(name, **params)
        if not rows:
            raise Refused(missing, code=ErrorCode.NOT_FOUND)
        return rows[0]

    def _one(self, view: type[V], name: str, params: dict[str, Any], missing: str) -> V:
        return view(**self._row(name, params, missing))

    def _ref(self, release: Release | str) -> str:
        if isinstance(release, Release):
            return release.ref
        try:
            return ref_of(release) if "@" in release else f"{self.application}@{release}"
        except ValueError as error:
            raise Refused(f"release: {error}", code=ErrorCode.INVALID) from None

    def _wanted(
        self, release: Release | str, environment: str, strategy: str | None, options: dict[str, Any]
    ) -> dict[str, Any]:
        return {
            "release": self._ref(release),
            "environment": named("target_environment", environment),
            "strategy": strategy,
            "options": options,
        }

    def _release_command(self, command: str, release: Release | str, **data: Any) -> Release:
        ref = self._ref(release)
        self.send(command, {"release": ref, **data})
        return self.release(ref)

    def _deployment(self, command: str, data: Mapping[str, Any]) -> Deployment:
        outcome = self.send(command, data)
        found = self.deployment(str(outcome.result["deployment"]))
        said = {"verdicts": outcome.result.get("verdicts", []), "already_so": bool(outcome.result.get("already_so"))}
        return found.model_validate(dict(found) | said)

    def _preview(self, wanted: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The answer to a preview, and all steps of the way forward; asked again where the plan changes meanwhile."""
        steps: list[dict[str, Any]] = []
        digest: str | None = None
        while True:
            result: dict[str, Any] = self.send("deployment.preview", {**wanted, "after": len(steps)}).result
            if digest not in (None, result["digest"]):
                steps, digest = [], None
                continue
            digest, part = result["digest"], result["plan"]["forward"]
            steps += [{**step, "description": text} for step, text in zip(part, result["steps"], strict=True)]
            if len(steps) >= result["total"]:
                return result, steps

    def _approval(self, command: str, data: Mapping[str, Any]) -> Approval:
        result = self.send(command, data).result
        rows = self._query("approvals", deployment=result["deployment"])
        return next(Approval(**row) for row in rows if row["id"] == result["approval"])

    def _incident(self, command: str, data: Mapping[str, Any]) -> Incident:
        return self.incident(str(self.send(command, data).result["incident"]))

    def _policy(self, command: str, data: dict[str, Any], environment: str | None) -> Policy:
        about = {"application": self.application, "environment": environment}
        scope = self.send(command, {**data, **about}).result["policy"]
        return next(Policy(**row) for row in self._rows("policies") if row["scope"] == scope)

    def _canary_policy(self, initial: int) -> tuple[tuple[int, ...], float | None]:
        """The shares and the interval that a canary of this application would have, where none is planned yet."""
        from release_management.domain.plan.strategies import parse_options
        from release_management.domain.plan.strategies.canary import Canary

        scopes = {row["scope"]: row for row in self._query("policies")}
        options = dict(scopes.get(self.application, {}).get("strategies", {}).get(Canary.NAME, {}))
        options.pop("steps", None)
        parsed = parse_options(Canary.NAME, options | {"initial_traffic": initial})
        assert isinstance(parsed, Canary)
        return (*range(initial, 100, parsed.increment), 100), parsed.interval


def _with_running(
    row: Row, running: list[dict[str, Any]], conditions: list[dict[str, Any]], policies: list[dict[str, Any]]
) -> Environment:
    return Environment(
        **row,
        running=tuple(Running(**slot) for slot in running),
        conditions=tuple(ComponentCondition(**each) for each in conditions),
        outdated=tuple(said_of(outdated(row, running, policies))),
    )


def _by_environment(rows: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["environment"], []).append(row)
    return found


def _newest_step(page: Page) -> int:
    """The position of the newest record that has moved one of a page's steps."""
    steps = [step for row in page.rows for leg in ("steps", "rollback") for step in row.get(leg, ())]
    return max((step["position"] for step in steps), default=0)


_open: set[ReleaseManager] = set()


def _close_all() -> None:
    for manager in list(_open):
        manager.close()


# Not `atexit`: that comes after the thread pools are shut down, without which nothing can be stopped any more.
threading._register_atexit(_close_all)  # type: ignore[attr-defined] # what concurrent.futures itself uses
# The parent closes what it made.
os.register_at_fork(after_in_child=_open.clear)


def _options(where: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
    return {} if given is None else mapped(f"{where}: options", given, "{'interval': '5m'}")


def _changes(given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{key: it.isoformat() if isinstance(it, datetime) else it for key, it in change.items()} for change in given]


def _canary_walk(deployments: Iterable[Deployment]) -> tuple[tuple[int, ...], float | None]:
    """The shares that the plans pass through, and the seconds between them."""
    shares: list[int] = []
    interval: float | None = None
    for deployment in deployments:
        for step in deployment.plan.steps if deployment.plan is not None else ():
            share = step.get("candidate")
            if share is not None and share not in shares:
                shares.append(share)
            if step.get("verb") == "pause" and not step.get("baking") and interval is None:
                interval = step.get("duration")
    return tuple(shares), interval


def _id(thing: Deployment | Approval | Incident | Release | str) -> str:
    return thing if isinstance(thing, str) else thing.ref if isinstance(thing, Release) else thing.id


def _looks_like_id(text: str) -> bool:
    return len(text) == 36 and text.count("-") == 4


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []
