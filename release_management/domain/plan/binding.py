"""The binding of a plan's roles to slots when a deployment starts."""

from pydantic import Field

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

    target: Name = Field(description="the target in the environment")
    component: Name = Field(description="the component")
    executor: Name = Field(description="who carries the steps out; there are `command` and `local`")
    slots: tuple[Slot, ...] = Field(description="the slots of the target")
    candidate: Component | None = Field(None, description="the component that comes; absent: it is given up here")
    candidate_slot: Slot = Field(description="the slot of the component that comes")
    replicas: int = Field(description="how many of the component that comes run in the end")
    configuration: Configuration = Field(description="what the component that comes runs with")
    stable: Component | None = Field(None, description="the component that ran before; absent: none did")
    stable_slot: Slot | None = Field(None, description="the slot of the component that ran before")
    stable_configuration: Configuration | None = Field(
        None, description="what the stable component runs with; absent: that was not recorded"
    )

    @property
    def all_slots(self) -> tuple[Slot, ...]:
        """The slots of the target, and those bound slots that the target no longer declares."""
        bound = (self.candidate_slot, *(() if self.stable_slot is None else (self.stable_slot,)))
        return tuple(dict.fromkeys((*self.slots, *bound)))

    def slot(self, role: Role) -> Slot:
        """Return the slot of a role; the candidate's if there is no stable version."""
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
