"""Environments: configure, retire, keep, rename, and show what runs there."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from release_management.facade.arguments import (
    application_layer,
    by_names,
    environment_data,
    mapped,
    reordered,
)
from release_management.facade.declared import (
    Row,
    deploy_again_lines,
    outdated,
)
from release_management.facade.deployments import Deployments
from release_management.facade.lazy_list import Listed
from release_management.facade.views import (
    ComponentCondition,
    Deployment,
    Environment,
    Running,
)
from release_management.services.batches import (
    configuring_environment,
)


class Environments(Deployments):
    """Environments, and the components that run there."""

    def configure_environments(
        self,
        environments: Mapping[str, Mapping[str, Any]],
        applications: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> tuple[Environment, ...]:
        """Create or change environments; fields that are not given stay.

        Each value may have `name` (the label), `tier`, `order`, `approval`, `variables`, `applications` and `targets`;
        the order is the mapping's unless given, the tier follows from the key unless given. A key is the environment's
        id, or a name that its id is derived from. `applications` holds the defaults of applications' components for
        every target that is named here; the environment's and the target's own settings override them.
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
        """Retire an environment, or one target of it; return the deployments that stop its components.

        They need approval if the environment's deployments do; it is retired once they have succeeded, or at once if
        nothing runs there. Nothing new can be deployed there meanwhile. The same call again plans again for the
        components that still run.
        """
        running = self._query("running", environment=name)
        applications = sorted({str(slot["application"]) for slot in running})
        data = {"name": name, "target": target, "reason": reason, "applications": applications}
        outcome = self.send("environment.retire", {key: value for key, value in data.items() if value is not None})
        return tuple(self.deployment(str(id)) for id in outcome.result["deployments"])  # type: ignore[union-attr] # a list

    def keep_environment(self, name: str, target: str | None = None) -> Environment:
        """Cancel a retirement, or restore a retired environment."""
        data = {"name": name} if target is None else {"name": name, "target": target}
        self.send("environment.keep", data)
        return self.environment(name)

    def rename_environment(self, name: str, label: str) -> Environment:
        """Give an environment another label; its name, by which the history knows it, stays."""
        self.send("environment.configure", {"name": self.environment(name).name, "label": label})
        return self.environment(name)

    def environment(self, name: str) -> Environment:
        """Return an environment, with its components and their last observations."""
        row = self._row("environment", {"name": name}, f"environment {name!r} does not exist")
        at = row["name"]
        running, conditions = self._query("running", environment=at), self._query("conditions", environment=at)
        return _with_running(row, running, conditions, self._query("policies"))

    def environments(self) -> Sequence[Environment]:
        """Return every environment in order, with its components and their last observations.

        They are read page by page on demand.
        """
        running, conditions = _by_environment(self._rows("running")), _by_environment(self._rows("conditions"))
        policies = self._query("policies")

        def made(row: Row) -> Environment:
            return _with_running(row, running.get(row["name"], []), conditions.get(row["name"], []), policies)

        return Listed(self._rows("environments"), made)


def _with_running(
    row: Row, running: list[dict[str, Any]], conditions: list[dict[str, Any]], policies: list[dict[str, Any]]
) -> Environment:
    return Environment(
        **row,
        running=tuple(Running(**slot) for slot in running),
        conditions=tuple(ComponentCondition(**each) for each in conditions),
        outdated=tuple(deploy_again_lines(outdated(row, running, policies))),
    )


def _by_environment(rows: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["environment"], []).append(row)
    return found
