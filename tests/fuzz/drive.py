"""
Fuzzes one target in this process, until something is found.

It is the runner's other half, and of use by itself where libFuzzer's own options are
wanted::

    python -m tests.fuzz.drive frames -max_total_time=60 tests/fuzz/corpus/frames

"""

from __future__ import annotations

import sys
from importlib import import_module

import atheris

# Only what is imported in here guides the search: the protocol, and the parser of HTTP
# that it stands on.
with atheris.instrument_imports(include=["wsclient.protocol", "h11"]):
    target = import_module(f"tests.fuzz.targets.{sys.argv.pop(1)}").target

if __name__ == "__main__":
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()
