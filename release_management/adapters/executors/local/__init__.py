"""The executor `local`: processes of a given command line behind HAProxy, on one machine."""

from collections.abc import Collection, Mapping
from typing import Any

from release_management.adapters.executors.catalog import ExecutorDeclaration
from release_management.adapters.executors.local.executor import LocalExecutor
from release_management.adapters.executors.local.settings import ComponentSettings, check_settings

__all__ = ["EXECUTOR", "ComponentSettings", "LocalExecutor", "check_settings"]


def _check(settings: Mapping[str, Any], _: bool) -> Collection[str]:
    checked = check_settings(settings)
    return dict.fromkeys((f"port {checked.port}", *checked.claims.things))


EXECUTOR = ExecutorDeclaration(_check, LocalExecutor)
