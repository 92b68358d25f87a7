"""Configuration: the settings and variables with which a component runs at a place.

A deployment's plan resolves the configuration and records it; a rollback restores it with the version.
"""

from pydantic import Field, JsonValue

from release_management.domain.configuration_difference import Difference, differences
from release_management.domain.environment import Environment, Target
from release_management.kernel.digest import digest_of
from release_management.kernel.types import Value


class Configuration(Value):
    """A component's settings for its executor, and its environment's variables.

    `replicas` is no part of the settings: the number stands beside the configuration. A variable whose value is a
    reference (`env:NAME`, `file:PATH`) is kept as that reference; the secret is not resolved here.
    """

    settings: dict[str, JsonValue] = Field(
        {}, description="the component's settings for its executor, without `replicas`"
    )
    variables: dict[str, str] = Field({}, description="the environment's variables; a reference stays a reference")

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of settings and variables."""
        return digest_of([self.settings, self.variables])


def resolve(environment: Environment, target: Target, application: str, component: str) -> Configuration | None:
    """Return the declared configuration of an application's component on a target, or None."""
    declared = target.settings_of(application, component)
    if declared is None:
        return None
    settings = {name: _without_none(value) for name, value in declared.items() if name != "replicas"}
    return Configuration(
        settings={name: value for name, value in settings.items() if value is not None},
        variables=dict(environment.variables),
    )


def _without_none(value: JsonValue) -> JsonValue:
    """Remove None values, which a record omits, so that the digest does not count them."""
    if isinstance(value, dict):
        return {name: _without_none(item) for name, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value


def changed(before: Configuration | None, after: Configuration | None) -> tuple[Difference, ...]:
    """Return the settings and then the variables that differ, by name; none if a configuration is unknown."""
    if before is None or after is None:
        return ()
    return (
        *differences(before.settings, after.settings),
        *differences(dict(before.variables), dict(after.variables)),
    )
