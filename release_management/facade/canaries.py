"""Canaries: a release with its own initial share of the traffic."""

from collections.abc import Iterable

from release_management.facade.deployments import Deployments
from release_management.facade.views import (
    CanaryPlan,
    Deployment,
    Release,
)


class Canaries(Deployments):
    """Canaries of an application."""

    def setup_canary_deployment(self, release: Release | str, traffic_percentage: int) -> CanaryPlan:
        """Set the release's own initial canary traffic; its planned deployments are compiled again.

        Raises `Refused` once one of them has started.
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

    def _canary_policy(self, initial: int) -> tuple[tuple[int, ...], float | None]:
        """Return the shares and the interval of this application's canaries, from its policies."""
        from release_management.domain.plan.strategies import parse_options
        from release_management.domain.plan.strategies.canary import Canary

        scopes = {row["scope"]: row for row in self._query("policies")}
        options = dict(scopes.get(self.application, {}).get("strategies", {}).get(Canary.NAME, {}))
        options.pop("steps", None)
        parsed = parse_options(Canary.NAME, options | {"initial_traffic": initial})
        assert isinstance(parsed, Canary)
        return (*range(initial, 100, parsed.increment), 100), parsed.interval


def _canary_walk(deployments: Iterable[Deployment]) -> tuple[tuple[int, ...], float | None]:
    """Return the traffic shares in the plans, and the seconds between them."""
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


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []
