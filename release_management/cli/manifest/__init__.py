"""The file that `relman apply` takes: how it is read, and what it would change."""

from release_management.cli.manifest.change import (
    Asks,
    Change,
    after,
)
from release_management.cli.manifest.compare import compare
from release_management.cli.manifest.models import Manifest, read_manifest
from release_management.cli.manifest.yaml_file import YamlFile

__all__ = ["Asks", "Change", "Manifest", "YamlFile", "after", "compare", "read_manifest"]
