"""Whether there is what a question names: an answer of nothing does not say that."""

from collections.abc import Callable, Collection
from typing import Any

from release_management.domain.names import id_of, ref_of
from release_management.domain.nearness import does_not_exist
from release_management.domain.words import Refused

Asks = Callable[..., list[dict[str, Any]]]
"""Gives a query's rows, by its name and parameters."""


def refuse_unknown(
    ask: Asks,
    *,
    application: str | None = None,
    environment: str | None = None,
    release: str | None = None,
    deployment: str | None = None,
    type: str | None = None,
) -> None:
    """Raise `Refused` for the first that does not exist, with what may have been meant.

    Where no application is known yet, none is refused.
    """
    if environment is not None:
        _check("environment", id_of(environment), [str(row["name"]) for row in ask("environments")])
    if application is not None:
        _check_application(id_of(application), ask)
    if release is not None and not ask("release", ref=release):
        release = ref_of(release)
        owner = release.partition("@")[0]
        _check_application(owner, ask)
        _check("release", release, [str(row["ref"]) for row in ask("releases", application=owner, limit=1000)])
    if deployment is not None and not ask("deployment", id=deployment):
        raise Refused(f"deployment {deployment} does not exist; relman deployment list shows those that do")
    if type is not None:
        from release_management.domain.registry import FACTS

        _check("event", type, sorted({*FACTS, *(name.partition(".")[0] for name in FACTS)}))


def _check_application(name: str, ask: Asks) -> None:
    if known := [str(row["name"]) for row in ask("applications")]:
        _check("application", name, known)


def _check(kind: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        raise Refused(does_not_exist(kind, name, known))
