"""Read the roles' logs while they are attacked."""

import json
from collections import Counter
from pathlib import Path

KEPT = 200
"""Characters of a line that are shown."""


class Logs:
    """Reads on at each call. `errors` are lines that admit a fault of ours, `lines` the number of all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}
        self.lines = 0
        self.errors: Counter[str] = Counter()

    def read(self) -> None:
        """Read the new lines. Those that a truncated file had are lost."""
        for file in sorted(self._folder.glob("*.log")):
            begin = self._read.get(file, 0)
            if file.stat().st_size < begin:
                begin = 0
            with file.open("rb") as opened:
                opened.seek(begin)
                came = opened.read()
            whole = came.rpartition(b"\n")[0]
            self._read[file] = begin + len(whole) + (1 if whole else 0)
            for line in whole.splitlines():
                self.lines += 1
                if (words := fault(line)) is not None:
                    self.errors[f"{file.stem}: {words}"] += 1


def fault(line: bytes) -> str | None:
    """Return the fault of ours that a line admits, or None."""
    try:
        entry = json.loads(line)
    except ValueError:
        text = line.decode(errors="replace").strip()
        return text[:KEPT] if text.startswith("Traceback") or "fault of ours" in text else None
    if not isinstance(entry, dict):
        return None
    if "exception" in entry:
        return f"{entry.get('event')}: {str(entry['exception']).strip().splitlines()[-1]}"[:KEPT]
    if entry.get("level") in ("error", "critical"):
        said = entry.get("error") or entry.get("reason") or ""
        return f"{entry.get('event')}: {said}"[:KEPT]
    return None
