"""Pipelines and policies of an application."""

from collections.abc import Mapping, Sequence
from typing import Any

from release_management.facade.arguments import (
    listed,
    mapped,
)
from release_management.facade.arguments import options as given_options
from release_management.facade.caller import Caller
from release_management.facade.views import (
    Pipeline,
    Policy,
)


class Policies(Caller):
    """Pipelines and policies of an application."""

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
        data = {"strategy": strategy, "options": given_options("configure_deployment_strategy", options)}
        return self._policy("policy.configure_strategy", data, environment)

    def configure_rollback_window(self, window: str | float, environment: str | None = None) -> Policy:
        """State for how long after its success a version may be restored without approval: `"7d"`, or seconds."""
        return self._policy("policy.configure_rollback_window", {"window": window}, environment)

    def configure_rollback_strategy(
        self, trigger_conditions: Sequence[Mapping[str, Any]], environment: str | None = None
    ) -> Policy:
        """State rollback triggers: `{"metric", "threshold", "duration_seconds"}` each. Recorded, not armed yet."""
        field = "configure_rollback_strategy: trigger_conditions"
        such_as = "[{'metric': 'error_rate', 'threshold': 0.05}]"
        data = {"conditions": [dict(each) for each in listed(field, trigger_conditions, such_as, Mapping)]}
        return self._policy("policy.configure_triggers", data, environment)

    def configure_compliance_gates(
        self, gates: Mapping[str, Mapping[str, Any]], environment: str | None = None
    ) -> Policy:
        """State gates: `{name: {"required", "pass_threshold"}}`. A required one blocks until it is attested."""
        field, such_as = "configure_compliance_gates: gates", "{'required': True}"
        named = mapped(field, gates, f"{{'tests': {such_as}}}")
        data = {"gates": {name: mapped(f"{field}: {name}", gate, such_as) for name, gate in named.items()}}
        return self._policy("policy.configure_gates", data, environment)

    def configure_versions(self, versions: str) -> Policy:
        """State the numbering scheme: `semver`, `calendar`, or `any`, which orders releases by creation."""
        return self._policy("policy.configure_versions", {"versions": versions}, None)

    def _policy(self, command: str, data: dict[str, Any], environment: str | None) -> Policy:
        about = {"application": self.application, "environment": environment}
        scope = self.send(command, {**data, **about}).result["policy"]
        return next(Policy(**row) for row in self._rows("policies") if row["scope"] == scope)
