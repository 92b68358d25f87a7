"""Types in words, and tables of fields, for the reference pages."""

import inspect
import tomllib
import types
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, BeforeValidator, JsonValue
from pydantic.fields import FieldInfo

from release_management.domain import condition, configuration_difference, incident, layered_settings, plan, release
from release_management.domain.component import Component
from release_management.domain.configuration import Configuration
from release_management.domain.deployment.events import Return
from release_management.domain.deployment.state import DeploymentPhase
from release_management.domain.environment import (
    ApplicationComponents,
    ApprovalInput,
    ApprovalRule,
    Target,
)
from release_management.domain.pipeline import Stage
from release_management.domain.plan import Binding
from release_management.domain.plan.strategies.canary import (
    CanaryStep,
    PauseOption,
    SetScale,
)
from release_management.domain.plan.strategies.rolling import Portion
from release_management.domain.policy import Gate, TriggerCondition
from release_management.domain.release_commands import ChangeInput, ComponentInput, ReleaseRef
from release_management.kernel import names, timestamps
from release_management.kernel import types as words
from release_management.projections.kit.paging import Cursor, Limit

MEANINGS: Mapping[str, Mapping[str, str]] = tomllib.loads(Path(__file__).with_name("meanings.toml").read_text())

WORDS: tuple[tuple[str, Any, str], ...] = (
    ("name", words.Name, "1 to 63 of `a-z`, `0-9` and `-`, beginning with a letter or a digit"),
    (
        "label",
        names.GivenName,
        "a name as people write it, at most 500 characters; its id is derived from it: `Main Pipeline` and "
        "`main_pipeline` are `main-pipeline`, see [Names](../discussions/concepts.md#names)",
    ),
    ("label", names.Written, ""),
    (
        "version",
        words.Version,
        "`1.4.0`, `2.0.0-rc.1`; others where the application [takes them](commands.md#policyconfigure_versions)",
    ),
    ("release", ReleaseRef, "`application@version`"),
    ("release", names.GivenRef, ""),
    ("line", words.Line, "1 to 500 characters on one line"),
    ("text", words.Note, "at most 4,000 characters"),
    ("percent", words.Percent, "a whole number from 0 to 100"),
    ("duration", words.Seconds, 'seconds as a number, or a text such as `"90s"`, `"5m"`, `"1h30m"`; at most 366 days'),
    ("replicas", words.Replicas, "a whole number from 1 to 100"),
    ("portion", Portion, 'a number of replicas from 0 to 100, or a percentage such as `"25%"`'),
    ("digest", words.Digest, "SHA-256 in hexadecimal"),
    ("actor", words.ActorId, "`usr_…`, `svc_…` or `system:…`, see [privacy](../discussions/privacy.md)"),
    ("time", timestamps.Moment, "RFC 3339 with a zone; records hold UTC with microseconds and `Z`"),
    ("time", release.Timestamp, ""),
    ("zone", timestamps.Zone, "an IANA time zone: `UTC`, `Europe/Berlin`"),
    ("cause", incident.Cause, "a deployment's id, or `none`"),
    ("commit", release.Commit, "4 to 80 of `0-9 A-Z a-z . _ / -`"),
    ("id", words.Id, "a UUID"),
    ("code", words.KnownCode, "one of [the codes](errors.md) of a refusal or an error"),
    ("limit", Limit, "a whole number from 1 to 1,000"),
    ("cursor", Cursor, "a text of ours that says where a page begins; give it as it came"),
    ("json", JsonValue, "any JSON value"),
)
SHAPES: tuple[type[BaseModel], ...] = (
    words.Personal,
    words.Verdict,
    ApprovalRule,
    ApprovalInput,
    Target,
    ApplicationComponents,
    layered_settings.ApplicationLayer,
    Stage,
    TriggerCondition,
    Gate,
    ComponentInput,
    ChangeInput,
    Component,
    release.Change,
    CanaryStep,
    PauseOption,
    SetScale,
    plan.Plan,
    plan.PlannedChange,
    configuration_difference.Difference,
    *plan.STEPS.values(),
    Binding,
    condition.SeenSlot,
    condition.SlotCondition,
    Return,
    Configuration,
    *plan.ACTIONS.values(),
)
UNIONS: tuple[tuple[str, Any], ...] = (("step", plan.AnyStep), ("action", plan.Action))
SEE: Mapping[str, str] = {
    "options": "[Strategies](strategies.md)",
    "tier": "[Settings](settings.md#tiers)",
    "Target.components": "[Settings](settings.md)",
}
"""Pages that say more, by the field, or by its model and the field."""


