"""Everything that applying a file would change."""

from release_management.cli.manifest.change import Asks, Change
from release_management.cli.manifest.environments import changed_environments, order_after
from release_management.cli.manifest.models import Manifest
from release_management.cli.manifest.pipelines import changed_pipelines
from release_management.cli.manifest.policies import changed_policies
from release_management.cli.manifest.releases import changed_releases
from release_management.cli.manifest.yaml_file import YamlFile


def compare(manifest: Manifest, file: YamlFile, ask: Asks, *, elsewhere: bool = False) -> list[Change]:
    """All changes, in the order in which they are to be made. Raises `Refused` where something cannot be applied.

    `elsewhere`: the gateway is not of this machine, and may know other executors.
    """
    environments = {row["name"]: row for row in ask("environments")}
    policies = {row["scope"]: row for row in ask("policies")}
    pipelines = {row["name"]: row for row in ask("pipelines")}
    known = order_after(manifest, environments)
    return [
        *changed_environments(manifest, file, environments, elsewhere=elsewhere),
        *changed_pipelines(manifest, file, known, pipelines, policies),
        *changed_policies(manifest, file, known, policies),
        *changed_releases(manifest, file, ask),
    ]
