"""What a decision is given: the states that it asks for, who wishes, the time; and where it writes what follows."""

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
"""Reads a component's settings for an executor; raises `ValueError` with one sentence where they are wrong.

The second argument says whether the target shifts traffic. Returns what the component claims and the executor has only
once, in words, such as `port 8080`.
"""


class UnitOfWork:
    """One decision's view. Every stream that it reads becomes an expectation; what it writes it reads again."""

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
        """`begun` sorts streams by their first records; None: it has none.

        `actor` is the wisher's id; `identify` gives a person's id; `keyed_digest` is an HMAC, in hexadecimal.

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
        """The stream's state, as this decision sees it."""
        if stream not in self._states:
            self._states[stream] = self._load(stream)
            self.reads.append(stream)
        if facts := self._written.pop(stream, None):
            self._states[stream] = fold(stream, facts, self._states[stream])
        return self._states[stream]

    def write(self, stream: str, facts: Sequence[Fact]) -> None:
        """Record facts, to be appended with the rest of the decision in one piece."""
        if stream not in self._states:
            self.read(stream)
        self._written.setdefault(stream, []).extend(facts)
        self.writes += [(stream, fact) for fact in facts]

    def state(self, aggregate: Aggregate[S, F, K], *key: K.args, **named: K.kwargs) -> S:
        """The state of one of an aggregate's; its initial state where that does not exist."""
        return cast(S, self.read(aggregate.stream(*key, **named)))

    def existing(self, aggregate: Aggregate[S, F, K], *key: K.args, **named: K.kwargs) -> S:
        """The state of one that exists. Raises `Refused`."""
        state = self.state(aggregate, *key, **named)
        if aggregate.is_absent(state):
            raise Refused(aggregate.does_not_exist(aggregate.key(*key, **named)), code=ErrorCode.NOT_FOUND)
        return state

    def estate(self) -> EnvironmentIndex:
        """Which environments exist."""
        return self.state(ESTATE)

    def holdings(self) -> Holdings:
        """What each component has of what its executor has once."""
        return self.state(HOLDINGS)

    def environment(self, name: str) -> Environment:
        """An environment that exists. Raises `Refused`."""
        state = self.state(ENVIRONMENT, name)
        if not state.name:
            raise Refused(does_not_exist("environment", name, self.estate().environments), code=ErrorCode.NOT_FOUND)
        return state

    def release(self, ref: str) -> Release:
        """A release that exists. Raises `Refused`."""
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
        """Whether a release was created before another, by their places in the log; where one is unknown it was not."""
        one, other = self._begun(RELEASE.stream(ref)), self._begun(RELEASE.stream(than))
        return one is not None and other is not None and one < other

    def deployment(self, id: str) -> Deployment:
        """A deployment that exists. Raises `Refused`."""
        return self.existing(DEPLOYMENT, id)

    def approval(self, id: str | None) -> Approval:
        """An approval, which may be absent."""
        return self.state(APPROVAL, id) if id else Approval()

    def place(self, environment: str, application: str, target: str) -> Place:
        """A place."""
        return self.state(PLACE, environment, application, target)

    def policies(self, application: str, environment: str | None = None) -> list[Policy]:
        """The policies that apply, the widest scope first."""
        return [self.state(POLICY, application, where) for where in ((None, environment) if environment else (None,))]

    def pipeline(self, name: str) -> Pipeline:
        """A pipeline, which may be absent."""
        return self.state(PIPELINE, name)
