"""
Shows that the simulation catches the broken variants of the source.

::

    python -m tests.testing.simulate.mutants                     # 500 seeds each
    python -m tests.testing.simulate.mutants --only double-dial

It ends with status 1 if a patch is not caught, or not by the check that it names.

"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.testing.simulate.mutants.variants import Variant, prove, variants


def main() -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.testing.simulate.mutants")
    parser.add_argument("--seeds", type=int, default=500, help="at most, for each")
    parser.add_argument("--only", action="append", help="the variants of these names")
    options = parser.parse_args()
    chosen = [v for v in variants() if not options.only or v.name in options.only]
    missed = [v.name for v in chosen if not _caught(v, options.seeds)]
    print(f"{len(chosen) - len(missed)} of {len(chosen)} caught", *missed)
    return 1 if missed or not chosen else 0


def _caught(variant: Variant, seeds: int) -> bool:
    before = os.times()
    with TemporaryDirectory() as directory:
        root = variant.apply(Path(directory))
        verdict = prove(root, 0, seeds - 1, "both")
    after = os.times()
    cpu = after.children_user + after.children_system
    cpu -= before.children_user + before.children_system
    right = verdict.status == 1 and verdict.check == variant.check
    text = f"{verdict.story} by {verdict.check!r}" if verdict.check else "NOT CAUGHT"
    print(f"{variant.name}: applied; {text}; {cpu:.1f} CPU s", flush=True)
    if not right:
        print(f"  expected {variant.check!r}\n{verdict.output[-600:]}")
    return right


if __name__ == "__main__":
    sys.exit(main())
