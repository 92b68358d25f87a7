"""The executor `command`: a program of the user's for every verb."""

from release_management.adapters.executors.command.executor import CommandExecutor
from release_management.adapters.executors.command.settings import CommandSettings, check_settings

__all__ = ["CommandExecutor", "CommandSettings", "check_settings"]
