"""Declarations gathered by their names."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")


def gathered(declarations: Iterable[tuple[str, T]]) -> Mapping[str, T]:
    """Return the declarations by name. Raises `ValueError` if two have one name, so that the program does not start."""
    found: dict[str, T] = {}
    for name, declaration in declarations:
        if name in found:
            raise ValueError(f"two declarations are named {name}: {found[name]!r} and {declaration!r}")
        found[name] = declaration
    return found
