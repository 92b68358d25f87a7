"""The executor `command`: a program of the user's for every verb."""

from collections.abc import Collection, Mapping
from typing import Any

from release_management.adapters.executors.catalog import ExecutorDeclaration
from release_management.adapters.executors.command.executor import CommandExecutor
from release_management.adapters.executors.command.settings import CommandSettings, check_settings

__all__ = ["EXECUTOR", "CommandExecutor", "CommandSettings", "check_settings"]


def _check(settings: Mapping[str, Any], routes: bool) -> Collection[str]:
    return check_settings(settings, routes).claims.things


EXECUTOR = ExecutorDeclaration(_check, CommandExecutor)
