"""An executor's observation of a component."""

from dataclasses import dataclass

from release_management.domain.condition import Observation


@dataclass(frozen=True, slots=True)
class Look:
    """One observation of one component. While it `settles`, something starts or ends as intended: it is no news yet."""

    seen: Observation
    settles: bool = False
