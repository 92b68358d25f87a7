"""The audit trail."""

from collections.abc import Iterable
from typing import Any, ClassVar

from rich.console import RenderableType

from release_management.facade.views.base import View, short_time, table


class Entry(View):
    """A line of the audit trail."""

    position: int
    time: str
    actor: str
    actorauth: str
    type: str
    subject: str
    summary: str
    application: str | None = None
    release: str | None = None
    environment: str | None = None
    deployment: str | None = None
    onbehalfof: str | None = None
    requested_by: str | None = None
    texts: Any = None
    refused: bool = False

    @property
    def who(self) -> str:
        """The actor, and the person on whose behalf it acted if that is another one."""
        person = self.onbehalfof or self.requested_by
        return self.actor if person in (None, self.actor) else f"{self.actor} for {person}"

    @property
    def about(self) -> str:
        """The release, or its application, and the environment."""
        return " → ".join(part for part in (self.release or self.application, self.environment) if part)

    @property
    def told(self) -> str:
        """The summary with people's notes and reasons, unless they were erased."""
        texts = "; ".join(_texts(self.texts))
        return f"{self.summary}: {texts}" if texts else self.summary


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


class History(View):
    """A part of the audit trail, oldest first."""

    COLUMNS: ClassVar[int] = 180
    entries: tuple[Entry, ...] = ()

    def __repr__(self) -> str:
        return f"<History of {len(self)} records>"

    def __len__(self) -> int:
        return len(self.entries)

    def render(self) -> RenderableType:
        """Return one row per record."""
        return table(
            "position",
            "time",
            "who",
            "event",
            "about",
            "what",
            rows=((e.position, short_time(e.time), e.who, e.type, e.about, e.told) for e in self.entries),
        )
