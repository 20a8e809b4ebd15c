"""The command line: ``wsclient demo``."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from importlib import import_module
from random import SystemRandom

from .demo import Settings, run

__all__ = ("main",)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says and return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help(sys.stderr)
        return 2
    seed = options.seed
    if seed is None:
        seed = SystemRandom().randrange(1, 10_000)
    return run(
        Settings(
            duration=options.duration,
            seed=seed,
            backend=options.backend,
            plain=options.plain,
        )
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wsclient",
        description="WebSocket conversations that outlive their connections.",
    )
    version = import_module("..", __name__).__version__  # the face knows it
    parser.add_argument("--version", action="version", version=f"wsclient {version}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="a client that lives through drops, refusals, stalls and a restart",
        description=(
            "A server in a process of its own drops, refuses and stalls its client, is "
            "killed and comes back; a client with three subscriptions lives through "
            "it. At the end both sides' records are compared, message by message. The "
            "exit status is 0 if they agree, 1 if not, 130 if it was interrupted."
        ),
    )
    demo.add_argument(
        "--duration",
        type=_duration,
        default=30.0,
        metavar="SECONDS",
        help="how long it takes, about (default: 30)",
    )
    demo.add_argument(
        "--seed", type=int, metavar="N", help="the same troubles again (default: any)"
    )
    demo.add_argument(
        "--backend",
        choices=("asyncio", "trio"),
        default="asyncio",
        help="the event loop (default: asyncio)",
    )
    demo.add_argument(
        "--plain", action="store_true", help="lines instead of the live view"
    )
    return parser


def _duration(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= 86_400:
        raise argparse.ArgumentTypeError(
            f"{text!r}: give seconds, more than 0 and at most a day"
        )
    return seconds
