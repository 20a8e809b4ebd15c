"""Every snippet on every page does what the page says."""

from __future__ import annotations

import anyio
import pytest

from .pages import ROOT, Snippet, pages, snippets_of
from .rig import HANG, Rig

pytestmark = pytest.mark.real

SNIPPETS = [snippet for page in pages() for snippet in snippets_of(page)]
EXAMPLES = [
    path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("examples/**/*.py"))
]


def run_elsewhere(snippet: Snippet) -> bool:
    """Whether it is a file of the tutorial, or an excerpt of a tested example."""
    excerpt = any(snippet.code in text for text in EXAMPLES)
    return snippet.file is not None or excerpt


def test_the_pages_have_snippets() -> None:
    assert len({snippet.page for snippet in SNIPPETS}) >= 5


@pytest.mark.parametrize(
    "snippet", [snippet for snippet in SNIPPETS if not run_elsewhere(snippet)], ids=str
)
async def test_a_snippet_runs(snippet: Snippet, rig: Rig) -> None:
    with anyio.fail_after(HANG):
        await rig.run(snippet)
