"""What an aggregate declares of itself, once, where its module ends; `streams` gathers the declarations."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar, get_args

from release_management.kernel.types import Fact

K = ParamSpec("K")
S = TypeVar("S")
F = TypeVar("F", bound=Fact)


@dataclass(frozen=True, slots=True)
class Aggregate(Generic[S, F, K]):
    """A kind of thing that is decided on as one, with a stream of facts for each.

    `initial` is the state before the first fact, `events` the union of its facts, and `key` gives what tells one of
    them from the others. Its stream is `<name>:<key>`, which is permanent. `missing` gives the sentence for whoever
    names by its key one that does not exist.
    """

    name: str
    initial: S
    events: Any
    evolve: Callable[[S, F], S]
    key: Callable[K, str]
    missing: Callable[[str], str] | None = None

    @property
    def facts(self) -> tuple[type[Fact], ...]:
        """Every fact that its streams may hold."""
        return get_args(self.events) or (self.events,)

    def stream(self, *key: K.args, **named: K.kwargs) -> str:
        """The id of a stream of its."""
        return f"{self.name}:{self.key(*key, **named)}"

    def is_absent(self, state: S) -> bool:
        """Whether this is the state of one that does not exist: no fact was folded into it."""
        return state is self.initial

    def does_not_exist(self, key: str) -> str:
        """The sentence for whoever names one that does not exist."""
        return self.missing(key) if self.missing else f"{self.name} {key} does not exist"


def itself(key: str, /) -> str:
    """The key of what one text names: an id, a name."""
    return key


def single() -> str:
    """The key of what there is only one of."""
    return "main"


def aggregate_of(stream: str) -> str:
    """The aggregate's name in a stream's id: what stands before the colon."""
    return stream.partition(":")[0]


def key_of(stream: str) -> str:
    """The key in a stream's id: what stands after the colon."""
    return stream.partition(":")[2]
