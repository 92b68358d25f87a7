"""A read-only history, such as a backup on a read-only disk: it is read from a copy."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

from release_management.adapters.nats.client import NotReachableError
from release_management.adapters.system.error_paths import naming
from release_management.adapters.system.folder_lock import FolderLock
from release_management.kernel.errors import ErrorCode
from release_management.runtime.data_directory import NOTE, DataDirectory
from release_management.runtime.embedded import EmbeddedInstallation
from release_management.services.envelope import CommandEnvelope, Outcome

_DATABASES = ("log.db", "private.db", "read.db")


class CopiedInstallation(EmbeddedInstallation):
    """A copy of a folder that cannot be written. It lives in a temporary folder, which `close` removes."""

    def __init__(self, folder: Path) -> None:
        """No process may write in the folder meanwhile."""
        self._original = folder
        self._copy = TemporaryDirectory(prefix="relman-")
        try:
            copy = Path(self._copy.name)
            for name in (NOTE, *_DATABASES, *(f"{each}-wal" for each in _DATABASES)):
                if (folder / name).is_file():
                    with naming(copy / name):
                        shutil.copyfile(folder / name, copy / name)
            lock = FolderLock(copy)
            lock.acquire()
            super().__init__(DataDirectory.at(copy), lock, may_start=False)
        except BaseException:
            self._copy.cleanup()
            raise

    def ask(self, envelope: CommandEnvelope) -> Outcome:
        """Refuse the command. Raises `NotReachableError`."""
        self._refuse()

    def start_workers(self) -> None:
        """Refuse to start workers. Raises `NotReachableError`."""
        self._refuse()

    def close(self) -> None:
        """Remove the copy."""
        super().close()
        self._copy.cleanup()

    def _refuse(self) -> NoReturn:
        raise NotReachableError(
            f"the folder {self._original} lies on a read-only disk: what it has can be read, and nothing is "
            "recorded there",
            code=ErrorCode.UNUSABLE,
        )
