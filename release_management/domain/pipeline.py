"""Pipeline: the order in which an application's releases walk the environments. Stream `pipeline:<name>`."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from release_management.kernel.aggregate import Aggregate, itself
from release_management.kernel.errors import ErrorCode
from release_management.kernel.names import GivenName, Labelled
from release_management.kernel.suggestions import does_not_exist
from release_management.kernel.types import (
    Command,
    Fact,
    Line,
    Name,
    Refused,
    Value,
)


class Stage(Value):
    """An environment, and the environments in which a release must have succeeded before it may enter."""

    environment: Name = Field(description="the environment")
    requires: tuple[Name, ...] = Field((), description="the environments in which a release must have succeeded before")


# Events


class PipelineConfigured(Fact):
    """The pipeline has these stages from now on; releases created later follow it."""

    NAME: ClassVar[str] = "pipeline.configured"
    name: Name = Field(description="its name")
    application: Name = Field(description="the application")
    stages: tuple[Stage, ...] = Field(description="the environments in their order, with what each requires")
    label: Line | None = Field(
        None, description="the name for people; absent: as it was written, where that is not the id"
    )

    def _summary(self) -> str:
        return f"pipeline {self.name}: {' → '.join(stage.environment for stage in self.stages)}"


# Commands


class ConfigurePipeline(Command, Labelled):
    """State a pipeline and make it the application's own. `stages` None: every environment, in order."""

    NAME: ClassVar[str] = "pipeline.configure"
    application: GivenName = Field("default", description="the application")
    stages: Annotated[tuple[GivenName, ...], Field(max_length=100)] | None = Field(
        None, description="the environments in their order; absent: all of them"
    )


# State


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The state of a pipeline; `name` is empty while it does not exist."""

    name: str = ""
    application: str = ""
    stages: tuple[Stage, ...] = ()
    label: str | None = None


def evolve(state: Pipeline, event: PipelineConfigured) -> Pipeline:
    """Apply one fact."""
    return Pipeline(event.name, event.application, event.stages, event.label)


# Decisions


@dataclass(frozen=True, slots=True)
class PipelineFacts:
    """The further input of a decision on a pipeline: the environments that exist, in order."""

    environments: tuple[str, ...] = ()


def decide(command: ConfigurePipeline, state: Pipeline, facts: PipelineFacts) -> list[PipelineConfigured]:
    """Configure the pipeline. Each stage requires success in the stage before."""
    if state.name:
        check_owner(command.name, command.application, state.application)
    environments = facts.environments
    names = environments if command.stages is None else command.stages
    if not names:
        raise Refused(
            f"pipeline {command.name}: it has no stage; configure an environment first", code=ErrorCode.INVALID
        )
    if len(set(names)) != len(names):
        raise Refused(
            f"pipeline {command.name}: an environment stands twice in {', '.join(names)}; name each once",
            code=ErrorCode.INVALID,
        )
    unknown = [name for name in names if name not in environments]
    if unknown:
        raise Refused(
            f"pipeline {command.name}: {does_not_exist('environment', unknown[0], environments)}",
            code=ErrorCode.NOT_FOUND,
        )
    stages = tuple(
        Stage(environment=name, requires=(names[index - 1],) if index else ()) for index, name in enumerate(names)
    )
    event = PipelineConfigured(
        name=command.name, application=command.application, stages=stages, label=command.label or state.label
    )
    return [] if evolve(state, event) == state else [event]


def check_owner(name: str, application: str, owner: str) -> None:
    """Refuse to let an application use the pipeline of another one, whose stages its releases would follow."""
    if application != owner:
        raise Refused(
            f"pipeline {name}: that name is taken by the pipeline of application {owner}; "
            f"give the one of application {application} another",
            code=ErrorCode.CONFLICT,
        )


def walked(stages: tuple[Stage, ...], pipeline: Pipeline, environments: tuple[str, ...]) -> tuple[Stage, ...]:
    """Return the stages that a release follows: those of its creation without those that no longer exist.

    A stage that required a lost stage requires that stage's own requirements instead. Stages that were added to the
    pipeline since may be entered too. `environments` are those that are not retired.
    """
    remaining = (
        {stage.environment for stage in pipeline.stages} if pipeline.name else {stage.environment for stage in stages}
    )
    remaining &= set(environments)
    required = {stage.environment: stage.requires for stage in (*pipeline.stages, *stages)}

    def bridged(names: tuple[str, ...], seen: frozenset[str] = frozenset()) -> tuple[str, ...]:
        found: list[str] = []
        for name in names:
            if name in remaining:
                found.append(name)
            elif name not in seen:
                found += bridged(required.get(name, ()), seen | {name})
        return tuple(dict.fromkeys(found))

    own = {stage.environment for stage in stages}
    gained = tuple(stage for stage in pipeline.stages if stage.environment not in own) if stages else ()
    return tuple(
        Stage(environment=stage.environment, requires=bridged(stage.requires))
        for stage in (*stages, *gained)
        if stage.environment in remaining
    )


# Declaration


PIPELINE = Aggregate("pipeline", Pipeline(), PipelineConfigured, evolve, itself)
