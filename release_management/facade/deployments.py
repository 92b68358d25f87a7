"""Deployments: plan, preview, deploy, watch, promote, abort and roll back."""

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from release_management.adapters.nats.client import UnavailableError
from release_management.facade.arguments import (
    named,
)
from release_management.facade.arguments import options as given_options
from release_management.facade.caller import Caller, identity
from release_management.facade.views import (
    Deployment,
    Plan,
    Release,
)
from release_management.kernel.errors import ErrorCode, RelmanError
from release_management.kernel.types import Refused
from release_management.services.paging.pages import Page, read

POLL_SECONDS = 0.1
PASSING = ("reason", "deadline", "retry_at")
"""The transient fields of a step."""


class NotFinishedError(RelmanError, TimeoutError):
    """The deployment has neither ended nor come to wait for a person before the timeout. It continues.

    `last` is the deployment as it was read last; None if it was not read at all.
    """

    code = ErrorCode.TIMEOUT

    def __init__(self, reason: str, last: Deployment | None = None) -> None:
        super().__init__(reason)
        self.last = last


class Deployments(Caller):
    """Deployments of an application."""

    def plan_deployment(
        self,
        release: Release | str,
        target_environment: str,
        strategy: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Deployment:
        """Compile a plan and record it, with the verdicts that apply today.

        The same request again, with nothing changed, returns the same deployment.
        """
        stated = given_options("plan_deployment", options)
        return self._deployment("deployment.plan", self._plan_request(release, target_environment, strategy, stated))

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
        """Return the preview of `deploy`: its plan and verdicts, with phase "Preview"; record nothing."""
        stated = given_options("preview_deployment", options)
        plan_request = self._plan_request(release, target_environment, strategy, stated)
        insisted = {"redeploy": redeploy, "supersede": supersede, "downgrade": downgrade}
        result, steps = self._preview(plan_request | insisted)
        application, _, version = str(plan_request["release"]).partition("@")
        return Deployment(
            id="",
            release=plan_request["release"],
            application=application,
            version=version,
            environment=plan_request["environment"],
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
        """Deploy a release, or a planned deployment, as soon as the rules allow.

        `supersede`: deployments that hold or await the same places roll back first; otherwise this one waits for them.
        `downgrade`: it may bring an older version than runs there. Both can be added to a deployment that waits
        already. `redeploy`: components that run already are deployed again, as a repair; without it such a deployment
        returns with `already_so`.
        """
        if isinstance(release, Deployment):
            if target_environment not in (None, release.environment) or strategy is not None or options:
                raise Refused(
                    f"deployment {release.id} is planned for {release.environment} with its strategy and options; "
                    "deploy it as it is, or name its release to plan another one",
                    code=ErrorCode.INVALID,
                )
            plan_request = {"release": release.release, "environment": release.environment}
        elif target_environment is None:
            raise Refused("deploy needs target_environment, the name of an environment", code=ErrorCode.INVALID)
        else:
            plan_request = self._plan_request(release, target_environment, strategy, given_options("deploy", options))
        insisted = {"supersede": supersede, "redeploy": redeploy, "downgrade": downgrade}
        return self._deployment("deployment.deploy", {**plan_request, **insisted})

    def wait(self, deployment: Deployment | str, timeout: float = 600.0) -> Deployment:
        """Wait until the deployment ends or waits for a person. Raises `NotFinishedError` after `timeout` seconds."""
        deque(self.watch(deployment, timeout), maxlen=0)
        return self.deployment(deployment)

    def watch(
        self, deployment: Deployment | str, timeout: float = 600.0, every: float = POLL_SECONDS
    ) -> Iterator[Deployment]:
        """Yield the deployment now and again every so many seconds, until it ends or waits for a person.

        Transient errors are retried. Raises `NotFinishedError` after `timeout` seconds.
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
                reason = f"deployment {identity(deployment)} goes on, and nobody could say how it is{known}: {error}"
                raise NotFinishedError(reason, last) from error
            yield last
            if last.ended is not None or last.awaits_person or last.phase == "Planned":
                return
            if time.monotonic() > deadline:
                raise NotFinishedError(f"deployment {last.id} is {last.phase} after {timeout:.2g} s; it goes on", last)
            time.sleep(every)

    def promote(self, deployment: Deployment | str, full: bool = False, step: int | None = None) -> Deployment:
        """End the pause in which the given deployment was when it was read, or the pause at the number `step`.

        `full` ends all later pauses too. An id alone suffices for a plan with a single pause.
        """
        data: dict[str, Any] = {"deployment": identity(deployment), "full": full}
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
        """Roll back to the stable version; a deployment that has not started is cancelled."""
        return self._deployment("deployment.abort", {"deployment": identity(deployment), "reason": reason})

    def rollback(
        self,
        deployment: Deployment | str | None = None,
        reason: str | None = None,
        *,
        environment: str | None = None,
        to: str | None = None,
    ) -> Deployment:
        """Abort a running deployment, or revert one that has ended by deploying the version before.

        If a deployment failed to roll back, the new one repairs its places. In place of a deployment, an `environment`
        may be given: it means the deployment under way there, or else the one that succeeded there last. `to` is then
        an earlier version that succeeded there, to restore in one step. Returns the deployment that rolls back.
        """
        data: dict[str, Any] = {"reason": reason, "environment": environment, "to": to}
        if deployment is not None:
            data["deployment"] = identity(deployment)
        else:
            data["application"] = self.application
        return self._deployment("deployment.rollback", data)

    def retry(self, deployment: Deployment | str) -> Deployment:
        """Deploy again what a deployment without success was to bring; return the new deployment."""
        return self._deployment("deployment.retry", {"deployment": identity(deployment)})

    def deployment(self, deployment: Deployment | str) -> Deployment:
        """Return a deployment with its present state."""
        id = identity(deployment)
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
        """Return the same deployment with its present state; if its phase is the same, only changed steps are read."""
        known = deployment.plan
        steps = () if known is None else (*known.steps, *known.rollback)
        return self._moved_since(deployment, max((step.get("position", 0) for step in steps), default=0))

    def _moved_since(self, deployment: Deployment, position: int) -> Deployment:
        """Return the same deployment with its present state.

        `position`: its steps are complete up to there.
        """
        now = self._present(deployment.id)
        known = deployment.plan
        if known is None or (now.phase, now.digest) != (deployment.phase, deployment.digest):
            return self.deployment(deployment)
        legs = {"forward": list(known.steps), "rollback": list(known.rollback)}
        for step in self._rows("steps", deployment=deployment.id, changed_after=position):
            leg = legs[step["leg"]]
            leg[step["step"]] = {**leg[step["step"]], **dict.fromkeys(PASSING), **step}
        plan = known.model_copy(update={"steps": tuple(legs["forward"]), "rollback": tuple(legs["rollback"])})
        return now.model_copy(update={"plan": plan})

    def _present(self, id: str) -> Deployment:
        """Return a deployment without its steps."""
        return Deployment.of(self._row("deployment", {"id": id, "steps": False}, f"deployment {id} does not exist"))

    def deployments(self, environment: str | None = None, active: bool | None = None) -> Sequence[Deployment]:
        """Return the application's deployments, newest first. `active`: only those that have not ended.

        They are read page by page on demand.
        """
        return self._own(Deployment.of, "deployments", environment=environment, active=active)

    def _plan_request(
        self, release: Release | str, environment: str, strategy: str | None, options: dict[str, Any]
    ) -> dict[str, Any]:
        return {
            "release": self._ref(release),
            "environment": named("target_environment", environment),
            "strategy": strategy,
            "options": options,
        }

    def _deployment(self, command: str, data: Mapping[str, Any]) -> Deployment:
        outcome = self.send(command, data)
        found = self.deployment(str(outcome.result["deployment"]))
        decision = {
            "verdicts": outcome.result.get("verdicts", []),
            "already_so": bool(outcome.result.get("already_so")),
        }
        return found.model_validate(dict(found) | decision)

    def _preview(self, plan_request: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return the preview's answer, and all forward steps; ask again if the plan changes meanwhile."""
        steps: list[dict[str, Any]] = []
        digest: str | None = None
        while True:
            [result] = self._page("deployment.preview", {**plan_request, "after": len(steps)}).rows
            if digest not in (None, result["digest"]):
                steps, digest = [], None
                continue
            digest, part = result["digest"], result["plan"]["forward"]
            steps += [{**step, "description": text} for step, text in zip(part, result["steps"], strict=True)]
            if len(steps) >= result["total"]:
                return result, steps


def _newest_step(page: Page) -> int:
    """Return the position of the newest record that changed one of a page's steps."""
    steps = [step for row in page.rows for leg in ("steps", "rollback") for step in row.get(leg, ())]
    return max((step["position"] for step in steps), default=0)
