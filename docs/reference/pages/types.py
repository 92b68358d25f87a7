"""The page on the types of fields."""

from collections.abc import Iterator

from docs.reference.fields import SHAPES, WORDS, doc, fields_table, row
from docs.reference.layout import page
from release_management.domain import plan


def text() -> str:
    """Return the page on the words and the shapes that the other pages speak of."""

    def listed() -> Iterator[str]:
        yield from ("## Words", "", "| word | what it allows |", "|---|---|")
        yield from (row(word, meaning) for word, _, meaning in WORDS if meaning)
        yield ""
        steps, actions = list(plan.STEPS.values()), list(plan.ACTIONS.values())
        for model in SHAPES:
            if model is steps[0]:
                yield from ("## Steps", "", "A plan's steps; `verb` says which.", "")
            if model is actions[0]:
                yield from ("## Actions", "", "What an executor is ordered to do; `verb` says which.", "")
            mark = "###" if model in (*steps, *actions) else "##"
            yield from (f"{mark} {model.__name__}", "", *doc(model).splitlines(), "")
            yield from fields_table(model)

    return page("Types", "What the fields of events, commands and settings may hold.", listed())
