"""Write the reference pages from the code: `python docs/reference/generate.py`.

`--check` writes nothing and fails where a committed page is not what would be written. Each page has a module in
`pages/`. What a field means stands on the field; `meanings.toml` has what is no field. Something without a meaning, and
a meaning of nothing, are errors.
"""

import difflib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from docs.reference.fields import Meanings
from docs.reference.pages import (
    asyncapi,
    bus,
    commands,
    errors,
    events,
    metrics,
    python,
    queries,
    relman_yaml,
    settings,
    strategies,
    types,
)

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Written:
    """A page: its file name and what makes its text."""

    name: str
    make: Callable[[], str]


PAGES = (
    Written("events.md", events.text),
    Written("commands.md", commands.text),
    Written("strategies.md", strategies.text),
    Written("settings.md", settings.text),
    Written("relman-yaml.md", relman_yaml.text),
    Written("queries.md", queries.text),
    Written("bus.md", bus.text),
    Written("errors.md", errors.text),
    Written("asyncapi.md", asyncapi.text),
    Written("metrics.md", metrics.text),
    Written("types.md", types.text),
    Written("python.md", python.text),
)


def main(arguments: list[str]) -> int:
    """Write the pages, or with `--check` compare them."""
    made = {HERE / written.name: written.make() for written in PAGES}
    if unused := Meanings.unused():
        raise LookupError(f"docs/reference/meanings.toml speaks of what there is not: {', '.join(unused)}")
    stale = {path: text for path, text in made.items() if not path.exists() or path.read_text() != text}
    if "--check" not in arguments:
        for path, text in stale.items():
            path.write_text(text)
        return 0
    for path, text in stale.items():
        before = path.read_text().splitlines() if path.exists() else []
        print(*difflib.unified_diff(before, text.splitlines(), path.name, "the code", lineterm="", n=0), sep="\n")
    if stale:
        print("write them anew with: python docs/reference/generate.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
