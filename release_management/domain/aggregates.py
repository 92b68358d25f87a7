"""The aggregates by name, and the folding of any stream."""

from collections.abc import Iterable
from typing import Any

from release_management.domain.approval import APPROVAL
from release_management.domain.deployment.state import DEPLOYMENT
from release_management.domain.environment import ENVIRONMENT
from release_management.domain.environment_index import ESTATE
from release_management.domain.holdings import HOLDINGS
from release_management.domain.incident import INCIDENT
from release_management.domain.pipeline import PIPELINE
from release_management.domain.place import PLACE
from release_management.domain.policy import POLICY
from release_management.domain.release import RELEASE
from release_management.kernel.aggregate import Aggregate, aggregate_of
from release_management.kernel.gathering import gathered
from release_management.kernel.types import Fact

AnyAggregate = Aggregate[Any, Any, ...]


_ALL: tuple[AnyAggregate, ...] = (
    ENVIRONMENT,
    ESTATE,
    HOLDINGS,
    PIPELINE,
    POLICY,
    RELEASE,
    PLACE,
    APPROVAL,
    INCIDENT,
    DEPLOYMENT,
)
AGGREGATES = gathered((each.name, each) for each in _ALL)


def fold(stream: str, facts: Iterable[Fact], state: Any = None) -> Any:
    """Return the stream's state after the facts, starting from `state` or the initial state."""
    aggregate = AGGREGATES[aggregate_of(stream)]
    state = aggregate.initial if state is None else state
    for fact in facts:
        state = aggregate.evolve(state, fact)
    return state
