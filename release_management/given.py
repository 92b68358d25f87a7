"""What people give, as commands want it."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import JsonValue, TypeAdapter, ValidationError

from release_management.domain.environment import ConfigureEnvironment
from release_management.domain.words import Refused, explain

_JSON = TypeAdapter(dict[str, JsonValue])


def text(where: str, given: object) -> str:
    """The text as it is."""
    if not isinstance(given, str):
        raise Refused(f"{where} is a text {_got(given)}")
    return given


def data_address(given: object) -> str:
    """A manager's `data` as text, whether a path or a text was given."""
    address = os.fspath(given) if isinstance(given, os.PathLike) else given
    if not isinstance(address, str) or not address:
        raise Refused(f"data is a folder such as '.relman', ':memory:', or an address 'nats://…' {_got(given)}")
    return address


def listed(where: str, given: object, such_as: str, *kinds: type) -> list[Any]:
    """What was given as a list whose elements are of `kinds`. A text is no list of its letters."""
    if isinstance(given, str | bytes | bytearray | Mapping) or not isinstance(given, Iterable):
        raise Refused(f"{where} is a list, such as {such_as} {_got(given)}")
    elements = list(given)
    for index, element in enumerate(elements):
        if not isinstance(element, kinds):
            raise Refused(f"{where}[{index}] is not as in {such_as} {_got(element)}")
    return elements


def mapped(where: str, given: object, such_as: str) -> dict[str, Any]:
    """What was given as a mapping with names for keys."""
    if not isinstance(given, Mapping):
        raise Refused(f"{where} is a mapping, such as {such_as} {_got(given)}")
    for key in given:
        text(f"{where}: a key", key)
    return dict(given)


def _got(given: object) -> str:
    return f"(got {repr(given)[:80]})"


def environment_data(name: str, given: object) -> dict[str, Any]:
    """`environment.configure`'s data from what people write: `name` is the label, targets are a mapping.

    Refused here, before anything is sent, where it is no such command.
    """
    given = mapped(f"environment {name}", given, "{'tier': 'staging', 'order': 1}")
    known = {"name", "label", "tier", "order", "approval", "variables", "targets"}
    unknown = [key for key in given if key not in known]
    if unknown:
        raise Refused(f"environment {name}: there is no {unknown[0]!r}; there are {', '.join(sorted(known))}")
    data = {key: value for key, value in given.items() if key not in ("name", "targets")}
    if "name" in given:
        data["label"] = given["name"]
    such_as = "{'main': {'executor': 'local'}}"
    targets = {} if given.get("targets") is None else mapped(f"environment {name}: targets", given["targets"], such_as)
    data["targets"] = [
        {"name": key, **mapped(f"environment {name}: target {key}", target, "{'executor': 'local'}")}
        for key, target in targets.items()
    ]
    data["name"] = name
    try:
        ConfigureEnvironment.model_validate_json(json.dumps(_JSON.validate_python(data), allow_nan=False))
    except ValidationError as error:
        raise Refused(f"environment {name}: {explain(error)}") from None
    except ValueError:
        raise Refused(f"environment {name}: a number is NaN or infinite, which JSON has not") from None
    return data


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
