"""The pages as the tests read them: headings, tables, links and snippets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_SLOT = re.compile(r"^( *)\.\.\.$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True, slots=True)
class Snippet:
    """
    One block of Python on a page.

    ``around`` stands hidden before it, in a comment ``<!-- run ... -->``: what the
    test does around the block, which takes the place of a line ``...``.

    """

    page: str
    line: int
    code: str
    around: str = "..."

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str | None:
        """The name under which the page tells its reader to save it."""
        match = re.match(r"# (\w+\.py)\n", self.code)
        return match[1] if match else None

    @property
    def source(self) -> str:
        """The block with what is around it."""
        slot = _SLOT.search(self.around)
        assert slot, f"{self}: no line '...' in the comment before it"
        indented = "".join(
            slot[1] + line if line.strip() else line
            for line in self.code.splitlines(keepends=True)
        )
        return self.around[: slot.start()] + indented + self.around[slot.end() :]


def pages() -> list[Path]:
    """Return README, CHANGELOG and every page of docs/."""
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]


def name_of(page: Path) -> str:
    """Return the path of a page from the root of the repository."""
    return page.relative_to(ROOT).as_posix()


def snippets_of(page: Path) -> Iterator[Snippet]:
    """Give each block of Python, with the hidden comment right before it."""
    around = "..."
    lines = enumerate(page.read_text(encoding="utf-8").splitlines(), 1)
    for number, line in lines:
        if line == "<!-- run":
            around = "\n".join(until(lines, "-->"))
        elif line == "```python":
            code = "\n".join(until(lines, "```")) + "\n"
            yield Snippet(name_of(page), number, code, around)
            around = "..."
        elif line.startswith("```"):
            list(until(lines, "```"))
        elif line:
            assert around == "...", f"{page.name}:{number}: a comment without a block"


def until(lines: Iterator[tuple[int, str]], end: str) -> Iterator[str]:
    """Give the lines up to one that says ``end``."""
    for _, line in lines:
        if line.strip() == end:
            return
        yield line
    raise AssertionError(f"{end!r} is missing")


def prose_of(page: Path) -> str:
    """Return a page without its blocks and its comments."""
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def links_of(page: Path) -> list[str]:
    """Return what a page links to."""
    return _LINK.findall(prose_of(page))


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose_of(page), re.MULTILINE)
    return {
        re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-")
        for heading in headings
    }


def table_of(page: str, name: str) -> list[list[str]]:
    """Return the rows of the table under ``<!-- table: name -->``, as cells."""
    text = (ROOT / page).read_text(encoding="utf-8")
    start = text.find(f"<!-- table: {name} -->")
    assert start >= 0, f"{page} has no table {name!r}"
    rows: list[list[str]] = []
    for line in text[start:].splitlines()[1:]:
        if line.startswith("|"):
            cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
            rows.append([cell.strip() for cell in cells])
        elif rows:
            break
    return [row for row in rows[1:] if not set("".join(row)) <= set("-: ")]


def recording_on_the_page() -> str:
    """Return the recorded conversation that docs/testing.md shows."""
    text = (DOCS / "testing.md").read_text(encoding="utf-8")
    _, _, block = text.partition("<!-- recording -->\n```\n")
    return block.partition("```")[0]


def names_in(cell: str) -> list[str]:
    """Return what stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)
