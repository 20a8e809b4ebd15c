"""From the command line to an event loop, and back to an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import TypeVar

import anyio

__all__ = ("BROKEN_PIPE", "INTERRUPTED", "USAGE", "run_command")

USAGE, INTERRUPTED, BROKEN_PIPE = 2, 130, 141  # 128 and SIGINT, SIGPIPE

T = TypeVar("T")


def run_command(
    command: Callable[[T], Awaitable[int]], settings: T, *, backend: str
) -> int:
    """
    Run a command and return its exit status.

    2: this Python lacks the backend; 130: it was interrupted where the command does
    not notice; 141: nobody reads what it prints.

    """
    if backend == "trio" and find_spec("trio") is None:
        print(
            "trio is not installed: pip install 'wsclient[trio]', or leave out "
            "--backend trio",
            file=sys.stderr,
        )
        return USAGE
    status = INTERRUPTED
    try:
        status = anyio.run(command, settings, backend=backend)
        sys.stdout.flush()
    except* KeyboardInterrupt:
        pass  # where signals cannot be received, and before and after they are
    except* BrokenPipeError:
        # As behind `| head`. What is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = BROKEN_PIPE
    return status
