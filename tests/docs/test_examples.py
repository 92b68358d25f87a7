"""Every example of the pages does what the page says."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from tests.docs.markdown import (
    ROOT,
    Block,
    blocks,
    pages,
)
from tests.docs.sandbox import Room

RUN = ("console", "python", "yaml", "json", "toml", "sh")
WITH_EXAMPLES = [page for page in pages() if any(block.language in RUN for block in blocks(page))]
AT_ONCE = 2


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[Path, Future[None]]]:
    """The pages of this run, begun in their order; they mostly wait, so that two go side by side."""
    params = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    wanted = [each["page"] for each in params if each.get("page") in WITH_EXAMPLES]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {page: pool.submit(run_examples, page, tmp_path_factory.mktemp(page.stem)) for page in wanted}


def run_examples(page: Path, folder: Path) -> None:
    """Run a page's blocks; raises where one does not do what the page says."""
    with Room(folder) as room:
        for block, following in pairwise([*blocks(page), Block("", "", "", 0)]):
            if block.language in RUN:
                room.run(block, following.text if following.language == "text" else None)


@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_examples_of(page: Path, runs: Mapping[Path, Future[None]]) -> None:
    runs[page].result()


def test_every_block_has_a_language_that_is_known() -> None:
    known = {*RUN, "text"}
    odd = [f"{page.relative_to(ROOT)}:{b.line}" for page in pages() for b in blocks(page) if b.language not in known]
    assert odd == []
