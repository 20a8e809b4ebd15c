"""The simulation is sharp: it catches each broken variant of the source."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.testing.simulate.mutants.variants import Variant, prove, variants
from wsclient.testing.simulate.__main__ import main

VARIANTS = variants()
RANGES = sorted({(one.first, one.last, one.backend) for one in VARIANTS})


def test_there_are_variants_enough() -> None:
    assert len(VARIANTS) >= 10


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_a_broken_variant_applies_and_is_caught(
    variant: Variant, tmp_path: Path
) -> None:
    verdict = prove(
        variant.apply(tmp_path), variant.first, variant.last, variant.backend
    )
    assert (verdict.status, verdict.check) == (1, variant.check), verdict.output


@pytest.mark.parametrize(("first", "last", "backend"), RANGES)
def test_the_source_as_it_is_keeps_its_promises(
    first: int, last: int, backend: str
) -> None:
    seeds = ["--from", str(first), "--seeds", str(last - first + 1), "--jobs", "1"]
    assert main([*seeds, "--backend", backend]) == 0