def type_of(hint: Any) -> str:
    """A type in words, with links to `types.md`."""
    if hint is type(None):
        return "nothing"
    for word, alias, _ in WORDS:
        if hint is alias:
            return f"[{word}](types.md#words)"
    for word, alias in UNIONS:
        if get_args(hint)[:1] == get_args(alias)[:1] and get_args(hint):
            return f"[{word}](types.md#{word}s)"
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated and any(isinstance(part, BeforeValidator) and part.func is words.seconds for part in parts):
        return f"[duration](types.md#words){limits(parts[1:])}"
    if origin is Annotated:
        return type_of(parts[0]) + limits(parts[1:])
    if origin is Literal:
        return " or ".join(f"`{part}`" for part in parts)
    if origin in (Union, types.UnionType):
        return " or ".join(type_of(part) for part in parts if part is not type(None))
    if origin in (tuple, list):
        return f"list of {type_of(parts[0])}"
    if origin is dict:
        return f"map from {type_of(parts[0])} to {type_of(parts[1])}"
    return plain_type(hint)


def plain_type(hint: Any) -> str:
    """A class in words."""
    if isinstance(hint, type) and issubclass(hint, Enum):
        return " or ".join(f"`{item.value}`" for item in hint if item.value != DeploymentPhase.ABSENT.value)
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return f"[{hint.__name__}](#{hint.__name__.lower()})" if hint not in SHAPES else shape_link(hint)
    return {str: "text", int: "integer", float: "number", bool: "true or false"}[hint]


def shape_link(model: type[BaseModel]) -> str:
    """A link to a shape in `types.md`."""
    return f"[{model.__name__}](types.md#{model.__name__.lower()})"


def limits(constraints: Iterable[Any]) -> str:
    """A field's constraints in words: a range, or a length."""
    found: dict[str, Any] = {}
    for constraint in constraints:
        for each in constraint.metadata if isinstance(constraint, FieldInfo) else (constraint,):
            found |= {key: getattr(each, key) for key in ("ge", "le", "min_length", "max_length") if hasattr(each, key)}
    found = {key: value for key, value in found.items() if value is not None}
    if "ge" in found and "le" in found and found["le"] < 2**60:
        return f" from {found['ge']:,} to {found['le']:,}"
    if "ge" in found:
        return f" from {found['ge']:,}"
    if "min_length" in found and "max_length" in found:
        return f", {found['min_length']} to {found['max_length']}"
    if "max_length" in found:
        return f", at most {found['max_length']}"
    return ", at least one" if found.get("min_length") == 1 else ""


class Meanings:
    """The texts of `meanings.toml`; remembers which were used."""

    used: ClassVar[set[tuple[str, str]]] = set()

    @classmethod
    def of(cls, kind: str, key: str) -> str:
        """Return the meaning of something that is no field of a model."""
        if key not in MEANINGS[kind]:
            raise LookupError(f'docs/reference/meanings.toml, [{kind}]: add a line "{key}" = "…"')
        cls.used.add((kind, key))
        return MEANINGS[kind][key]

    @classmethod
    def unused(cls) -> list[str]:
        """Return the texts without a field."""
        return [f"[{k}] {key}" for k, texts in MEANINGS.items() for key in texts if (k, key) not in cls.used]


def fields_table(model: type[BaseModel], *, hide: Iterable[str] = (), first: str = "field") -> list[str]:
    """A model's fields: name, type, whether it is needed, meaning."""
    hints = get_type_hints(model, include_extras=True)
    shown = {name: field for name, field in model.model_fields.items() if name not in hide}
    if not shown:
        return ["No fields.", ""]
    lines = [f"| {first} | type | default | meaning |", "|---|---|---|---|"]
    for name, field in shown.items():
        type_text = type_of(hints[name])
        if field.metadata and get_origin(hints[name]) is not Annotated:
            type_text += limits(field.metadata)
        lines.append(row(f"`{name}`", type_text, default_of(field), meaning(model, name)))
    return [*lines, ""]


def meaning(model: type[BaseModel], name: str) -> str:
    """Return what a field means, with a link to the page that says more."""
    said = model.model_fields[name].description
    if said is None:
        raise LookupError(f"{model.__module__}.{model.__name__}.{name} has no meaning: write Field(description=…)")
    more = SEE.get(f"{model.__name__}.{name}") or SEE.get(name)
    return f"{said}, see {more}" if more else said


def row(*cells: str) -> str:
    """A line of a table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def default_of(field: FieldInfo) -> str:
    """Return a default as JSON; **needed** if there is none."""
    if field.is_required():
        return "**needed**"
    value = field.get_default(call_default_factory=True)
    if value is None or value in ((), {}, []):
        return "–"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{int(value)}`" if value.is_integer() else f"`{value:g}`"
    if isinstance(value, BaseModel):
        return "–"
    return ", ".join(f"`{item}`" for item in value) if isinstance(value, tuple | list) else f"`{value}`"


def doc(thing: object, skip: str = "") -> str:
    """A docstring as text for Markdown."""
    text = inspect.cleandoc(getattr(thing, "__doc__", None) or "")
    if not text:
        raise LookupError(f"{thing} has no docstring")
    return text.removesuffix(skip)
