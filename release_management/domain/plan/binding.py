"""The binding of a plan's roles to slots when a deployment starts."""

from release_management.domain.component import Component, Slot
from release_management.domain.configuration import Configuration
from release_management.domain.plan.roles import Role
from release_management.kernel.types import Name, Value


class Binding(Value):
    """The roles of one component at one place, bound to slots, with what each role runs.

    `candidate` None: the component is given up here, and its stable version is stopped. `replicas` of the candidate
    run in the end. A stable slot without a stable version has what a first deployment there left behind; it is only
    ever stopped. `stable_configuration` None: what the stable version runs with was not recorded; it is taken to be
    `configuration`.
    """

    target: Name
    component: Name
    executor: Name
    slots: tuple[Slot, ...]
    candidate: Component | None = None
    candidate_slot: Slot
    replicas: int
    configuration: Configuration
    stable: Component | None = None
    stable_slot: Slot | None = None
    stable_configuration: Configuration | None = None

    @property
    def stands(self) -> tuple[Slot, ...]:
        """The slots of the target, and those in which something stands though the target has them no more."""
        bound = (self.candidate_slot, *(() if self.stable_slot is None else (self.stable_slot,)))
        return tuple(dict.fromkeys((*self.slots, *bound)))

    def slot(self, role: Role) -> Slot:
        """The slot of a role; the candidate's where there is no stable version."""
        return self.candidate_slot if role == "candidate" or self.stable_slot is None else self.stable_slot

    def content(self, role: Role) -> Component:
        """Return the role's version. Raises `LookupError` if the component is given up and has no stable version."""
        content = self.candidate if role == "candidate" or self.stable is None else self.stable
        if content is None:
            raise LookupError(f"{self.component} on {self.target} is given up and has no {role} version")
        return content

    def configured(self, role: Role) -> Configuration:
        """Return the role's configuration."""
        return self.configuration if role == "candidate" else self.stable_configuration or self.configuration
