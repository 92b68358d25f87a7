"""The declaration of an aggregate, once, at the end of its module; `streams` gathers the declarations."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeVar, get_args

from release_management.kernel.types import Fact

K = ParamSpec("K")
S = TypeVar("S")
F = TypeVar("F", bound=Fact)


@dataclass(frozen=True, slots=True)
class Aggregate(Generic[S, F, K]):
    """A kind of entity that is decided on as a whole, with a stream of facts for each instance.

    `initial` is the state before the first fact, `events` the union of its facts, and `key` returns the identity of an
    instance. Its stream is `<name>:<key>`, which is permanent. `missing` returns the sentence for a key that does not
    exist.
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
        """Return the id of an instance's stream."""
        return f"{self.name}:{self.key(*key, **named)}"

    def is_absent(self, state: S) -> bool:
        """Return True for the state of an instance that does not exist: no fact was folded into it."""
        return state is self.initial

    def does_not_exist(self, key: str) -> str:
        """Return the sentence for a key that does not exist."""
        return self.missing(key) if self.missing else f"{self.name} {key} does not exist"


def itself(key: str, /) -> str:
    """Return the key itself, if one text identifies an instance: an id, a name."""
    return key


def single() -> str:
    """Return the key of an aggregate with a single instance."""
    return "main"


def aggregate_of(stream: str) -> str:
    """Return the aggregate's name in a stream's id: the part before the colon."""
    return stream.partition(":")[0]


def key_of(stream: str) -> str:
    """Return the key in a stream's id: the part after the colon."""
    return stream.partition(":")[2]
