"""Configuration: the settings and variables with which a component runs at a place.

It is resolved when a deployment is planned, recorded with it, rolled out and rolled back with the version.
"""

from pydantic import JsonValue

from release_management.domain.configuration_difference import Difference, differences
from release_management.domain.environment import Environment, Target
from release_management.kernel.digest import digest_of
from release_management.kernel.types import Value


class Configuration(Value):
    """A component's settings for its executor, and its environment's variables.

    `replicas` is none of the settings: how many run is said beside the configuration. A variable whose value is a
    reference (`env:NAME`, `file:PATH`) is kept as that reference; nobody here reads the secret.
    """

    settings: dict[str, JsonValue] = {}
    variables: dict[str, str] = {}

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of settings and variables."""
        return digest_of([self.settings, self.variables])


def resolve(environment: Environment, target: Target, application: str, component: str) -> Configuration | None:
    """The configuration that is declared for an application's component on a target now; None where none is."""
    declared = target.settings_of(application, component)
    if declared is None:
        return None
    settings = {name: _without_none(value) for name, value in declared.items() if name != "replicas"}
    return Configuration(
        settings={name: value for name, value in settings.items() if value is not None},
        variables=dict(environment.variables),
    )


def _without_none(value: JsonValue) -> JsonValue:
    """A record omits what is None, so a digest must not count it."""
    if isinstance(value, dict):
        return {name: _without_none(item) for name, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value


def changed(before: Configuration | None, after: Configuration | None) -> tuple[Difference, ...]:
    """The settings and then the variables that differ, by name. An unknown configuration differs in nothing."""
    if before is None or after is None:
        return ()
    return (
        *differences(before.settings, after.settings),
        *differences(dict(before.variables), dict(after.variables)),
    )
