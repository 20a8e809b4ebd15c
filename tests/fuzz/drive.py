"""
Fuzzes one target in this process, until something is found.

It is the runner's other half, and of use by itself where libFuzzer's own options are
wanted::

    python -m tests.fuzz.drive frames -max_total_time=60 tests/fuzz/corpus/frames

"""

from __future__ import annotations

import signal
import sys
from importlib import import_module
from types import FrameType

import atheris

PATIENCE = 10.0  # seconds of CPU time for one input; the clock of a busy machine lies

# Only what is imported in here guides the search: the protocol, and the parser of HTTP
# that it stands on.
with atheris.instrument_imports(include=["wsclient.protocol", "h11"]):
    target = import_module(f"tests.fuzz.targets.{sys.argv.pop(1)}").target


def give_up(_signal: int, _frame: FrameType | None) -> None:
    """End an input that takes for ever."""
    raise TimeoutError(f"an input takes more than {PATIENCE} s of CPU time")


def once(data: bytes) -> None:
    """Try one input."""
    signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE)
    target(data)


if __name__ == "__main__":
    signal.signal(signal.SIGVTALRM, give_up)
    atheris.Setup(sys.argv, once)
    atheris.Fuzz()
