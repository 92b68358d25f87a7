"""Compare the shown conditions of an environment's components with the truth."""

from collections import Counter
from typing import Any

from chaos.witness import Truth
from release_management import Environment
from release_management.services.observations.looks import FRESH_SECONDS

Said = dict[str, Any]


class Screen:
    """Reads the screen repeatedly. `seen` counts how often each condition appeared; `faults` are impossible ones."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.faults: list[str] = []
        self._last: dict[str, str] = {}

    def read(self, environment: Environment) -> dict[str, Said]:
        """Return the statement on each component."""
        for each in environment.conditions:
            self.seen[each.condition] += self._last.get(each.component) != each.condition
            self._last[each.component] = each.condition
            if each.condition != "unknown" and (each.age is None or each.age > FRESH_SECONDS):
                self.faults.append(f"{each.component} is said to be {each.condition} by a look of {each.age} s ago")
        slots = [slot for slot in environment.running if slot.replicas]
        return {
            each.component: {
                "condition": each.condition,
                "reason": each.reason,
                "running": each.running,
                "healthy": each.healthy,
                "versions": frozenset(slot.version for slot in slots if slot.component == each.component),
            }
            for each in environment.conditions
        }


def agrees(said: Said, truth: Truth, replicas: int) -> bool:
    """Return True if a statement on a component is true."""
    if (said["running"], said["healthy"]) != (truth.living, truth.healthy):
        return False
    if not truth.serves:
        return bool(said["condition"] == "down")
    if truth.healthy < replicas:
        return bool(said["condition"] == "degraded")
    return bool(said["condition"] == "well" and truth.answers == said["versions"])
