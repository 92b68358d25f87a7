"""Of many histories: the agenda holds just the orders and deadlines of the deployments and approvals there are."""

from collections.abc import Iterator
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, cast

from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from release_management.domain import approval as approvals
from release_management.domain.agenda import AgendaItem, DueCommand
from release_management.domain.approval import Approval
from release_management.domain.deployment.state import (
    ACTIVE,
    Deployment,
    DeploymentPhase,
)
from release_management.domain.deployment.steps import StepStatus
from release_management.domain.place import (
    PLACE,
    Place,
    free_for,
)
from release_management.kernel.record import timestamp
from release_management.projections.agenda import REPORT_GRACE
from release_management.runtime.projected_agenda import ProjectedAgenda
from tests.profiles import times
from tests.services.gateway_harness import (
    COMMAND,
    REGISTRY,
    Follower,
    GatewayHarness,
    on_both_stores,
)

HOW: list[dict[str, Any]] = [
    {"strategy": "recreate"},
    {"strategy": "rolling"},
    {"strategy": "canary"},
    {"strategy": "canary", "options": {"interval": 60}},
    {"strategy": "blue-green", "options": {"scale_down_delay": 600}},
    {"strategy": "blue-green", "options": {"auto_promotion": False}},
]
PARTS = {"east": "web", "west": "api"}
which = st.integers(0, 7)
results = st.sampled_from(["succeeded"] * 14 + ["failed", "errored", "unwell"])
work = st.tuples(st.just("work"), which, results, st.integers(2, 9))
moves = st.one_of(
    st.tuples(
        st.sampled_from(["deploy", "deploy", "plan"]),
        st.sampled_from(HOW),
        st.sampled_from([("web",), ("web", "api")]),
        st.booleans(),
    ),
    work,
    work,
    work,
    st.tuples(st.just("give what is due"), st.sampled_from([0, 30, 90, 700, 100_000, 3_000_000])),
    st.tuples(st.sampled_from(["promote", "resume"]), which),
    st.tuples(st.sampled_from(["promote", "resume", "abort", "rollback", "want", "ask approval"]), which),
    st.tuples(st.sampled_from(["grant", "refuse"]), which, st.sampled_from(["bob", "carol"])),
    st.tuples(st.just("rule"), st.sampled_from([0, 0, 0, 1, 2])),
)
WEB, WALKS = ("web",), ("work", 0, "succeeded", 9)
A_PERSON_PROMOTES = [("deploy", HOW[5], WEB, False), WALKS, ("resume", 0), WALKS]
A_PAUSE_IS_SKIPPED = [("deploy", HOW[3], WEB, False), WALKS, ("promote", 0), WALKS]
THE_RULE_CHANGES = [
    ("rule", 1),
    ("plan", HOW[0], WEB, False),
    ("ask approval", 0),
    ("grant", 0, "bob"),
    ("rule", 2),
    ("want", 0),
    ("grant", 0, "carol"),
    WALKS,
]
TRIED_AGAIN = [("deploy", HOW[0], WEB, False), ("work", 0, "errored", 1), ("give what is due", 90), WALKS]
numbers, ports = count(1), count(10_000)


