"""The core: event log, keys and gateway, opened on one folder by the one process that decides."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from release_management.adapters.clock import SystemClock, new_id
from release_management.adapters.local.settings import check_settings
from release_management.adapters.stack.home import Home
from release_management.domain.registry import Registry
from release_management.services.desk import SettingsCheck
from release_management.services.gateway import Gateway

EXECUTORS: Mapping[str, SettingsCheck] = {"local": check_settings}


class Core:
    """What decides. The caller holds the folder's lock."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder)
        self.home.prepare()
        self.clock = SystemClock()
        self.registry = Registry()
        self.log = self.home.open_log(self.registry)
        self.keyring = self.home.open_keyring()
        self.gateway = Gateway(self.log, self.registry, self.keyring, self.clock, new_id, EXECUTORS)

    def close(self) -> None:
        """Decide what waits, then release the files."""
        self.gateway.close()
        self.log.close()
        self.keyring.close()

    def __enter__(self) -> "Core":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()
