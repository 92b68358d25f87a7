"""What people give, as commands want it."""

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import JsonValue, TypeAdapter, ValidationError

from release_management.domain.environment import ConfigureEnvironment
from release_management.domain.layered_settings import (
    ApplicationLayer,
    Applications,
    flattened,
)
from release_management.kernel.errors import ErrorCode
from release_management.kernel.names import ByName, id_of
from release_management.kernel.record import timestamp
from release_management.kernel.timestamps import time_zone, utc
from release_management.kernel.types import (
    Refused,
    explain,
    seconds,
)
from release_management.services.redaction import redacted

Time = str | date | datetime
"""RFC 3339, a date, or so long ago, such as `30d`."""
_JSON = TypeAdapter(dict[str, JsonValue])
_LAYER: TypeAdapter[Applications] = TypeAdapter(ByName[ApplicationLayer])


def text(where: str, given: object) -> str:
    """The text as it is."""
    if not isinstance(given, str):
        raise Refused(f"{where} is a text {_got(given)}", code=ErrorCode.INVALID)
    return given


def named(where: str, given: object) -> str:
    """The id of a name."""
    try:
        return id_of(text(where, given))
    except ValueError as error:
        raise Refused(f"{where}: {error}", code=ErrorCode.INVALID) from None


def by_names(where: str, given: Mapping[str, Any]) -> dict[str, str]:
    """The names as they were written, by their ids."""
    written: dict[str, str] = {}
    for each in given:
        first = written.setdefault(named(where, each), each)
        if first != each:
            raise Refused(
                f"{where}: {first!r} and {each!r} are one name, {named(where, each)}; name each once",
                code=ErrorCode.INVALID,
            )
    return written


def data_address(given: object) -> str:
    """A manager's `data` as text, whether a path or a text was given."""
    address = os.fspath(given) if isinstance(given, os.PathLike) else given
    if not isinstance(address, str) or not address:
        raise Refused(
            f"data is a folder such as '.relman', ':memory:', or an address 'nats://…' {_got(given)}",
            code=ErrorCode.INVALID,
        )
    return address


def listed(where: str, given: object, such_as: str, *kinds: type) -> list[Any]:
    """What was given as a list whose elements are of `kinds`. A text is no list of its letters."""
    if isinstance(given, str | bytes | bytearray | Mapping) or not isinstance(given, Iterable):
        raise Refused(f"{where} is a list, such as {such_as} {_got(given)}", code=ErrorCode.INVALID)
    elements = list(given)
    for index, element in enumerate(elements):
        if not isinstance(element, kinds):
            raise Refused(f"{where}[{index}] is not as in {such_as} {_got(element)}", code=ErrorCode.INVALID)
    return elements


def mapped(where: str, given: object, such_as: str) -> dict[str, Any]:
    """What was given as a mapping with names for keys."""
    if not isinstance(given, Mapping):
        raise Refused(f"{where} is a mapping, such as {such_as} {_got(given)}", code=ErrorCode.INVALID)
    for key in given:
        text(f"{where}: a key", key)
    return dict(given)


def plain(given: object) -> Any:
    """The same as JSON has it: any mapping is an object, any sequence but a text a list. What is neither stays."""
    try:
        return _plain(given)
    except RecursionError:
        raise Refused(
            "what was given contains itself, or is nested too deeply; JSON could not have it", code=ErrorCode.INVALID
        ) from None


def _plain(given: object) -> Any:
    if isinstance(given, Mapping):
        return {key: _plain(value) for key, value in given.items()}
    if isinstance(given, Sequence) and not isinstance(given, str | bytes | bytearray | memoryview):
        return [_plain(value) for value in given]
    return given


def moment(where: str, given: object, zone: str = "UTC") -> str:
    """A time in UTC, as records have it: of a `datetime`, RFC 3339, a date in `zone`, or so long ago (`"30d"`)."""
    if isinstance(given, datetime):
        if given.tzinfo is None:
            raise Refused(
                f"{where} has no time zone; write datetime(…, tzinfo=UTC) {_got(given)}", code=ErrorCode.INVALID
            )
        return timestamp(given.astimezone(UTC))
    try:
        if isinstance(given, date):
            return _midnight(given, zone)
        if isinstance(given, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", given):
            return _midnight(date.fromisoformat(given), zone)
        if isinstance(given, str) and re.fullmatch(r"(\d+(\.\d+)?(ms|s|m|h|d))+", given):
            return timestamp(datetime.now(UTC) - timedelta(seconds=float(str(seconds(given)))))
        return utc(text(where, given))
    except (ValueError, OverflowError, LookupError):
        raise Refused(
            f"{where} is a time such as 2026-11-23T09:30:00Z, a date, or how long ago, such as 30d {_got(given)}",
            code=ErrorCode.INVALID,
        ) from None


def _midnight(day: date, zone: str) -> str:
    return timestamp(datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC))


