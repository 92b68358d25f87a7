"""Pipelines and policies."""

from typing import Any

from rich.console import RenderableType
from rich.text import Text

from release_management.facade.views.base import View, called


class Pipeline(View):
    """The order in which an application's releases are deployed to environments. `name` is its id."""

    name: str
    application: str
    stages: tuple[dict[str, Any], ...] = ()
    label: str | None = None

    def render(self) -> RenderableType:
        """Return the stages with arrows."""
        stages = " → ".join(stage["environment"] for stage in self.stages)
        return Text(f"pipeline {called(self.name, self.label)} of {self.application}: {stages}")


class Policy(View):
    """An application's strategies, triggers and gates, everywhere or in one environment."""

    scope: str
    default: str | None = None
    strategies: dict[str, Any] = {}
    triggers: tuple[dict[str, Any], ...] = ()
    gates: dict[str, Any] = {}
    versions: str | None = None
    rollback_window: float | None = None

    def render(self) -> RenderableType:
        """Return a line for each configured field."""
        lines = [f"policy of {self.scope}"]
        if self.versions is not None:
            lines.append(f"  versions: {self.versions}")
        for name, options in self.strategies.items():
            options_text = ", ".join(f"{key}={value}" for key, value in options.items())
            default = " (default)" if name == self.default else ""
            lines.append(f"  strategy {name}{default}: {options_text or 'standard options'}")
        for trigger in self.triggers:
            lines.append(
                f"  roll back when {trigger['metric']} > {trigger['threshold']:g} for "
                f"{trigger['duration_seconds']:g} s: NOT ARMED, nothing measures it yet"
            )
        if self.rollback_window is not None:
            lines.append(f"  rollback window: {self.rollback_window:g} s, without approval and gates")
        for name, gate in self.gates.items():
            need = "required" if gate.get("required", True) else "optional"
            passes = gate.get("pass_threshold")
            score = "" if passes is None else f", passes with {passes if isinstance(passes, str) else f'{passes:g}'}"
            lines.append(f"  gate {called(name, gate.get('label'))}: {need}{score}, by manual attestation")
        return Text("\n".join(lines))
