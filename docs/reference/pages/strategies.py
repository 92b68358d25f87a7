"""The page on strategies and their options."""

from collections.abc import Iterator

from docs.reference.fields import doc, fields_table, meaning, row
from docs.reference.layout import page
from release_management.domain.plan.builder import RolloutTarget
from release_management.domain.plan.compiler import compile_plan
from release_management.domain.plan.strategies import STRATEGIES
from release_management.domain.plan.strategies.canary import CanaryStep
from release_management.domain.plan.strategy import Strategy


def text() -> str:
    """Return the page on every strategy with its options."""

    def listed() -> Iterator[str]:
        for strategy, model in STRATEGIES.items():
            yield from (f"## {strategy}", "", *doc(model).splitlines(), "", *fields_table(model, first="option"))
            yield "With its defaults, two replicas and an earlier version that serves, it compiles to:"
            yield from ("", "```text", *example_plan(model), "```", "")
        yield from ("## A canary's steps", "", "`steps` is a list; each item has exactly one of these keys.", "")
        yield from ("| step | meaning |", "|---|---|")
        yield from (row(f"`{name}`", meaning(CanaryStep, name)) for name in CanaryStep.model_fields)
        yield ""

    return page(
        "Strategies",
        """
        A strategy compiles a release to a [plan](../discussions/concepts.md#plans-and-steps). Its options come from the
        policy of the application, the policy of the application in the environment, the release's own canary share,
        and the deployment itself: the later one wins, option by option. Without any policy the strategy is `rolling`.
        A first deployment at a place has no earlier version, so it routes all traffic at once and says so.
        """,
        listed(),
    )


def example_plan(model: type[Strategy]) -> Iterator[str]:
    """The steps of a plan, and the way back."""
    stand = RolloutTarget(target="main", component="web", serving=True, replicas=2)
    made = compile_plan(model(), "1.1.0", [stand])
    for number, step in enumerate(made.forward, 1):
        yield f"{number:2}  {step.describe()}"
    yield "back"
    for number, step in enumerate(made.rollback, 1):
        yield f"{number:2}  {step.describe()}"
