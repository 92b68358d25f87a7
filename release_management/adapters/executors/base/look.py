"""What an executor sees when it looks."""

from dataclasses import dataclass

from release_management.domain.condition import Observation


@dataclass(frozen=True, slots=True)
class Look:
    """One look at one component. `settles`: something starts or ends just now, as it should; it is no news yet."""

    seen: Observation
    settles: bool = False
