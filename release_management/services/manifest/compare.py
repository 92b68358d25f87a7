"""Compare a file with the recorded state."""

from collections.abc import Mapping

from release_management.services.gateway.unit_of_work import SettingsCheck
from release_management.services.manifest.change import Asks, ManifestChange
from release_management.services.manifest.environments import changed_environments, order_after
from release_management.services.manifest.models import Manifest
from release_management.services.manifest.pipelines import changed_pipelines
from release_management.services.manifest.policies import changed_policies
from release_management.services.manifest.releases import changed_releases
from release_management.services.manifest.yaml_file import YamlFile


def compare(
    manifest: Manifest,
    file: YamlFile,
    ask: Asks,
    executors: Mapping[str, SettingsCheck],
    *,
    elsewhere: bool = False,
) -> list[ManifestChange]:
    """Return all changes in the order in which to make them. Raises `Refused` if something cannot be applied.

    `ask` answers queries about the recorded state; `executors` are the known ones, with their checks of settings.
    `elsewhere`: the gateway is on another machine, and may know other executors.
    """
    environments = {row["name"]: row for row in ask("environments")}
    policies = {row["scope"]: row for row in ask("policies")}
    pipelines = {row["name"]: row for row in ask("pipelines")}
    known = order_after(manifest, environments)
    return [
        *changed_environments(manifest, file, environments, executors, elsewhere=elsewhere),
        *changed_pipelines(manifest, file, known, pipelines, policies),
        *changed_policies(manifest, file, known, policies),
        *changed_releases(manifest, file, ask),
    ]
