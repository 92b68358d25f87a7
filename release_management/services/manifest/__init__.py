"""The manifest: a YAML file's statements are read, checked, and compared with the recorded state."""

from release_management.services.manifest.change import (
    Asks,
    ManifestChange,
    after,
)
from release_management.services.manifest.compare import compare
from release_management.services.manifest.models import Manifest, read_manifest
from release_management.services.manifest.yaml_file import MAX_BYTES, YamlFile

__all__ = ["MAX_BYTES", "Asks", "Manifest", "ManifestChange", "YamlFile", "after", "compare", "read_manifest"]
