"""What the executor remembers of a component: its fence, its reports, and the program that runs for it now."""

from release_management.adapters.targets.folder import TargetFolder, TargetState
from release_management.adapters.targets.processes import Process


class CommandState(TargetState):
    """`program` leads the process group of the order with the highest fence, until that order has its report."""

    program: Process | None = None


class Folder(TargetFolder[CommandState]):
    """A component's folder, which holds the last order and what the programs wrote, too."""

    FILE = "command.json"

    def _parse(self, raw: bytes) -> CommandState:
        return CommandState.model_validate_json(raw)

    def _new(self) -> CommandState:
        return CommandState()
