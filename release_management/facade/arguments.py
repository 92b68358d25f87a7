"""Convert people's input to commands' data."""

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


def text(field: str, value: object) -> str:
    """Return a text, or raise `Refused`."""
    if not isinstance(value, str):
        raise Refused(f"{field} is a text {_got(value)}", code=ErrorCode.INVALID)
    return value


def named(field: str, value: object) -> str:
    """Return the id of a name, or raise `Refused`."""
    try:
        return id_of(text(field, value))
    except ValueError as error:
        raise Refused(f"{field}: {error}", code=ErrorCode.INVALID) from None


def by_names(field: str, value: Mapping[str, Any]) -> dict[str, str]:
    """Return the names as they were written, by their ids. Raises `Refused` for two spellings of one name."""
    written: dict[str, str] = {}
    for each in value:
        first = written.setdefault(named(field, each), each)
        if first != each:
            raise Refused(
                f"{field}: {first!r} and {each!r} are one name, {named(field, each)}; name each once",
                code=ErrorCode.INVALID,
            )
    return written


def data_address(value: object) -> str:
    """Return a manager's `data` as text, from a path or a text."""
    address = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(address, str) or not address:
        raise Refused(
            f"data is a folder such as '.relman', ':memory:', or an address 'nats://…' {_got(value)}",
            code=ErrorCode.INVALID,
        )
    return address


def listed(field: str, value: object, such_as: str, *kinds: type) -> list[Any]:
    """Return a list whose elements are of `kinds`, or raise `Refused`. A text is no list of its letters."""
    if isinstance(value, str | bytes | bytearray | Mapping) or not isinstance(value, Iterable):
        raise Refused(f"{field} is a list, such as {such_as} {_got(value)}", code=ErrorCode.INVALID)
    elements = list(value)
    for index, element in enumerate(elements):
        if not isinstance(element, kinds):
            raise Refused(f"{field}[{index}] is not as in {such_as} {_got(element)}", code=ErrorCode.INVALID)
    return elements


def mapped(field: str, value: object, such_as: str) -> dict[str, Any]:
    """Return a mapping with texts for keys, or raise `Refused`."""
    if not isinstance(value, Mapping):
        raise Refused(f"{field} is a mapping, such as {such_as} {_got(value)}", code=ErrorCode.INVALID)
    for key in value:
        text(f"{field}: a key", key)
    return dict(value)


def plain(value: object) -> Any:
    """Return a value as JSON data: any mapping is an object, any sequence but a text a list. Other values stay."""
    try:
        return _plain(value)
    except RecursionError:
        raise Refused(
            "what was given contains itself, or is nested too deeply; JSON could not have it", code=ErrorCode.INVALID
        ) from None


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray | memoryview):
        return [_plain(item) for item in value]
    return value


def moment(field: str, value: object, zone: str = "UTC") -> str:
    """Return a time in UTC, as in records, from a `datetime`, RFC 3339, a date in `zone`, or an age (`"30d"`)."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise Refused(
                f"{field} has no time zone; write datetime(…, tzinfo=UTC) {_got(value)}", code=ErrorCode.INVALID
            )
        return timestamp(value.astimezone(UTC))
    try:
        if isinstance(value, date):
            return _midnight(value, zone)
        if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
            return _midnight(date.fromisoformat(value), zone)
        if isinstance(value, str) and re.fullmatch(r"(\d+(\.\d+)?(ms|s|m|h|d))+", value):
            return timestamp(datetime.now(UTC) - timedelta(seconds=float(str(seconds(value)))))
        return utc(text(field, value))
    except (ValueError, OverflowError, LookupError):
        raise Refused(
            f"{field} is a time such as 2026-11-23T09:30:00Z, a date, or how long ago, such as 30d {_got(value)}",
            code=ErrorCode.INVALID,
        ) from None


def _midnight(day: date, zone: str) -> str:
    return timestamp(datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC))


def window(since: object, until: object, zone: str) -> dict[str, str]:
    """Return the parameters of a metrics' window: by default the last 30 days."""
    try:
        time_zone(zone)
    except ValueError as error:
        raise Refused(str(error), code=ErrorCode.INVALID) from None
    end = timestamp(datetime.now(UTC)) if until is None else moment("until", until, zone)
    if since is None:
        return {"since": timestamp(datetime.fromisoformat(end) - timedelta(days=30)), "until": end, "time_zone": zone}
    return {"since": moment("since", since, zone), "until": end, "time_zone": zone}


def _got(value: object) -> str:
    return f"(got {redacted(repr(value))[:80]})"


def application_layer(field: str, value: object) -> Applications:
    """Return settings by application and component: `{"shop": {"components": {"web": {"port": 8080}}}}`."""
    such_as = "{'shop': {'components': {'web': {'port': 8080}}}}"
    stated = {} if value is None else mapped(f"{field}: applications", value, such_as)
    try:
        return _LAYER.validate_json(json.dumps(plain(stated), allow_nan=False))
    except ValidationError as error:
        raise Refused(f"{field}: applications: {explain(error)}", code=ErrorCode.INVALID) from None
    except (TypeError, ValueError):
        raise Refused(
            f"{field}: applications: JSON could not have this; write it as in {such_as}", code=ErrorCode.INVALID
        ) from None


def environment_data(name: str, stated: object, defaults: Applications | None = None) -> dict[str, Any]:
    """Return `environment.configure`'s data from people's input: `name` is the label, targets are a mapping.

    `defaults` are applications' settings of their components for every target. Raises `Refused`, before anything is
    sent, if it is no such command.
    """
    stated = mapped(f"environment {name}", stated, "{'tier': 'staging', 'order': 1}")
    known = {"name", "label", "tier", "order", "approval", "variables", "applications", "targets"}
    unknown = [key for key in stated if key not in known]
    if unknown:
        raise Refused(
            f"environment {name}: there is no {unknown[0]!r}; there are {', '.join(sorted(known))}",
            code=ErrorCode.INVALID,
        )
    data = {key: item for key, item in stated.items() if key not in ("name", "applications", "targets")}
    layers = [defaults or {}, application_layer(f"environment {name}", stated.get("applications"))]
    if "name" in stated:
        data["label"] = stated["name"]
    such_as = "{'main': {'executor': 'local'}}"
    targets = (
        {} if stated.get("targets") is None else mapped(f"environment {name}: targets", stated["targets"], such_as)
    )
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


def _target(environment: str, name: str, value: object, wider: Sequence[Applications]) -> dict[str, Any]:
    """Return a target from people's input: its key is its name, `name` in it is the label."""
    field = f"environment {environment}: target {name}"
    target = mapped(field, value, "{'executor': 'local'}")
    label = target.pop("name", None)
    own = application_layer(field, target.pop("applications", None))
    beside = target.get("components")
    try:
        applications = flattened([*wider, own], beside if isinstance(beside, Mapping) else ())
    except ValueError as error:
        raise Refused(f"{field}: {error}", code=ErrorCode.INVALID) from None
    if applications:
        target["applications"] = {each: {"components": components} for each, components in applications.items()}
    return {"name": name} | ({} if label is None else {"label": label}) | target


def reordered(known: Sequence[str], named: Sequence[str]) -> dict[str, int]:
    """Return the orders that bring the named environments into their own order; the others stay around them.

    `known` are the existing ones, in order. A new one comes after the one named before it. Empty if no order changes.
    """
    remaining = iter([name for name in named if name in known])
    arranged = [next(remaining) if name in named else name for name in known]
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


def options(field: str, stated: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a strategy's options; none where none are given."""
    return {} if stated is None else mapped(f"{field}: options", stated, "{'interval': '5m'}")
