"""The installation of `make chaos ARGS=--seen`: stopped, killed, backed up and put back."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chaos.owner import READY, open_manager
from release_management import ReleaseManager
from tests.servers.postgres import Databases

STOP_SECONDS = 60


class Owned:
    """An installation in a folder, on a database of `databases` or on files. `manager` is a client of it."""

    def __init__(self, folder: Path, databases: Databases | None) -> None:
        self.data = folder / "data"
        self._backup = folder / "backup"
        self._log = folder / "owner.log"
        self._databases = databases
        self._store = databases.new_database() if databases is not None else None
        self._stored: str | None = None
        self.manager: ReleaseManager
        self._owner: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, and connect to it."""
        words = [sys.executable, "-m", "chaos.owner", str(self.data), *([self._store] if self._store else [])]
        with self._log.open("a") as log:
            self._owner = subprocess.Popen(words, stdin=-1, stdout=-1, stderr=log, text=True)
        assert self._owner.stdout is not None
        if self._owner.stdout.readline().strip() != READY:
            raise RuntimeError(f"the installation did not start: {self._log.read_text()[-2000:]}")
        self.manager = open_manager(str(self.data), self._store)

    def stop(self) -> None:
        """A clean stop."""
        if self._owner is None:
            return
        self.manager.close()
        self._owner.communicate(timeout=STOP_SECONDS)
        self._owner = None

    def crash(self) -> None:
        """kill -9. What was deployed goes on running."""
        assert self._owner is not None
        self._owner.kill()
        self._owner.communicate()
        self._owner = None
        self.manager.close()

    @contextmanager
    def unattended(self) -> Iterator[ReleaseManager]:
        """Read it while nothing of it runs."""
        manager = open_manager(str(self.data), self._store)
        try:
            yield manager
        finally:
            manager.close()

    @property
    def has_backup(self) -> bool:
        """Return True if there is a backup."""
        return self._backup.exists()

    def back_up(self) -> None:
        """Keep the folder and the database as they are, instead of an earlier backup. It must not run."""
        shutil.rmtree(self._backup, ignore_errors=True)
        _copy(self.data, self._backup)
        if self._databases is not None and self._store is not None:
            self._stored = self._databases.copy(self._store)

    def put_back(self) -> None:
        """Put the folder and the database back as they were. It must not run."""
        shutil.rmtree(self.data)
        _copy(self._backup, self.data)
        if self._databases is not None and self._store is not None and self._stored is not None:
            self._databases.put_back(self._store, self._stored)


def _copy(folder: Path, to: Path) -> None:
    """A copy with everything in it, sockets too."""
    subprocess.run(["cp", "-a", str(folder), str(to)], check=True)
