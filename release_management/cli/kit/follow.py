"""Watch a deployment until it has ended or waits for a person."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from release_management.cli.kit.errors import Failed, TimedOut
from release_management.cli.kit.next_step import next_step, status_line
from release_management.cli.kit.output import (
    plain,
    printable,
    say,
    show,
)
from release_management.cli.kit.settings import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.status import Status
    from rich.text import Text

    from release_management.domain.plan import Leg
    from release_management.facade.manager import ReleaseManager
    from release_management.facade.views import ComponentCondition, Deployment

LOOK_SECONDS = 0.2
WAIT_SECONDS = 600.0
"""Seconds to wait by default."""
GONE_BACK = frozenset({"Cancelled", "RolledBack", "Superseded"})
UNREPORTED = frozenset({"pending", "started"})
"""The step statuses that are reported only together with a later one."""


def follow(manager: "ReleaseManager", deployment: "Deployment", timeout: float) -> None:
    """Print every step as it happens, then the standing. Raises `Failed` if it did not succeed.

    Raises `TimedOut` if it has not ended in time.
    """
    from release_management.facade.deployments import NotFinishedError

    began = time.monotonic()
    printer = _StepPrinter()
    with _progress() as status:
        printer.tell(deployment)
        try:
            for seen in manager.watch(deployment, timeout, LOOK_SECONDS):
                deployment = seen
                printer.tell(deployment)
                if status is not None:
                    status.update(_line(_at_work(deployment, time.monotonic() - began)))
        except NotFinishedError as error:
            raise TimedOut(f"{error}; see: {next_step(deployment)}", deployment=plain(deployment)) from error
    conclude(deployment, time.monotonic() - began)


def conclude(deployment: "Deployment", seconds: float | None = None, *, back: bool = False) -> None:
    """Print the standing, and what could be done next.

    Raises `Failed` if it has ended without success; with `back` a return to the stable version was requested.
    """
    if deployment.ended is not None and not deployment.succeeded and not (back and deployment.phase in GONE_BACK):
        reason = deployment.reason or "see its audit trail"
        sentence = f"{deployment.release} did not succeed in {deployment.environment}: {deployment.phase}: {reason}"
        raise Failed(f"{sentence}; next: {next_step(deployment)}", deployment=plain(deployment))
    show(deployment)
    took = "" if seconds is None else f"   {seconds:.1f} s"
    wait_lines = "".join(f"\n  {line}" for line in (deployment.waits_for, deployment.patience) if line)
    say(f"{status_line(deployment)}{took}\n  deployment {deployment.id}{wait_lines}\n  next: {next_step(deployment)}")


def conclude_already_so(deployment: "Deployment", unhealthy: "Sequence[ComponentCondition]", *, wait: bool) -> None:
    """Print that nothing was done, since it succeeded before, and which of its components were not seen well.

    Raises `Failed` if one is down and `wait` was requested.
    """
    from release_management.kernel.suggestions import first_few

    again = f"relman deploy {deployment.release} {deployment.environment} --redeploy"
    if wait and (down := [each for each in unhealthy if each.condition == "down"]):
        before = (
            f"{deployment.release} was deployed in {deployment.environment} before, and {first_few(map(str, down))}"
        )
        raise Failed(f"{before}; to bring it again: {again}", deployment=plain(deployment), conditions=plain(unhealthy))
    show(deployment)
    already = "already so: it was deployed there with the configuration that is declared; nothing was done"
    seen = f"\n  ! {first_few(map(str, unhealthy))}" if unhealthy else ""
    say(f"{status_line(deployment)}\n  {already}{seen}\n  deployment {deployment.id}\n  to bring it again: {again}")


class _StepPrinter:
    """Prints the progress of a deployment, each step once."""

    def __init__(self) -> None:
        self._phase: str | None = None
        self._steps: dict[tuple[str, int], tuple[Any, Any]] = {}
        self._groups: set[tuple[str, int]] = set()

    def tell(self, deployment: "Deployment") -> None:
        """Print what is new."""
        if deployment.phase != self._phase and deployment.ended is None:
            say(status_line(deployment))
        self._phase = deployment.phase
        if deployment.plan is None:
            return
        self._leg("forward", deployment.plan.steps)
        self._leg("rollback", deployment.plan.rollback)

    def _leg(self, leg: "Leg", steps: "Sequence[dict[str, Any]]") -> None:
        """Print each step; of a long plan only failed ones, and groups that are done."""
        from release_management.facade.summaries import (
            MANY,
            MARKS,
            groups,
        )

        if len(steps) <= MANY:
            for index, step in enumerate(steps):
                self._step(leg, index, len(steps), step)
            return
        for group in groups(steps):
            if group.count("failed", "errored"):
                for index, step in enumerate(group.steps, group.first):
                    if step.get("status") in ("failed", "errored"):
                        self._step(leg, index, len(steps), step)
            if group.is_done and group.count("done") and (leg, group.first) not in self._groups:
                self._groups.add((leg, group.first))
                back = "back " if leg == "rollback" else ""
                say(f"  {MARKS['done']} {back}{group.numbers}/{len(steps)} {group.text}")

    def _step(self, leg: "Leg", index: int, total: int, step: dict[str, Any]) -> None:
        from release_management.facade.summaries import MARKS
        from release_management.facade.views import step_text

        status, attempt = now = (step.get("status"), step.get("attempt"))
        if self._steps.get((leg, index)) == now:
            return
        self._steps[leg, index] = now
        again = status == "started" and (attempt or 1) > 1
        is_told = again or (status is not None and status not in UNREPORTED)
        if is_told and not (leg == "rollback" and status == "skipped"):
            back = "back " if leg == "rollback" else ""
            say(f"  {MARKS[str(status)]} {back}{index + 1}/{total} {step_text(step, leg)}")


@contextmanager
def _progress() -> Iterator["Status | None"]:
    """Show a live status line, on a terminal only."""
    if settings().json or not sys.stdout.isatty():
        yield None
        return
    from rich.console import Console

    with Console().status("…") as status:
        yield status


def _line(text: str) -> "Text":
    from rich.text import Text

    return Text(printable(text))


def _at_work(deployment: "Deployment", seconds: float) -> str:
    from release_management.facade.views import step_text

    leg: Leg = "rollback" if deployment.phase == "Aborting" else "forward"
    plan = deployment.plan
    steps = () if plan is None else plan.rollback if leg == "rollback" else plan.steps
    running = [step_text(step, leg) for step in steps if step.get("status") in ("started", "waiting")]
    until = f" until {deployment.paused_until[11:19]}" if deployment.paused_until else ""
    done = sum(step.get("status") == "done" for step in steps)
    first = f"{running[0]}{f' and {len(running) - 1:,} more' if len(running) > 1 else ''}" if running else ""
    return f"{deployment.phase}{until} {seconds:.0f} s   {done:,}/{len(steps):,}   {first}"
