"""The executor `local`: processes of a given command line behind HAProxy, on one machine."""

from release_management.adapters.executors.local.executor import LocalExecutor
from release_management.adapters.executors.local.settings import ComponentSettings, check_settings

__all__ = ["ComponentSettings", "LocalExecutor", "check_settings"]
