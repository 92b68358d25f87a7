"""The page on the settings of the executors."""

from collections.abc import Iterator

from docs.reference.fields import Meanings, doc, fields_table, row
from docs.reference.layout import page
from release_management.adapters.executors.base.claims import Claims
from release_management.adapters.executors.command.answer import ProgramAnswer
from release_management.adapters.executors.command.environment import ORDER_VARIABLES
from release_management.adapters.executors.command.observing import Observed, ObservedSlot
from release_management.adapters.executors.command.settings import CommandSettings
from release_management.adapters.executors.local.settings import (
    PLACEHOLDERS,
    Balancing,
    ComponentSettings,
    HealthCheck,
)
from release_management.domain.environment import Target
from release_management.domain.tiers import (
    DEFAULT_TIER,
    NOT,
    TIERS,
)


def text() -> str:
    """Return the page on components' settings."""

    def listed() -> Iterator[str]:
        yield from ("## A component of `local`", "", *doc(ComponentSettings).splitlines(), "")
        yield from fields_table(ComponentSettings, hide=("slots",))
        yield from ("### Balancing", "", *doc(Balancing).splitlines(), "")
        yield from fields_table(Balancing)
        yield from ("### HealthCheck", "", *doc(HealthCheck).splitlines(), "")
        yield from fields_table(HealthCheck)
        yield from ("### Placeholders of its command", "", "| placeholder | becomes |", "|---|---|")
        for name in PLACEHOLDERS:
            yield row(f"`{{{name}}}`", Meanings.of("placeholders", name))
        yield from ("", "## A component of `command`", "", *doc(CommandSettings).splitlines(), "")
        yield from fields_table(CommandSettings, hide=("slots",))
        yield from ("### What a program gets", "", "| variable | is |", "|---|---|")
        for name in ORDER_VARIABLES:
            yield row(f"`RELMAN_{name.upper()}`", Meanings.of("variables", name))
        yield from ("", "### What a program answers", "", *doc(ProgramAnswer).splitlines(), "")
        yield from fields_table(ProgramAnswer)
        yield from ("", "### What `observe` answers", "", *doc(Observed).splitlines(), "")
        yield from fields_table(Observed)
        yield from ("", "### ObservedSlot", "", *doc(ObservedSlot).splitlines(), "")
        yield from fields_table(ObservedSlot)
        yield from ("### Claims", "", *doc(Claims).splitlines(), "", *fields_table(Claims))
        yield from ("## A target", "", *fields_table(Target))
        yield from ("## Tiers", "", "An environment's tier follows from its name unless it is given.", "")
        yield from ("| a word in the name | tier |", "|---|---|")
        for word, tier in TIERS.items():
            yield row(f"`{word}`", tier)
        yield from (f"| any other | {DEFAULT_TIER} |", "")
        denials = " or ".join(f"`{word}`" for word in NOT)
        yield from (
            "A number before or behind a word does not count (`prod2`), and words are whole: `livestream` says",
            f"nothing. After {denials}, or before `like`, a word says nothing (`non-production`, `nonprod`,",
            "`prod-like`). After `pre`, production is staging (`pre-prod`, `preprod`). A name that says production and",
            "another tier is of the other one (`prod-test`); of others the first counts. `relman apply`,",
            "`relman env show` and Python say that a tier follows from the name, or that the name says none; `tier`",
            "states another.",
            "",
        )

    return page(
        "Settings of the executors",
        """
        The executor `local` runs components as processes of this machine behind HAProxy; `command` has programs of
        yours deploy them ([how to](../how-to/command-executor.md)). A component's settings stand under
        `environments.<name>.targets.<target>.components.<component>` of `relman.yaml`.
        """,
        listed(),
    )
