"""The log files of processes that we start, kept from growing without end."""

import os
import shutil
from pathlib import Path

LOG_BYTES = 16 * 1024**2
"""A file that has grown beyond this is put aside, in place of the one before: two of each, at most."""


def bound(file: Path, limit: int = LOG_BYTES) -> bool:
    """Put a log aside that has become long, as `<name>.1`; whether that was done.

    Who writes it holds it open for appending, so it is copied and emptied; lines written in between are lost.
    """
    try:
        if file.stat().st_size <= limit:
            return False
        shutil.copyfile(file, file.with_name(f"{file.name}.1"))
        os.truncate(file, 0)
    except OSError:
        return False  # there is no room, or no file; it is tried again
    return True
