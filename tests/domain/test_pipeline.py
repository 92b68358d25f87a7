"""Pipeline: the order of the stages."""

import pytest

from release_management.domain.pipeline import (
    ConfigurePipeline,
    Pipeline,
    PipelineConfigured,
    Stage,
    decide,
    evolve,
    walked,
)
from release_management.kernel.types import Refused

ENVIRONMENTS = ("dev", "staging", "production")


def test_each_stage_asks_for_success_in_the_one_before() -> None:
    facts = decide(ConfigurePipeline(name="main", stages=("dev", "production")), Pipeline(), ENVIRONMENTS)

    assert facts == [
        PipelineConfigured(
            name="main",
            application="default",
            stages=(Stage(environment="dev"), Stage(environment="production", requires=("dev",))),
        )
    ]


def test_without_stages_it_walks_every_environment_in_order() -> None:
    (fact,) = decide(ConfigurePipeline(name="main"), Pipeline(), ENVIRONMENTS)

    assert tuple(stage.environment for stage in fact.stages) == ENVIRONMENTS


def test_a_repeated_configuration_records_nothing() -> None:
    command = ConfigurePipeline(name="main", stages=("dev",))
    (fact,) = decide(command, Pipeline(), ENVIRONMENTS)

    assert decide(command, evolve(Pipeline(), fact), ENVIRONMENTS) == []
    assert decide(ConfigurePipeline(name="main"), evolve(Pipeline(), fact), ENVIRONMENTS) != []


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
    with pytest.raises(Refused) as refusal:
        decide(ConfigurePipeline(name="main", stages=stages), Pipeline(), environments)
    assert str(refusal.value) == reason


# A pipeline that has changed since a release was created

WALK = (
    Stage(environment="dev"),
    Stage(environment="staging", requires=("dev",)),
    Stage(environment="production", requires=("staging",)),
)


def configured(*names: str) -> Pipeline:
    [fact] = decide(ConfigurePipeline(name="main", stages=names), Pipeline(), names)
    return evolve(Pipeline(), fact)


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
