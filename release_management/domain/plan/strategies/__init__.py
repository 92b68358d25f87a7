"""Every strategy: a file here for each, and a line in the list.

A strategy is a compiler: it makes a plan from options and the present versions at the places. Option names and defaults
follow Argo Rollouts, Kubernetes and CodeDeploy; every duration is seconds or text ("5m").
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import JsonValue, ValidationError

from release_management.domain.plan.strategies.blue_green import BlueGreen
from release_management.domain.plan.strategies.canary import Canary
from release_management.domain.plan.strategies.recreate import Recreate
from release_management.domain.plan.strategies.rolling import Rolling
from release_management.domain.plan.strategy import Strategy
from release_management.kernel.errors import ErrorCode
from release_management.kernel.gathering import gathered
from release_management.kernel.types import Refused, explain

_DECLARED: tuple[type[Strategy], ...] = (Recreate, Rolling, BlueGreen, Canary)
STRATEGIES: Mapping[str, type[Strategy]] = gathered((strategy.NAME, strategy) for strategy in _DECLARED)
if TYPE_CHECKING:
    StrategyName = str
else:
    StrategyName = Literal[tuple(STRATEGIES)]
"""A strategy's name; pydantic refuses any that is not declared."""


def parse_options(strategy: StrategyName, options: dict[str, JsonValue]) -> Strategy:
    """Read a strategy's options as people write them. Raises `Refused` naming the option and what would be right."""
    model = STRATEGIES[strategy]
    try:
        parsed = model.model_validate_json(json.dumps(options))
    except ValidationError as error:
        unknown = [str(e["loc"][0]) for e in error.errors() if e["type"] == "extra_forbidden" and e["loc"]]
        if unknown and unknown[0] not in model.model_fields:
            known = ", ".join(sorted(model.model_fields))
            raise Refused(
                f"strategy {strategy} has no option {unknown[0]!r}; it has {known}", code=ErrorCode.INVALID
            ) from None
        raise Refused(f"strategy {strategy}: {explain(error)}", code=ErrorCode.INVALID) from None
    fault = parsed.fault()
    if fault is not None:
        raise Refused(f"strategy {strategy}: {fault}", code=ErrorCode.INVALID)
    return parsed
