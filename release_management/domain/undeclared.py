"""Components that no target of an environment can run yet: advice on declaring them, and a plan's assumption."""

from collections.abc import Sequence
from dataclasses import replace

from release_management.domain.environment import Environment, Target
from release_management.domain.release import Release

FIRST_PORT = 8080
PORTS_PER_ENVIRONMENT = 100
SPELLED_OUT = 20


def without_target(release: Release, environment: Environment) -> tuple[str, ...]:
    """Return the components that no target of the environment can run."""
    targets = environment.targets.values()
    return tuple(
        component.name
        for component in release.components
        if all(target.settings_of(release.application, component.name) is None for target in targets)
    )


def as_if_declared(environment: Environment, components: Sequence[str]) -> Environment:
    """Return the environment with these components added to its first target, or to a new one called main."""
    host = _host(environment)
    added = host.model_copy(update={"components": {**host.components, **{name: {} for name in components}}})
    return replace(environment, targets={**environment.targets, host.name: added})


def assumption(environment: Environment, components: Sequence[str]) -> str:
    """Return the note of a plan with this assumption."""
    sentence = f"target {_host(environment).name} of {environment.name} runs {_listed(components)}"
    return f"this assumes that {sentence}, which nobody has declared yet"


def what_to_declare(environment: Environment, components: Sequence[str]) -> str:
    """Return a sentence on the missing components, and the lines that add them."""
    host = _host(environment)
    verb = "has" if len(components) == 1 else "have"
    lines = [
        f"{_listed(components)} {verb} no target in {environment.name}; add this to relman.yaml, "
        "with your own settings, and apply it:",
        "environments:",
        f"  {environment.name}:",
        "    targets:",
        f"      {host.name}:",
        f"        executor: {host.executor}",
        "        components:",
    ]
    port = FIRST_PORT + PORTS_PER_ENVIRONMENT * environment.order
    for offset, name in enumerate(components[:SPELLED_OUT]):
        if host.executor != "local":
            lines.append(f"          {name}: {{}}")
            continue
        lines += [
            f"          {name}:",
            '            command: ["./run", "--port", "{port}", "--version", "{version}"]',
            f"            port: {port + offset}",
            "            health: /health",
        ]
    if len(components) > SPELLED_OUT:
        lines.append(f"          # and {len(components) - SPELLED_OUT} more")
    return "\n".join(lines)


def _host(environment: Environment) -> Target:
    return next(iter(environment.targets.values()), Target())


def _listed(components: Sequence[str]) -> str:
    if len(components) == 1:
        return f"component {components[0]}"
    named, more = components[:SPELLED_OUT], len(components) - SPELLED_OUT
    *others, last = [*named, *([f"{more} more"] if more > 0 else [])]
    return f"components {', '.join(others)} and {last}"
