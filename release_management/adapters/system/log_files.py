"""Limit the size of the log files of processes that we start."""

import os
import shutil
from pathlib import Path

LOG_BYTES = 16 * 1024**2
"""Bytes. A larger file is moved aside, in place of the one before: at most two files of each log are kept."""


def bound(file: Path, limit: int = LOG_BYTES) -> bool:
    """Move a log that has grown beyond `limit` bytes to `<name>.1`; return True if it was moved.

    Its writer holds it open for appending, so the file is copied and emptied; lines written in between are lost.
    """
    try:
        if file.stat().st_size <= limit:
            return False
        shutil.copyfile(file, file.with_name(f"{file.name}.1"))
        os.truncate(file, 0)
    except OSError:
        return False  # no space, or no file; the next call tries again
    return True
