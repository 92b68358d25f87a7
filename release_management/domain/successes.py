"""The effects of a deployment's success on the successes that its places remember."""

from collections.abc import Mapping

from release_management.domain.deployment.state import Deployment, DeploymentPhase
from release_management.domain.place_component import Occupant


def brought(state: Deployment) -> dict[tuple[str, str], dict[str, str]]:
    """Return what a deployment brought, by target and version: components with the digests of what runs now.

    What a rollback brings counts as a success of the release that it is from.
    """
    from_release = {(each.target, each.component): each.version for each in state.returns or ()}
    found: dict[tuple[str, str], dict[str, str]] = {}
    for binding in state.bindings.values():
        if binding.candidate is not None:
            version = from_release.get((binding.target, binding.component)) or state.version
            occupant = Occupant(binding.candidate, binding.replicas, binding.configuration)
            found.setdefault((binding.target, version), {})[binding.component] = occupant.digest
    return found


def taken_back(state: Deployment, left: Deployment) -> Mapping[str, tuple[str, ...] | None]:
    """Return where the rollback `state` took back what `left` had brought: targets with the components taken back.

    None stands for all components, since older records do not say which. Nothing, where `left` had not succeeded.
    """
    if left.phase is not DeploymentPhase.SUCCEEDED:
        return {}
    if state.returns is None:
        return dict.fromkeys(left.targets)
    withdrawn: dict[str, tuple[str, ...]] = {}
    for each in state.returns:
        if each.leaves == left.id != each.to:
            withdrawn[each.target] = (*withdrawn.get(each.target, ()), each.component)
    return withdrawn
