"""The models of the file that `relman apply` takes. Unknown fields are refused, and no value is converted silently."""

import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, Field, JsonValue, ValidationError, model_validator

from release_management.domain.environment import (
    ApplicationComponents,
    ApprovalInput,
    Target,
)
from release_management.domain.layered_settings import (
    ApplicationLayer,
    Applications,
    flattened,
)
from release_management.domain.plan.strategies import StrategyName
from release_management.domain.policy import Gate, TriggerCondition
from release_management.domain.release import MAX_CHANGES, MAX_COMPONENTS
from release_management.domain.release_commands import ChangeInput, ComponentInput
from release_management.domain.tiers import Tier
from release_management.domain.variables import Variables
from release_management.domain.versions import Scheme
from release_management.kernel.errors import ErrorCode
from release_management.kernel.names import (
    ByName,
    GivenName,
    Written,
    by_id,
    id_of,
    identified,
)
from release_management.kernel.types import (
    Line,
    Name,
    Note,
    Percent,
    Refused,
    Seconds,
    Value,
    Version,
)
from release_management.services.manifest.yaml_file import (
    Place,
    YamlFile,
    read_yaml,
)

FOR_ANCHORS = "x-"
"""The beginning of top-level keys that are not read; their values are for anchors."""


class TargetPart(Value):
    """A target of an environment, without its name, which is the key."""

    label: Line | None = Field(None, description="the name for people; absent: the key")
    executor: Name = Field("local", description="who carries the steps out")
    routes: Literal["any", "none"] | tuple[Percent, ...] = Field(
        "any", description="which traffic shares it can set: any, none, or the listed ones in percent"
    )
    slots: Annotated[tuple[GivenName, ...], Field(min_length=1, max_length=8)] = Field(
        ("blue", "green"), description="the physical stands that a version can occupy"
    )
    reversible: bool = Field(True, description="whether there is a way back")
    labels: ByName[Line] = Field({}, description="labels of your own")
    components: ByName[dict[str, JsonValue]] = Field({}, description="each component's settings")
    applications: ByName[ApplicationLayer] = Field({}, description="what is otherwise here than in the environment")

    def named(self, name: str, wider: Sequence[Applications] = ()) -> Target:
        """Return the target with its name and with the settings of `wider` layers. Raises `ValueError`."""
        own = flattened([*wider, self.applications], self.components)
        applications = {each: ApplicationComponents(components=components) for each, components in own.items()}
        return Target(name=name, **{**dict(self), "applications": applications or None})


class EnvironmentPart(Value):
    """An environment; fields that are not given stay as they are. `name` is its label."""

    name: Line | None = Field(None, description="the name for people; absent: the key")
    label: Line | None = Field(None, description="the same")
    tier: Tier | None = Field(None, description="absent: what the name suggests")
    order: Annotated[int, Field(ge=0, le=10_000)] | None = Field(None, description="its place among the environments")
    approval: ApprovalInput | None = Field(
        None, description="how many must agree, and who may; a new environment of tier production asks for one"
    )
    variables: Variables | None = Field(
        None, description="environment variables of every process there; `env:NAME` and `file:PATH` are references"
    )
    applications: ByName[ApplicationLayer] = Field({}, description="what is otherwise here than in the defaults")
    targets: ByName[TargetPart] = Field({}, description="targets by name; the usual one is `main`")


class PipelinePart(Value):
    """A pipeline. `stages` absent: every environment, in order."""

    label: Line | None = Field(None, description="the name for people; absent: the key")
    application: GivenName = Field(description="the application whose releases walk it")
    stages: Annotated[tuple[GivenName, ...], Field(min_length=1, max_length=100)] | None = Field(
        None, description="the environments in their order"
    )


class PolicyPart(Value):
    """The policy of an application (`shop`), or of one in an environment (`shop/production`).

    `strategy` is the default, with its `options`; `strategies` holds several strategies' options. Rollbacks to a
    success within the `rollback_window` require neither approval nor gates; it is 7 days unless stated.
    """

    strategy: StrategyName | None = Field(None, description="the default strategy")
    options: dict[str, JsonValue] | None = Field(None, description="its options")
    strategies: dict[StrategyName, dict[str, JsonValue]] = Field(
        {}, description="options of several strategies, by strategy"
    )
    triggers: Annotated[tuple[TriggerCondition, ...], Field(max_length=50)] | None = Field(
        None, description="when to roll back; recorded, not armed yet"
    )
    versions: Scheme | None = Field(
        None, description="how the application numbers its releases: `semver`, `calendar`, or `any`"
    )
    gates: Annotated[ByName[Gate], Field(max_length=50)] | None = Field(None, description="gates by name")
    rollback_window: Seconds | None = Field(
        None,
        description="how long after its success a version may be gone back to without approval and gates; 7 days "
        "unless stated",
    )


