"""Read the commits of a range from `git log`."""

import os
import subprocess
from pathlib import Path

from release_management.adapters.system.process_environment import inherited
from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import Refused

_FORMAT = "%H%x1f%cI%x1f%an%x1f%s%x1e"
LONGEST_MESSAGE = 500


def changes_of(commits: str, repository: Path) -> list[dict[str, str]]:
    """Return the commits of a range such as `v1.0.0..v1.1.0`, the oldest first. Raises `Refused` if git has none."""
    command = [
        "git",
        "-C",
        str(repository),
        "log",
        "--reverse",
        f"--format={_FORMAT}",
        "--end-of-options",
        commits,
        "--",
    ]
    try:
        own = {name: value for name, value in os.environ.items() if name.startswith("GIT_")}
        answer = subprocess.run(command, env=inherited() | own, capture_output=True, check=False)
    except OSError as error:
        raise Refused(
            f"git cannot be started ({error.strerror}); install it, or name each commit with --commit",
            code=ErrorCode.UNUSABLE,
        ) from None
    if answer.returncode != 0:
        reason = answer.stderr.decode(errors="replace").strip().partition("\n")[0]
        raise Refused(f"git log {commits} in {repository.resolve()}: {reason}", code=ErrorCode.INVALID)
    text = answer.stdout.decode(errors="replace")
    found = [_change(entry) for each in text.split("\x1e") if (entry := each.strip("\n"))]
    if not found:
        raise Refused(
            f"git log {commits} in {repository.resolve()} has no commit; name a range such as v1.0.0..v1.1.0",
            code=ErrorCode.INVALID,
        )
    return found


def _change(entry: str) -> dict[str, str]:
    commit, committed_at, author, message = entry.split("\x1f", 3)
    stated = {"commit": commit, "committed_at": committed_at, "author": author, "message": message[:LONGEST_MESSAGE]}
    return {name: value for name, value in stated.items() if value}