def window(since: object, until: object, zone: str) -> dict[str, str]:
    """The parameters of a metrics' window: by default the last 30 days."""
    try:
        time_zone(zone)
    except ValueError as error:
        raise Refused(str(error), code=ErrorCode.INVALID) from None
    end = timestamp(datetime.now(UTC)) if until is None else moment("until", until, zone)
    if since is None:
        return {"since": timestamp(datetime.fromisoformat(end) - timedelta(days=30)), "until": end, "time_zone": zone}
    return {"since": moment("since", since, zone), "until": end, "time_zone": zone}


def _got(given: object) -> str:
    return f"(got {redacted(repr(given))[:80]})"


def application_layer(where: str, given: object) -> Applications:
    """What is said of applications' components: `{"shop": {"components": {"web": {"port": 8080}}}}`."""
    such_as = "{'shop': {'components': {'web': {'port': 8080}}}}"
    stated = {} if given is None else mapped(f"{where}: applications", given, such_as)
    try:
        return _LAYER.validate_json(json.dumps(plain(stated), allow_nan=False))
    except ValidationError as error:
        raise Refused(f"{where}: applications: {explain(error)}", code=ErrorCode.INVALID) from None
    except (TypeError, ValueError):
        raise Refused(
            f"{where}: applications: JSON could not have this; write it as in {such_as}", code=ErrorCode.INVALID
        ) from None


def environment_data(name: str, given: object, defaults: Applications | None = None) -> dict[str, Any]:
    """`environment.configure`'s data from what people write: `name` is the label, targets are a mapping.

    `defaults` are what applications say of their components for every target.

    Refused here, before anything is sent, where it is no such command.
    """
    given = mapped(f"environment {name}", given, "{'tier': 'staging', 'order': 1}")
    known = {"name", "label", "tier", "order", "approval", "variables", "applications", "targets"}
    unknown = [key for key in given if key not in known]
    if unknown:
        raise Refused(
            f"environment {name}: there is no {unknown[0]!r}; there are {', '.join(sorted(known))}",
            code=ErrorCode.INVALID,
        )
    data = {key: value for key, value in given.items() if key not in ("name", "applications", "targets")}
    layers = [defaults or {}, application_layer(f"environment {name}", given.get("applications"))]
    if "name" in given:
        data["label"] = given["name"]
    such_as = "{'main': {'executor': 'local'}}"
    targets = {} if given.get("targets") is None else mapped(f"environment {name}: targets", given["targets"], such_as)
    data["targets"] = [_target(name, key, target, layers) for key, target in targets.items()]
    data["name"] = name
    try:
        data = _JSON.validate_python(plain(data))
        ConfigureEnvironment.model_validate_json(json.dumps(data, allow_nan=False))
    except ValidationError as error:
        raise Refused(f"environment {name}: {explain(error)}", code=ErrorCode.INVALID) from None
    except ValueError:
        raise Refused(
            f"environment {name}: a number is NaN or infinite, which JSON has not", code=ErrorCode.INVALID
        ) from None
    return data


def _target(environment: str, name: str, given: object, wider: Sequence[Applications]) -> dict[str, Any]:
    """A target from what people write: its key is its name, `name` in it is the label."""
    where = f"environment {environment}: target {name}"
    target = mapped(where, given, "{'executor': 'local'}")
    label = target.pop("name", None)
    own = application_layer(where, target.pop("applications", None))
    beside = target.get("components")
    try:
        applications = flattened([*wider, own], beside if isinstance(beside, Mapping) else ())
    except ValueError as error:
        raise Refused(f"{where}: {error}", code=ErrorCode.INVALID) from None
    if applications:
        target["applications"] = {each: {"components": components} for each, components in applications.items()}
    return {"name": name} | ({} if label is None else {"label": label}) | target


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


def options(where: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a strategy's options; none where none are given."""
    return {} if given is None else mapped(f"{where}: options", given, "{'interval': '5m'}")
