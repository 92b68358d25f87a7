"""What people give, as commands want it."""

from collections.abc import Mapping, Sequence
from typing import Any

from release_management.domain.words import Refused


def environment_data(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """`environment.configure`'s data from what people write: `name` is the label, targets are a mapping."""
    known = {"name", "label", "tier", "order", "approval", "variables", "targets"}
    unknown = [key for key in given if key not in known]
    if unknown:
        raise Refused(f"environment {name}: there is no {unknown[0]!r}; there are {', '.join(sorted(known))}")
    data = {key: value for key, value in given.items() if key not in ("name", "targets")}
    if "name" in given:
        data["label"] = given["name"]
    targets = given.get("targets") or {}
    return {**data, "name": name, "targets": [{"name": key, **dict(target)} for key, target in targets.items()]}


def reordered(known: Sequence[str], named: Sequence[str]) -> dict[str, int]:
    """The orders to state so that the named environments stand in their own order; the others stay around them.

    `known` are those that exist, in order. A new one comes after the one named before it. Empty: they stand so anyhow.
    """
    wanted = iter([name for name in named if name in known])
    arranged = [next(wanted) if name in named else name for name in known]
    for index, name in enumerate(named):
        if name in known:
            continue
        if index:
            arranged.insert(arranged.index(named[index - 1]) + 1, name)
        else:
            following = [arranged.index(later) for later in named if later in known]
            arranged.insert(min(following, default=len(arranged)), name)
    if arranged == [*known, *(name for name in named if name not in known)]:
        return {}
    return {name: order for order, name in enumerate(arranged)}
