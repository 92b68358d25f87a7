"""A list whose rows are read when they are needed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar, overload

T = TypeVar("T", covariant=True)
SHOWN = 20


class Listed(Sequence[T]):
    """A sequence that is read page by page on demand, and kept. It equals a tuple of the same elements.

    The first page is read at once, the others when their elements are accessed.
    """

    def __init__(self, rows: Iterator[Mapping[str, Any]], make: Callable[[Mapping[str, Any]], T]) -> None:
        """`make` returns the element for each row."""
        self._made = map(make, rows)
        self._read: list[T] = []
        self._read_on(1)

    def _read_on(self, count: int | None) -> None:
        """Read `count` more elements; None: all."""
        self._read += islice(self._made, count)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...

    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        if isinstance(index, slice):
            ends = index.start or 0, -1 if index.stop is None else index.stop
            self._read_on(None if min(ends) < 0 else max(0, max(ends) - len(self._read)))
            return tuple(self._read[index])
        self._read_on(None if index < 0 else max(0, index + 1 - len(self._read)))
        return self._read[index]

    def __len__(self) -> int:
        self._read_on(None)
        return len(self._read)

    def __bool__(self) -> bool:
        return bool(self._read)

    def __iter__(self) -> Iterator[T]:
        index_ = 0
        while True:
            if index_ == len(self._read):
                self._read_on(1)
            if index_ == len(self._read):
                return
            yield self._read[index_]
            index_ += 1

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Listed | tuple):
            return NotImplemented
        return tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        first = self[: SHOWN + 1]
        return repr(first) if len(first) <= SHOWN else f"{repr(first[:SHOWN])[:-1]}, …)"
