"""Every snippet on every page does what the page says."""

from __future__ import annotations

import anyio
import pytest

from .pages import Snippet, pages, snippets_of
from .rig import HANG, Rig

pytestmark = pytest.mark.real

SNIPPETS = [snippet for page in pages() for snippet in snippets_of(page)]


def test_the_pages_have_snippets() -> None:
    assert len({snippet.page for snippet in SNIPPETS}) >= 5


@pytest.mark.parametrize(
    "snippet", [snippet for snippet in SNIPPETS if snippet.file is None], ids=str
)
async def test_a_snippet_runs(snippet: Snippet, rig: Rig) -> None:
    with anyio.fail_after(HANG):
        await rig.run(snippet)
