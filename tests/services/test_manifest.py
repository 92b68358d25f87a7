"""What a YAML file states, compared with what stands, for callers that have its text and no terminal."""

from typing import Any

import pytest

from release_management.kernel.types import Refused
from release_management.services.manifest import compare, read_manifest

TEXT = b"""
environments:
  staging:
    targets:
      main: {executor: plain, components: {web: {}}}
pipelines:
  main: {application: shop, stages: [staging]}
"""


def nothing(name: str, **params: Any) -> list[dict[str, Any]]:
    return []


def takes_anything(settings: object, shifts: bool) -> list[str]:
    return []


def takes_nothing(settings: object, shifts: bool) -> list[str]:
    raise ValueError("no port is given")


def test_the_commands_that_remove_the_differences_are_found_in_order() -> None:
    changes = compare(*read_manifest("body", TEXT), nothing, {"plain": takes_anything})

    assert [(change.sign, change.kind, change.name) for change in changes] == [
        ("+", "environment", "staging"),
        ("+", "target", "staging/main"),
        ("+", "pipeline", "main"),
    ]
    assert [name for change in changes for name, _ in change.commands] == [
        "environment.configure",
        "environment.configure",
        "pipeline.configure",
    ]


def test_the_executors_that_the_caller_knows_are_the_ones_that_are_asked() -> None:
    manifest, text = read_manifest("body", TEXT)

    with pytest.raises(Refused, match=r"body, line 5: environments\.staging.*no port is given"):
        compare(manifest, text, nothing, {"plain": takes_nothing})
    with pytest.raises(Refused, match="there is no executor 'plain'; known: local"):
        compare(manifest, text, nothing, {"local": takes_anything})


def test_what_is_wrong_is_named_with_the_callers_name_for_the_text_and_the_line() -> None:
    with pytest.raises(Refused, match="body, line 2: environment: there is no such key"):
        read_manifest("body", b"pipelines: {}\nenvironment: {}\n")
