"""Links of the pages lead somewhere."""

from tests.docs.markdown import (
    ROOT,
    anchors,
    links,
    pages,
)


def test_relative_links_lead_to_files_and_headings_that_exist() -> None:
    dead = []
    for page in pages():
        for link in links(page):
            if "://" in link or link.startswith("mailto:"):
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                dead.append(f"{page.relative_to(ROOT)}: {link}")
    assert dead == []


def test_every_page_under_docs_can_be_reached_from_the_readme() -> None:
    seen, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        seen.add(page)
        for link in links(page):
            target = (page.parent / link.partition("#")[0]).resolve()
            if "://" not in link and target.suffix == ".md" and target.exists() and target not in seen:
                todo.append(target)
    assert sorted(str(page.relative_to(ROOT)) for page in set(pages()) - seen) == []
