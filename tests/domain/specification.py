"""Given these facts, when this command is decided on, then these facts follow, or this refusal: for every aggregate."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from release_management.kernel.aggregate import Aggregate
from release_management.kernel.errors import ErrorCode
from release_management.kernel.types import (
    Fact,
    NotYet,
    Refused,
)

C = TypeVar("C")
S = TypeVar("S")
X = TypeVar("X")
F = TypeVar("F", bound=Fact)


@dataclass(frozen=True)
class Then(Generic[C, S, X, F]):
    """What a decision led to: facts, a refusal, or that its time has not come."""

    before: "Given[C, S, X, F]"
    decided: Sequence[F] | Refused | NotYet

    @property
    def facts(self) -> list[F]:
        """The facts that follow."""
        assert not isinstance(self.decided, Refused | NotYet), f"it is refused: {self.decided}"
        return list(self.decided)

    @property
    def after(self) -> "Given[C, S, X, F]":
        """The same one, once what follows is recorded."""
        return self.before.then_given(*self.facts)

    @property
    def names(self) -> list[str]:
        """The names of the facts that follow, without their aggregate's."""
        return [fact.NAME.partition(".")[2] for fact in self.facts]

    def then(self, *facts: F) -> None:
        """Exactly these follow; none: it is already so."""
        assert self.facts == list(facts)

    def then_nothing(self) -> None:
        """It is already so, or says nothing new."""
        assert self.facts == []

    def then_refused(self, sentence: str, code: ErrorCode | None = None) -> None:
        """It is refused with a sentence that has this in it; and with this code, if one is named."""
        assert isinstance(self.decided, Refused), f"it is not refused: {self.decided}"
        assert sentence in str(self.decided)
        assert code in (None, self.decided.code)

    def then_too_early(self, until: str) -> None:
        """It is to be asked again at that time."""
        assert isinstance(self.decided, NotYet), f"its time has come: {self.decided}"
        assert self.decided.retry_at == until


@dataclass(frozen=True)
class Given(Generic[C, S, X, F]):
    """One of an aggregate's, with what has happened to it."""

    specification: "Specification[C, S, X, F]"
    state: S

    def then_given(self, *facts: F) -> "Given[C, S, X, F]":
        """The same one, with more facts."""
        state = self.state
        for fact in facts:
            state = self.specification.aggregate.evolve(state, fact)
        return Given(self.specification, state)

    def when(self, command: C, **known: Any) -> Then[C, S, X, F]:
        """Decide on it. `known` replaces fields of the usual facts beside the state: another actor, another time."""
        facts = self.specification.facts
        if known:
            facts = cast(X, dataclasses.replace(cast(Any, facts), **known))
        try:
            return Then(self, self.specification.decide(command, self.state, facts))
        except (Refused, NotYet) as error:
            return Then(self, error)


@dataclass(frozen=True)
class Specification(Generic[C, S, X, F]):
    """An aggregate, how it is decided on, and what is usually known beside its state."""

    aggregate: Aggregate[S, F, ...]
    decide: Callable[[C, S, X], Sequence[F]]
    facts: X

    def given(self, *facts: F) -> Given[C, S, X, F]:
        """One to which these facts have happened; none: it does not exist."""
        return self.given_state(self.aggregate.initial).then_given(*facts)

    def given_state(self, state: S) -> Given[C, S, X, F]:
        """One in this state."""
        return Given(self, state)
