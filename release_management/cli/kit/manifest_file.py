"""The file that `relman apply` takes, read from where it is."""

import sys
from pathlib import Path

from release_management.services.manifest import MAX_BYTES, Manifest, YamlFile, read_manifest


def read_file(path: str) -> tuple[Manifest, YamlFile]:
    """Read and check a file, or standard input for `-`. Raises `Refused` with the line of what is wrong."""
    if path == "-":
        return read_manifest("standard input", sys.stdin.buffer.read(MAX_BYTES + 1))
    with Path(path).open("rb") as opened:
        return read_manifest(path, opened.read(MAX_BYTES + 1))
