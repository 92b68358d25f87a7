"""`relman deploy`."""

import pkgutil
import time
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated, Any

import typer

from release_management.cli.commands.release import Ref
from release_management.cli.kit.command import command
from release_management.cli.kit.errors import TimedOut
from release_management.cli.kit.follow import (
    conclude,
    conclude_already_so,
    follow,
)
from release_management.cli.kit.output import (
    All,
    say,
    show,
)
from release_management.cli.kit.session import application_of, session
from release_management.services.strict_json import KeyTwiceError, read_json

if TYPE_CHECKING:
    from release_management.facade.manager import ReleaseManager
    from release_management.facade.views import ComponentCondition, Deployment

WAIT_SECONDS = 600.0
_EXAMPLE = """relman deploy shop@1.0.0 staging --wait
relman deploy shop@1.1.0 production --strategy canary --set initial_traffic=5 --set interval=30s --dry-run"""


def _strategies() -> str:
    """Name every strategy by its file: loading them would slow the start of every command."""
    folder = str(files("release_management") / "domain" / "plan" / "strategies")
    *others, last = (file.name.replace("_", "-") for file in pkgutil.iter_modules([folder]))
    return f"{', '.join(others)} or {last}"


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, "deploy", example=_EXAMPLE)
    def deploy(
        release: Ref,
        environment: Annotated[str, typer.Argument(metavar="ENV", help="Where to.")],
        strategy: Annotated[
            str | None,
            typer.Option("--strategy", metavar="NAME", help=f"{_strategies()}; else the policy's."),
        ] = None,
        options: Annotated[
            list[str] | None,
            typer.Option("--set", metavar="KEY=VALUE", help="An option of the strategy; VALUE is JSON or text."),
        ] = None,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Show the plan and what would stop it; record nothing.")
        ] = False,
        wait: Annotated[
            bool, typer.Option("--wait", help="Print each step; wait until it ends or needs a person.")
        ] = False,
        everything: All = False,
        supersede: Annotated[
            bool, typer.Option("--supersede", help="What holds or awaits the same places goes back first.")
        ] = False,
        redeploy: Annotated[
            bool, typer.Option("--redeploy", help="Bring again what runs already, to repair it.")
        ] = False,
        downgrade: Annotated[
            bool, typer.Option("--downgrade", help="It may bring an older version than runs there, or is on its way.")
        ] = False,
        timeout: Annotated[
            float | None,
            typer.Option("--timeout", min=0, metavar="SECONDS", help="How long to wait, with --wait.  [default: 600]"),
        ] = None,
    ) -> None:
        """Carry a release out in an environment.

        It begins as soon as the rules allow. What runs already with the same configuration, or is on its way, is not
        deployed twice; --redeploy brings it again. With --wait the exit code is 0 when it succeeded or waits for a
        person, 4 when the time is over, which the deployment does not mind, else 1; also 1 where it succeeded before
        and one of its components is down now.
        """
        _refuse_what_has_no_effect(dry_run, wait=wait, timeout=timeout)
        seconds = WAIT_SECONDS if timeout is None else timeout
        stated = dict(_option(each) for each in options or ())
        with session(application_of(release)) as opened:
            if dry_run:
                planned = opened.manager.preview_deployment(
                    release, environment, strategy, stated, redeploy, supersede, downgrade
                )
                show(planned, planned.render(whole=everything))
                stops = [verdict for verdict in planned.verdicts if verdict.says == "deny"]
                again = " --redeploy" if redeploy else ""
                say("it may not be deployed now" if stops else f"next: relman deploy {release} {environment}{again}")
                return
            if not wait:
                deployment = opened.manager.deploy(
                    release, environment, strategy, stated, supersede, redeploy, downgrade
                )
                if deployment.already_so:
                    conclude_already_so(deployment, _ill(opened.manager, deployment), wait=False)
                else:
                    conclude(deployment)
                return
            from release_management.adapters.nats.client import UnavailableError

            opened.backend.start_workers()  # an installation that cannot be reached has received nothing
            began = time.monotonic()
            try:
                with opened.backend.until(began + seconds):
                    deployment = opened.manager.deploy(
                        release, environment, strategy, stated, supersede, redeploy, downgrade
                    )
            except UnavailableError as error:
                again = "relman deployment list tells; the same command again deploys nothing twice"
                raise TimedOut(f"it is not known whether the deployment was taken in ({again}): {error}") from error
            if deployment.already_so:
                conclude_already_so(deployment, _ill(opened.manager, deployment), wait=True)
            else:
                follow(opened.manager, deployment, max(0.0, began + seconds - time.monotonic()))


def _ill(manager: "ReleaseManager", deployment: "Deployment") -> list["ComponentCondition"]:
    """Return the application's components in the environment that were not seen well."""
    conditions = manager.environment(deployment.environment).conditions
    return [each for each in conditions if each.application == deployment.application and not each.well]


def _refuse_what_has_no_effect(dry_run: bool, *, wait: bool, timeout: float | None) -> None:
    if timeout is not None and not wait:
        raise typer.BadParameter("it says how long --wait waits; add --wait, or leave it out", param_hint="--timeout")
    if dry_run and wait:
        raise typer.BadParameter("--dry-run records nothing, so that this has no effect", param_hint="--wait")


def _option(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise typer.BadParameter(f"{text!r} is no option; write KEY=VALUE, such as interval=30s", param_hint="--set")
    try:
        return key, read_json(value)
    except KeyTwiceError as error:
        raise typer.BadParameter(f"{key}: {error}", param_hint="--set") from None
    except (ValueError, RecursionError):
        return key, value
