"""The list of all projections that queries read: `PROJECTION` of each module of this folder, but for the agenda's."""

from release_management.kernel.gathering import gathered, modules_of
from release_management.projections import agenda
from release_management.projections.kit.projection import Projection

_ALL: list[Projection] = [
    module.PROJECTION for module in modules_of("release_management.projections") if hasattr(module, "PROJECTION")
]
PROJECTIONS = tuple(gathered((each.name, each) for each in _ALL if each is not agenda.PROJECTION).values())
"""The agenda's is folded apart, for the roles that follow it."""
