"""The page on queries."""

from collections.abc import Iterator

from docs.reference.fields import fields_table
from docs.reference.layout import page
from release_management.services.queries import QUERIES


def text() -> str:
    """Return the page on every query."""

    def listed() -> Iterator[str]:
        for name, query in sorted(QUERIES.items()):
            yield from (f"## {name}", "", query.meaning.replace("DORA five", "[DORA five](../discussions/dora.md)"), "")
            yield from fields_table(query.params)
            found = ", ".join(f"`{column}`" for column in query.answer_columns())
            yield from (f"Each row has: {found}.", "")

    return page(
        "Queries",
        """
        Questions by name, to the read models, or to the log itself where that is said. On the bus: a request to
        `relman.ask.query.<name>` with `{"params": {…}, "after": 0}`; the answer is `{"answer": [rows]}`, or
        `{"error": "what is wrong", "code": "invalid"}` with one of [the codes](errors.md). `after` is a
        position: the answer waits until the read model has taken in the log up to it, so you read what you wrote.
        An answer is a page: at most `limit` rows, and at most 200 kB of them. Where there are more, `"next_cursor"`
        stands beside the rows: ask again with the same parameters and that `cursor`, until there is none. A cursor
        names the last row that was given, so that what is added meanwhile skips and doubles nothing; a row that itself
        takes another place in the order meanwhile may be told twice, or not at all. A cursor of another query, or of
        other parameters, is refused.
        With `"unfinished": true` the last row is longer than the page: the first row of the next page holds what
        follows in its lists and mappings, to be put behind them. Where such a row was changed meanwhile, the cursor is
        refused: begin again.
        Rows show people's names and opened texts; columns that hold nothing may be absent or null.
        """,
        listed(),
    )
