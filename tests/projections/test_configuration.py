from release_management.domain.environment import (
    ApprovalRule,
    EnvironmentConfigured,
    Target,
    TargetConfigured,
)
from release_management.domain.pipeline import PipelineConfigured, Stage
from release_management.domain.policy import (
    Gate,
    PolicyGatesConfigured,
    PolicyPipelineChosen,
    PolicyStrategyConfigured,
    PolicyTriggersConfigured,
    TriggerCondition,
)
from tests.projections.conftest import Ask
from tests.projections.event_script import EventScript, at


def configure(script: EventScript, name: str, order: int) -> None:
    rule = ApprovalRule(required=1)
    configured = EnvironmentConfigured(name=name, label=name.title(), tier="production", order=order, approval=rule)
    script.tell(f"environment:{name}", configured)


def test_environments_come_in_their_order_with_their_targets(script: EventScript, ask: Ask) -> None:
    configure(script, "production", 2)
    configure(script, "staging", 1)
    script.tell("environment:production", TargetConfigured(target=Target(name="eu")))
    script.tell("environment:production", TargetConfigured(target=Target(name="apac", slots=("one",))))
    script.tell("environment:production", TargetConfigured(target=Target(name="eu", executor="docker")))

    assert [row["name"] for row in ask("environments")] == ["staging", "production"]
    (row,) = ask("environment", name="production")
    assert [(target["name"], target["executor"]) for target in row["targets"]] == [("apac", "local"), ("eu", "docker")]
    assert row["approval"] == {"required": 1, "approvers": [], "allow_self": False}
    assert row["configured"] == at(5)


def test_configuring_an_environment_again_keeps_its_targets(script: EventScript, ask: Ask) -> None:
    configure(script, "production", 1)
    script.tell("environment:production", TargetConfigured(target=Target()))
    configure(script, "production", 7)

    (row,) = ask("environment", name="production")
    assert row["order"] == 7
    assert [target["name"] for target in row["targets"]] == ["main"]


def test_a_policy_gathers_what_was_configured_for_its_scope(script: EventScript, ask: Ask) -> None:
    condition = TriggerCondition(metric="error_rate", threshold=0.05, duration_seconds=60.0)
    script.tell(
        "policy:shop/production",
        PolicyStrategyConfigured(strategy="canary", options={"increment": 20}),
        PolicyTriggersConfigured(conditions=(condition,)),
        PolicyGatesConfigured(gates={"tests": Gate()}),
        PolicyStrategyConfigured(strategy="rolling"),
    )
    script.tell("policy:shop", PolicyPipelineChosen(pipeline="main"))

    everywhere, production = ask("policies")
    assert (everywhere["scope"], everywhere["environment"], everywhere["pipeline"]) == ("shop", None, "main")
    assert (production["application"], production["environment"], production["default"]) == (
        "shop",
        "production",
        "rolling",
    )
    assert production["strategies"] == {"canary": {"increment": 20}, "rolling": {}}
    assert production["triggers"] == [{"metric": "error_rate", "threshold": 0.05, "duration_seconds": 60.0}]
    assert production["gates"] == {"tests": {"required": True}}


def test_a_pipeline_has_the_stages_that_were_stated_last(script: EventScript, ask: Ask) -> None:
    stages = (Stage(environment="staging"), Stage(environment="production", requires=("staging",)))
    script.tell("pipeline:main", PipelineConfigured(name="main", application="shop", stages=stages[:1]))
    script.tell("pipeline:main", PipelineConfigured(name="main", application="shop", stages=stages))

    (row,) = ask("pipelines")
    assert row["stages"] == [
        {"environment": "staging", "requires": []},
        {"environment": "production", "requires": ["staging"]},
    ]
