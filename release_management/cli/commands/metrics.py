"""`relman metrics`."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any

import typer

from release_management.cli.kit.command import command
from release_management.cli.kit.output import (
    say,
    show,
    show_list,
)
from release_management.cli.kit.session import session


class MetricName(StrEnum):
    """The metrics whose items can be listed."""

    change_lead_time = "change_lead_time"
    deployment_frequency = "deployment_frequency"
    failed_deployment_recovery_time = "failed_deployment_recovery_time"
    change_fail_rate = "change_fail_rate"
    deployment_rework_rate = "deployment_rework_rate"
    deployment_success_rate = "deployment_success_rate"


class Bucket(StrEnum):
    """The periods for which the frequency is counted."""

    day = "day"
    week = "week"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Metrics: how delivery goes.", no_args_is_help=True)
    app.add_typer(group, name="metrics")

    @command(
        group,
        "dora",
        example="relman metrics dora --app shop --since 90d\nrelman metrics dora --app shop --drill change_fail_rate",
    )
    def dora(
        application: Annotated[
            str | None, typer.Option("--app", "--application", metavar="APP", help="Only of this application.")
        ] = None,
        environment: Annotated[
            str | None,
            typer.Option(
                "--env", "--environment", metavar="ENV", help="Only there; else all environments of tier production."
            ),
        ] = None,
        since: Annotated[
            str | None, typer.Option("--since", metavar="TIME", help="RFC 3339, a date, or how long ago.")
        ] = None,
        until: Annotated[
            str | None, typer.Option("--until", metavar="TIME", help="The same; just before it. Else until now.")
        ] = None,
        time_zone: Annotated[
            str, typer.Option("--time-zone", metavar="ZONE", help="Whose days and weeks, by its IANA name.")
        ] = "UTC",
        by: Annotated[Bucket, typer.Option("--by", metavar="day|week", help="What to count the frequency by.")] = (
            Bucket.day
        ),
        drill: Annotated[
            MetricName | None,
            typer.Option("--drill", metavar="METRIC", help="List what is behind this metric, with the events' ids."),
        ] = None,
    ) -> None:
        """Show the five metrics of DORA, by default of the last 30 days, and what each is made of."""
        from release_management.facade.arguments import window
        from release_management.facade.views import Metric, Metrics

        window_ = window(since, until, time_zone)
        params: dict[str, Any] = window_ | {"application": application, "environment": environment, "by": by.value}
        with session() as opened:
            if drill is not None:
                _show_items(opened.rows("metrics_dora_drill", **params, metric=drill.value))
                return
            rows = opened.query("metrics_dora", **params)
        found = Metrics(**params, metrics=tuple(Metric(**row) for row in rows))
        show(found, found.render())
        say("  next: relman metrics dora --drill METRIC")


def _show_items(found: Iterable[dict[str, Any]]) -> None:
    from release_management.facade.views import (
        Measured,
        short_time,
        span,
    )

    show_list(
        map(Measured.model_validate, found),
        *("deployment", "release", "environment", "outcome", "finished", "counted", "why", "took"),
        *("position", "event"),
        cells=lambda each: (
            *(each.deployment, each.release, each.environment, each.outcome, short_time(each.finished)),
            *(each.excluded.replace("_", " ") if each.excluded else each.counted, each.reasons),
            *(None if each.seconds is None else span(each.seconds), each.position, each.event),
        ),
        empty="nothing finished in that time",
    )
