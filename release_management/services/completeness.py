"""The check at start that everything which is declared stands in its list.

Queries, projections and handlers are gathered from the modules of their folders; a list names the rest.
"""

from release_management.domain.aggregates import AGGREGATES
from release_management.domain.plan.step import Step, StepAction
from release_management.domain.plan.steps import ACTIONS, STEPS
from release_management.domain.plan.strategies import STRATEGIES
from release_management.domain.plan.strategy import Strategy
from release_management.domain.registry import FACTS
from release_management.kernel.aggregate import Aggregate
from release_management.kernel.gathering import classes_of, instances_of, require_listed
from release_management.kernel.types import Command, Fact
from release_management.services.use_cases import COMMANDS

DOMAIN = "release_management.domain"


def check_declarations(package: str = DOMAIN) -> None:
    """Raise `NotListedError` if something is declared below a package of the domain that stands in no list."""
    aggregates = instances_of(package, Aggregate)
    require_listed(aggregates, AGGREGATES.values(), "add it to `_ALL` of domain/aggregates.py")
    facts = (fact for fact in classes_of(package, Fact) if "NAME" in vars(fact))
    require_listed(facts, FACTS.values(), "add it to the union of its aggregate's events")
    commands = (command for command in classes_of(package, Command) if "NAME" in vars(command))
    handled = (command for command, _ in COMMANDS.values())
    require_listed(commands, handled, "add it with its handler to `HANDLERS` of a module of services/use_cases")
    steps = (step for step in classes_of(package, Step) if "verb" in step.model_fields)
    require_listed(steps, STEPS.values(), "add it to `AnyStep` of domain/plan/steps/__init__.py")
    actions = (action for action in classes_of(package, StepAction) if "verb" in action.model_fields)
    require_listed(actions, ACTIONS.values(), "add it to `Action` of domain/plan/steps/__init__.py")
    strategies = (strategy for strategy in classes_of(package, Strategy) if "NAME" in vars(strategy))
    require_listed(strategies, STRATEGIES.values(), "add it to `_DECLARED` of domain/plan/strategies/__init__.py")
