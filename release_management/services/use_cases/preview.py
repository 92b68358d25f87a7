"""The query `deployment.preview`: the result that `deployment.deploy` would have now. It stores nothing.

It reads the streams' states from the log, as the gateway does, since read models may be behind.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

from pydantic import Field, ValidationError
from pydantic_core import to_json

from release_management.domain.deployment.before_start import PlanRequest
from release_management.domain.deployment.commands import Options
from release_management.domain.deployment.state import Deployment
from release_management.domain.plan.strategies import StrategyName
from release_management.domain.registry import Registry
from release_management.domain.release_commands import ReleaseRef
from release_management.domain.rules import verdicts
from release_management.kernel.names import GivenName
from release_management.kernel.record import timestamp
from release_management.kernel.types import Refused, Value, explain
from release_management.services.gateway.states import Folded, States
from release_management.services.gateway.unit_of_work import SettingsCheck, UnitOfWork
from release_management.services.ports import Clock, EventLog
from release_management.services.ports.bus import NotAnsweredNow, QueryNotUnderstood
from release_management.services.use_cases.deployments import planned_already
from release_management.services.use_cases.planning import compile_again, compile_now
from release_management.services.use_cases.situations import situation

NAME = "deployment.preview"
NO_COMMAND = (
    f"{NAME} is no command any more, but a query, which records nothing: ask relman.ask.query.{NAME}, or relman deploy "
    "--dry-run of this version"
)
TRIES = 5
"""The number of times that a preview is made while the streams that it has read change."""


class PreviewParams(Value):
    """The deployment to preview, with the parameters of `deployment.deploy`.

    A plan with more than `limit` steps is shown in parts: `after` leaves out so many steps of each leg.
    """

    release: ReleaseRef = Field(description="the release")
    environment: GivenName = Field(description="the environment")
    strategy: StrategyName | None = Field(None, description="absent: what the release or the policy says")
    options: Options = Field({}, description="the strategy's options")
    redeploy: bool = Field(False, description="whether what runs already is brought again, to repair it")
    after: Annotated[int, Field(ge=0)] = Field(0, description="leave out so many steps of each leg")
    limit: Annotated[int, Field(ge=1, le=500)] = Field(500, description="at most so many steps of each leg")
    supersede: bool = Field(False, description="as for `deployment.deploy`")
    downgrade: bool = Field(False, description="as for `deployment.deploy`")


@dataclass(frozen=True, slots=True)
class LogQuery:
    """A query that is answered from the log itself, with the columns of each row of its answer."""

    name: str
    meaning: str
    params: type[Value]
    columns: tuple[str, ...]

    def answer_columns(self) -> tuple[str, ...]:
        """Return the names in a row of the answer."""
        return self.columns


QUERY = LogQuery(
    NAME,
    "What `deployment.deploy` would do now: the plan and what every rule says of it, in one row. It is made from the "
    "log, as of the log's `position`, and records nothing; what the command would be refused with is the error. Where "
    "what it rests on keeps changing, it is to be asked again.",
    PreviewParams,
    ("strategy", "plan", "steps", "total", "digest", "verdicts", "position"),
)


class Preview:
    """Plans from the log without a writer. Several threads may ask."""

    def __init__(self, event_log: EventLog, clock: Clock, executors: Callable[[], Mapping[str, SettingsCheck]]) -> None:
        """`executors` are loaded with the first preview: if one cannot be loaded, other queries are still answered."""
        self._log = event_log
        self._clock = clock
        self._executors = executors
        self._registry = Registry()

    def ask(self, params: Mapping[str, Any], after: int) -> dict[str, Any]:
        """Return the one row of the answer, as of the log's `position`, which is not before the position `after`.

        Raises `QueryNotUnderstood` with the refusal that the command would get, `NotAnsweredNow` if the states that it
        reads keep changing, and `LogUnavailableError`.
        """
        try:
            preview_params = PreviewParams.model_validate_json(to_json(params))
        except ValidationError as error:
            raise QueryNotUnderstood(f"query {NAME}: {explain(error)}") from None
        end = self._log.last_position()
        if after > end:
            raise QueryNotUnderstood(
                f"the log ends at position {end:,}, and the answer is wanted after {after:,}; "
                "name the position that a command's outcome gave"
            )
        for _ in range(TRIES):
            view = _View(self._log, self._registry)
            try:
                row = _previewed(preview_params, self._unit_of_work(view))
            except Refused as refused:
                if view.has_moved():
                    continue
                raise QueryNotUnderstood(refused.reason, code=refused.code) from None
            position = self._log.last_position()
            if not view.has_moved():
                return {**row, "position": position}
        raise NotAnsweredNow("what the plan rests on keeps changing; ask again")

    def _unit_of_work(self, view: "_View") -> UnitOfWork:
        return UnitOfWork(
            view.state,
            view.begun,
            now=timestamp(self._clock.now()),
            actor="",
            new_id=_never,
            identify=_never,
            keyed_digest=_never,
            executors=self._executors(),
        )


class _View:
    """The streams that one preview has read, with the versions in which it saw them."""

    def __init__(self, event_log: EventLog, registry: Registry) -> None:
        self._log = event_log
        self._states = States(event_log, registry)
        self._read: dict[str, Folded] = {}

    def state(self, stream: str) -> Any:
        """Return the stream's state from the log."""
        self._read[stream] = self._states.load(stream)
        return self._read[stream][1]

    def begun(self, stream: str) -> tuple[int, int] | None:
        """Return a key that sorts streams by their first records; None: the stream is empty."""
        first = self._states.first_position(stream)
        return None if first is None else (0, first)

    def has_moved(self) -> bool:
        """Return True if a stream that was read has more records by now."""
        return any(self._log.read_stream(stream, after=version) for stream, (version, _) in self._read.items())


def _previewed(params: PreviewParams, uow: UnitOfWork) -> dict[str, Any]:
    """Return the existing or the new plan, with the verdict of every rule."""
    release = uow.release(params.release)
    plan_request = PlanRequest(
        params.release, params.environment, params.strategy, params.options, redeploys=params.redeploy
    )
    planned = planned_already(uow, plan_request)
    if planned is not None:
        compiled = compile_again(uow, planned)
    else:
        compiled = compile_now(
            uow, release, params.environment, params.strategy, params.options, redeploys=params.redeploy
        )
    state = Deployment(
        release=release.ref,
        application=release.application,
        environment=params.environment,
        targets=compiled.targets,
        digest=compiled.plan.digest,
        supersede=params.supersede,
        downgrade=params.downgrade,
    )
    rulings = verdicts(situation(uow, state))
    shown = slice(params.after, params.after + params.limit)
    legs = {"forward": compiled.plan.forward[shown], "rollback": compiled.plan.rollback[shown]}
    part = compiled.plan.model_copy(update=legs)
    return {
        "strategy": compiled.strategy,
        "plan": part.model_dump(mode="json"),
        "steps": [step.describe() for step in part.forward],
        "total": len(compiled.plan.forward),
        "digest": compiled.plan.digest,
        "verdicts": [verdict.model_dump(exclude_none=True) for verdict in rulings],
    }


def _never(*_: object) -> NoReturn:
    raise AssertionError("a preview makes nothing new")