class History:
    """Deployments of one application to two places of one environment, and the agenda that follows them."""

    def __init__(self, harness: GatewayHarness, agenda: ProjectedAgenda) -> None:
        self.harness = harness
        self.agenda = agenda
        self.application = f"shop{next(numbers)}"
        self.versions = count(1)
        self.deployments: list[str] = []
        self.approvals: list[str] = []
        self.followed = Follower(harness)
        self.met: set[str] = set()
        self._configure(0)

    def _configure(self, required: int) -> None:
        components = {name: {part: {"command": COMMAND, "port": next(ports)}} for name, part in PARTS.items()}
        targets = [{"name": name, "components": each} for name, each in components.items()]
        approval = {"required": required, "allow_self": True}
        wanted = {"name": self.application, "targets": targets, "approval": approval}
        self.ask("environment.configure", wanted)

    def ask(self, command: str, data: dict[str, Any], actor: str = "alice") -> None:
        """Accepted or refused; what follows is taken in."""
        outcome = self.harness.ask(command, data, actor=actor)
        assert outcome.status in ("accepted", "refused", "busy"), outcome
        for recorded in self.followed.news():
            self.met.add(recorded.name)
            kind, _, id = recorded.stream.partition(":")
            known = {"deployment": self.deployments, "approval": self.approvals}.get(kind)
            if known is not None and id not in known:
                known.append(id)

    def move(self, what: str, *how: Any) -> None:
        if what in ("deploy", "plan"):
            walks, parts, supersede = how
            version = f"{next(self.versions)}.0.0"
            components = [{"name": name} for name in parts]
            release = self.harness.release(version, self.application, components=components, partial=True)
            forced = {"supersede": supersede} if what == "deploy" else {}
            self.ask(f"deployment.{what}", {"release": release, "environment": self.application, **walks, **forced})
        elif what == "rule":
            self._configure(how[0])
        elif what == "give what is due":
            self.harness.clock.advance(how[0])
            self._give_what_is_due()
        elif what in ("grant", "refuse"):
            if self.approvals:
                self.ask(f"approval.{what}", {"approval": self._chosen(self.approvals, how[0])}, how[1])
        elif self.deployments:
            alive = [id for id in self.deployments if not self.deployment(id).ended]
            id = self._chosen(alive or self.deployments, how[0])
            self._move_one(what, id, *how[1:])
        self.check()

    def _move_one(self, what: str, id: str, *how: Any) -> None:
        if what == "work":
            for _ in range(how[1]):
                self._report(id, how[0])
        elif what == "promote":
            self.ask("deployment.promote", {"deployment": id, "full": True})
        elif what == "resume":
            self.ask("deployment.promote", {"deployment": id})
        elif what == "ask approval":
            self.ask("approval.request", {"deployment": id})
        elif what == "want":
            self.ask("deployment.deploy", {"deployment": id})
        else:
            self.ask(f"deployment.{what}", {"deployment": id})

    def _chosen(self, ids: list[str], number: int) -> str:
        return ids[number % len(ids)]

    def _report(self, id: str, result: str) -> None:
        state = self.deployment(id)
        for index in sorted(state.open):
            step = state.steps[state.leg, index]
            if step.status is StepStatus.STARTED:
                content = {"deployment": id, "leg": state.leg, "step": index, "attempt": step.attempt, "fence": 1}
                moment = self.harness.clock.now().isoformat()
                self.ask(
                    "deployment.report_step", content | {"result": result, "observedat": moment, "reason": "it is"}
                )
                return

    def _give_what_is_due(self) -> None:
        now = timestamp(self.harness.clock.now())
        for item in list(self.mine().values()):
            if isinstance(item, DueCommand) and (item.due or "") <= now:
                self.ask(item.command, item.data)

    # The law

    def mine(self) -> dict[tuple[str, str], AgendaItem]:
        """The agenda's items for what this history has made."""
        self.agenda.catch_up()
        subjects = {f"deployment:{id}" for id in self.deployments} | {f"approval:{id}" for id in self.approvals}
        return {key: item for key, item in self.agenda.items().items() if key[0] in subjects}

    def check(self) -> None:
        found = self.mine()
        stated = {key: _stated(item) for key, item in found.items() if key[1] != "proceed"}
        assert stated == dict(self._wanted())
        proceeding = {subject.removeprefix("deployment:") for subject, name in found if name == "proceed"}
        for id in self.deployments:
            state = self.deployment(id)
            if state.phase is not DeploymentPhase.QUEUED:
                assert id not in proceeding, f"{id} is {state.phase} and is told to proceed"
            elif all(free_for(self.place(target), id) for target in state.targets):
                assert id in proceeding, f"{id} waits for nothing and is not told to proceed"

    def _wanted(self) -> Iterator[tuple[tuple[str, str], object]]:
        for id in self.approvals:
            known = self.approval(id)
            if known.phase is approvals.ApprovalPhase.WAITING:
                yield (f"approval:{id}", "expire"), ("approval.expire", {"approval": id}, known.expires_at)
        for id in self.deployments:
            for name, item in self._wanted_of(id, self.deployment(id)):
                yield (f"deployment:{id}", name), item

    def _wanted_of(self, id: str, state: Deployment) -> Iterator[tuple[str, object]]:
        if state.phase is DeploymentPhase.PLANNED and state.deadline is not None:
            yield "lapse", ("deployment.expire", {"deployment": id}, state.deadline)
        if state.phase is DeploymentPhase.QUEUED:
            yield "expire", ("deployment.expire", {"deployment": id}, state.deadline)
        for index in state.open if state.phase in ACTIVE else ():
            step = state.steps[state.leg, index]
            where = f"{state.leg}/{index}"
            of = {"deployment": id, "leg": state.leg, "step": index}
            attempt = {**of, "attempt": step.attempt}
            match step.status:
                case StepStatus.STARTED:
                    assert step.due is not None
                    due = timestamp(datetime.fromisoformat(step.due) + REPORT_GRACE)
                    yield f"order/{where}", (id, state.leg, index, step.attempt, step.due)
                    yield f"deadline/{where}", ("deployment.expire_step", attempt, due)
                case StepStatus.ERRORED if step.due is not None:
                    yield f"retry/{where}", ("deployment.retry_step", attempt, step.due)
                case StepStatus.WAITING if step.timed:
                    yield f"pause/{where}", ("deployment.resume", of, step.due)
                case StepStatus.WAITING if step.due is not None:
                    yield "expire", ("deployment.expire", {"deployment": id}, step.due)

    def deployment(self, id: str) -> Deployment:
        return cast(Deployment, self.followed.state(f"deployment:{id}"))

    def approval(self, id: str) -> Approval:
        return cast(Approval, self.followed.state(f"approval:{id}"))

    def place(self, target: str) -> Place:
        return cast(Place, self.followed.state(PLACE.stream(self.application, self.application, target)))


def _stated(item: AgendaItem) -> object:
    if isinstance(item, DueCommand):
        return item.command, item.data, item.due
    order = item.order
    return order.deployment, order.leg, order.step, order.attempt, order.deadline


@on_both_stores
@settings(max_examples=times(25), suppress_health_check=list(HealthCheck))
@given(made=st.lists(moves, min_size=15, max_size=40))
@example(A_PERSON_PROMOTES)
@example(A_PAUSE_IS_SKIPPED)
@example(THE_RULE_CHANGES)
@example(TRIED_AGAIN)
def test_the_items_are_the_deadlines_and_orders_of_what_there_is(
    harness: GatewayHarness, tmp_path: Path, made: list[tuple[Any, ...]]
) -> None:
    agenda = ProjectedAgenda(harness.log, REGISTRY, tmp_path / "agenda.db")
    history = History(harness, agenda)
    history.move("deploy", {"strategy": "recreate"}, ("web", "api"), False)
    for _ in range(10):
        history.move("work", 0, "succeeded", 2)
    for move in made:
        history.move(*move)

    for name in sorted(history.met):
        event(name)
    again = ProjectedAgenda(harness.log, REGISTRY, tmp_path / "agenda.db")
    again.catch_up()
    assert again.items() == agenda.items(), "what a new process reads is what the other one holds"
    again.close()
    agenda.close()
