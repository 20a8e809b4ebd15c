"""What the fuzz targets began with and what they found, without a fuzzer."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from .__main__ import TARGETS
from .seeds import CORPUS, SEEDS

INPUTS = sorted(path.relative_to(CORPUS) for path in CORPUS.glob("*/*"))


@pytest.mark.parametrize("path", INPUTS, ids=str)
def test_no_input_of_the_corpus_breaks_a_promise(path: Path) -> None:
    target = import_module(f"{__package__}.targets.{path.parent.name}").target
    target((CORPUS / path).read_bytes())


def test_every_target_has_its_seeds_and_they_are_those_that_are_written_down() -> None:
    assert sorted(SEEDS) == TARGETS
    written = {
        Path(target, name): seed
        for target, seeds in SEEDS.items()
        for name, seed in seeds.items()
    }
    there = [path for path in INPUTS if not path.name.startswith("found-")]
    assert {path: (CORPUS / path).read_bytes() for path in there} == written
