"""Pipeline: the order of the stages."""

import pytest

from release_management.domain.pipeline import (
    PIPELINE,
    ConfigurePipeline,
    Pipeline,
    PipelineConfigured,
    PipelineFacts,
    Stage,
    decide,
    walked,
)
from tests.domain.specification import Specification

ENVIRONMENTS = ("dev", "staging", "production")
PIPELINES = Specification(PIPELINE, decide, PipelineFacts(ENVIRONMENTS))


def test_each_stage_asks_for_success_in_the_one_before() -> None:
    PIPELINES.given().when(ConfigurePipeline(name="main", stages=("dev", "production"))).then(
        PipelineConfigured(
            name="main",
            application="default",
            stages=(Stage(environment="dev"), Stage(environment="production", requires=("dev",))),
        )
    )


def test_without_stages_it_walks_every_environment_in_order() -> None:
    (fact,) = PIPELINES.given().when(ConfigurePipeline(name="main")).facts

    assert tuple(stage.environment for stage in fact.stages) == ENVIRONMENTS


def test_a_repeated_configuration_records_nothing() -> None:
    command = ConfigurePipeline(name="main", stages=("dev",))
    pipeline = PIPELINES.given().when(command).after

    pipeline.when(command).then_nothing()
    assert pipeline.when(ConfigurePipeline(name="main")).names == ["configured"]


@pytest.mark.parametrize(
    ("stages", "environments", "reason"),
    [
        ((), ENVIRONMENTS, "pipeline main: it has no stage; configure an environment first"),
        (None, (), "pipeline main: it has no stage; configure an environment first"),
        (
            ("dev", "dev"),
            ENVIRONMENTS,
            "pipeline main: an environment stands twice in dev, dev; name each once",
        ),
        (
            ("dev", "moon"),
            ENVIRONMENTS,
            "pipeline main: environment 'moon' does not exist; known: dev, staging, production",
        ),
        (("moon",), (), "pipeline main: environment 'moon' does not exist; known: none yet"),
    ],
)
def test_stages_that_make_no_pipeline_are_refused(
    stages: tuple[str, ...] | None, environments: tuple[str, ...], reason: str
) -> None:
    PIPELINES.given().when(ConfigurePipeline(name="main", stages=stages), environments=environments).then_refused(
        reason
    )


# A pipeline that has changed since a release was created

WALK = (
    Stage(environment="dev"),
    Stage(environment="staging", requires=("dev",)),
    Stage(environment="production", requires=("staging",)),
)


def configured(*names: str) -> Pipeline:
    return PIPELINES.given().when(ConfigurePipeline(name="main", stages=names), environments=names).after.state


def test_a_stage_that_the_pipeline_has_lost_is_required_no_more_but_what_it_required_is() -> None:
    assert walked(WALK, configured("dev", "production"), ENVIRONMENTS) == (
        Stage(environment="dev"),
        Stage(environment="production", requires=("dev",)),
    )


def test_a_stage_whose_environment_is_retired_is_lost() -> None:
    assert walked(WALK, configured("dev", "staging", "production"), ("staging", "production")) == (
        Stage(environment="staging"),
        Stage(environment="production", requires=("staging",)),
    )


def test_a_stage_that_the_pipeline_has_gained_may_be_entered_and_holds_no_earlier_release() -> None:
    before = (Stage(environment="dev"), Stage(environment="production", requires=("dev",)))

    assert walked(before, configured("dev", "staging", "production"), ENVIRONMENTS) == (*before, WALK[1])


def test_a_release_that_walks_no_pipeline_walks_none_later() -> None:
    assert walked((), configured("dev", "staging"), ENVIRONMENTS) == ()


def test_without_a_pipeline_to_compare_with_the_stages_of_its_creation_hold() -> None:
    assert walked(WALK, Pipeline(), ENVIRONMENTS) == WALK
