"""The unit of work of one decision: the states that it reads, the actor, the time, and the facts that it writes."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, cast

from release_management.domain.aggregates import fold
from release_management.domain.approval import APPROVAL, Approval
from release_management.domain.deployment.state import DEPLOYMENT, Deployment
from release_management.domain.environment import ENVIRONMENT, Environment
from release_management.domain.environment_index import ESTATE, EnvironmentIndex
from release_management.domain.holdings import HOLDINGS, Holdings
from release_management.domain.pipeline import PIPELINE, Pipeline
from release_management.domain.place import PLACE, Place
from release_management.domain.policy import POLICY, Policy
from release_management.domain.release import (
    RELEASE,
    Release,
    same_version,
    unknown_release,
)
from release_management.kernel.aggregate import (
    Aggregate,
    F,
    K,
    S,
)
from release_management.kernel.errors import ErrorCode
from release_management.kernel.suggestions import does_not_exist
from release_management.kernel.types import Fact, Refused

SettingsCheck = Callable[[Mapping[str, Any], bool], Collection[str]]
"""Checks a component's settings for an executor; raises `ValueError` with one sentence if they are wrong.

The second argument is True if the target shifts traffic. Returns the component's claims, resources that the executor
has only once, in words, such as `port 8080`.
"""


class UnitOfWork:
    """One decision's view. Every stream that it reads becomes an expectation; it reads its own writes."""

    def __init__(
        self,
        load: Callable[[str], Any],
        begun: Callable[[str], tuple[int, int] | None],
        *,
        now: str,
        actor: str,
        new_id: Callable[[], str],
        identify: Callable[[str], str],
        keyed_digest: Callable[[object], str],
        executors: Mapping[str, SettingsCheck],
    ) -> None:
        """`begun` returns a sort key of a stream by its first record; None if it has none.

        `actor` is the actor's id; `identify` returns a person's id; `keyed_digest` is an HMAC, in hexadecimal.
        `executors` holds each known executor's check of a component's settings.
        """
        self._load = load
        self._begun = begun
        self.now = now
        self.actor = actor
        self.new_id = new_id
        self.identify = identify
        self.keyed_digest = keyed_digest
        self.executors = executors
        self._states: dict[str, Any] = {}
        self._written: dict[str, list[Fact]] = {}
        self.reads: list[str] = []
        self.writes: list[tuple[str, Fact]] = []
        self.result: dict[str, Any] = {}

    def read(self, stream: str) -> Any:
        """Return the stream's state, including this decision's writes."""
        if stream not in self._states:
            self._states[stream] = self._load(stream)
            self.reads.append(stream)
        if facts := self._written.pop(stream, None):
            self._states[stream] = fold(stream, facts, self._states[stream])
        return self._states[stream]

    def write(self, stream: str, facts: Sequence[Fact]) -> None:
        """Write facts, to be appended with the rest of the decision in one piece."""
        if stream not in self._states:
            self.read(stream)
        self._written.setdefault(stream, []).extend(facts)
        self.writes += [(stream, fact) for fact in facts]

    def state(self, aggregate: Aggregate[S, F, K], *key: K.args, **named: K.kwargs) -> S:
        """Return the state of an instance of an aggregate; its initial state if it does not exist."""
        return cast(S, self.read(aggregate.stream(*key, **named)))

    def existing(self, aggregate: Aggregate[S, F, K], *key: K.args, **named: K.kwargs) -> S:
        """Return the state of an existing instance. Raises `Refused`."""
        state = self.state(aggregate, *key, **named)
        if aggregate.is_absent(state):
            raise Refused(aggregate.does_not_exist(aggregate.key(*key, **named)), code=ErrorCode.NOT_FOUND)
        return state

    def estate(self) -> EnvironmentIndex:
        """Return the index of existing environments."""
        return self.state(ESTATE)

    def holdings(self) -> Holdings:
        """Return the claims of each component, by executor."""
        return self.state(HOLDINGS)

    def environment(self, name: str) -> Environment:
        """Return an existing environment. Raises `Refused`."""
        state = self.state(ENVIRONMENT, name)
        if not state.name:
            raise Refused(does_not_exist("environment", name, self.estate().environments), code=ErrorCode.NOT_FOUND)
        return state

    def release(self, ref: str) -> Release:
        """Return an existing release. Raises `Refused`."""
        state = self.state(RELEASE, ref)
        if not state.version:
            other = same_version(*ref.split("@"))
            if other is not None and self.state(RELEASE, other).version:
                raise Refused(
                    f"release {ref} does not exist; {other} does, and is the same version: name that one",
                    code=ErrorCode.NOT_FOUND,
                )
            raise Refused(unknown_release(ref), code=ErrorCode.NOT_FOUND)
        return state

    def created_before(self, ref: str, than: str) -> bool:
        """Return True if a release was created before another, by their places in the log; False if one is unknown."""
        one, other = self._begun(RELEASE.stream(ref)), self._begun(RELEASE.stream(than))
        return one is not None and other is not None and one < other

    def deployment(self, id: str) -> Deployment:
        """Return an existing deployment. Raises `Refused`."""
        return self.existing(DEPLOYMENT, id)

    def approval(self, id: str | None) -> Approval:
        """Return an approval, which may be absent."""
        return self.state(APPROVAL, id) if id else Approval()

    def place(self, environment: str, application: str, target: str) -> Place:
        """Return a place."""
        return self.state(PLACE, environment, application, target)

    def policies(self, application: str, environment: str | None = None) -> list[Policy]:
        """Return the policies that apply, the widest scope first."""
        return [self.state(POLICY, application, where) for where in ((None, environment) if environment else (None,))]

    def pipeline(self, name: str) -> Pipeline:
        """Return a pipeline, which may be absent."""
        return self.state(PIPELINE, name)