class ReleasePart(Value):
    """A release, as `relman release create` makes it."""

    application: Written = Field(description="the application")
    label: Line | None = Field(None, description="the application's name for people; absent: as it was written")
    version: Version = Field(description="the version")
    components: Annotated[tuple[Written | ComponentInput, ...], Field(min_length=1, max_length=MAX_COMPONENTS)] = Field(
        description="names, or components spelled out"
    )
    changelog: Annotated[tuple[Note, ...], Field(max_length=100)] = Field(
        (), description="what is new, one text per line"
    )
    changes: Annotated[tuple[ChangeInput, ...], Field(max_length=MAX_CHANGES)] = Field(
        (), description="the commits that it brings"
    )
    draft: bool = Field(False, description="a draft cannot be deployed until it is published")
    partial: bool = Field(
        False,
        description="it brings only these components, and the rest stays as it is; without it, others are stopped",
    )

    @model_validator(mode="after")
    def _identify(self) -> Self:
        return identified(self, "application")

    @property
    def ref(self) -> str:
        """`application@version`."""
        return f"{self.application}@{self.version}"

    @property
    def component_inputs(self) -> tuple[ComponentInput, ...]:
        """Return the components, each spelled out."""
        return tuple(ComponentInput(name=part) if isinstance(part, str) else part for part in self.components)


def _scope_of(written: str) -> str:
    application, slash, environment = written.partition("/")
    return f"{id_of(application)}/{id_of(environment)}" if slash else id_of(application)


class Manifest(Value):
    """The whole file. `applications` holds the defaults of their components, for every target in it."""

    applications: ByName[ApplicationLayer] = Field(
        {}, description="defaults of applications' components, for every target in the file"
    )
    environments: ByName[EnvironmentPart] = Field(
        {}, description="environments by name; a new one goes to the end of the order"
    )
    pipelines: ByName[PipelinePart] = Field({}, description="pipelines by name")
    policies: Annotated[dict[str, PolicyPart], AfterValidator(lambda given: by_id(given, _scope_of))] = Field(
        {}, description="policies by scope: `shop`, or `shop/production`"
    )
    releases: tuple[ReleasePart, ...] = Field((), description="releases to create")


def read_manifest(name: str, text: bytes) -> tuple[Manifest, YamlFile]:
    """Read and check the text of a file with this name.

    Raises `Refused` with the path inside the file, the line, and what would be right.
    """
    file = read_yaml(name, text)
    if not isinstance(file.content, dict):
        raise Refused(
            f"{file.name} is no mapping; it begins with one of {', '.join(Manifest.model_fields)}",
            code=ErrorCode.INVALID,
        )
    content = {key: value for key, value in file.content.items() if not key.startswith(FOR_ANCHORS)}
    try:
        return Manifest.model_validate_json(json.dumps(content)), file
    except ValidationError as error:
        problems = [str(file.refusal(*problem)) for problem in _problems(error, file)]
        raise Refused("; ".join(problems[:3]), code=ErrorCode.INVALID) from None


def _problems(error: ValidationError, file: YamlFile) -> Iterator[tuple[Place, str]]:
    """Yield each fault with its place; of a union's faults only the deepest."""
    found = error.errors(include_url=False, include_context=False)
    places = [_in_file(item["loc"], file) for item in found]
    for item, place in zip(found, places, strict=True):
        if any(len(other) > len(place) and other[: len(place)] == place for other in places):
            continue
        if item["type"] == "extra_forbidden":
            known = ", ".join(_known_keys(place[:-1])) or "none"
            yield place, f"there is no such key; there are {known}"
        elif item["type"] == "missing":
            yield place, "it is missing"
        else:
            shown = repr(item["input"])
            message = item["msg"].removeprefix("Value error, ")
            yield place, message if shown in message else f"{message} (got {shown[:80]})"


def _in_file(location: Sequence[str | int], file: YamlFile) -> Place:
    """Return the path without the names that pydantic gives to a union's members, and its mark for keys."""
    place: Place = ()
    for index, piece in enumerate(location):
        if (*place, piece) in file.lines or index == len(location) - 1:
            place = (*place, piece) if piece != "[key]" else place
    return place


def _known_keys(place: Place) -> list[str]:
    """Return the keys that are valid at a path."""
    models: list[type[BaseModel]] = [Manifest]
    for piece in place:
        fields = [model.model_fields[piece] for model in models if piece in model.model_fields]
        if fields:
            models = [model for each in fields for model in _models_in(each.annotation)]
    return list(dict.fromkeys(name for model in models for name in model.model_fields))


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
