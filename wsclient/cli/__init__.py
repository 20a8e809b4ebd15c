"""The command line: ``wsclient connect``, ``wsclient demo``, ``wsclient proxy``."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from importlib import import_module
from random import SystemRandom
from typing import TypeAlias

from . import connect, demo, proxy
from .options import add_options, settings_of

__all__ = ("main",)

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says and return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help(sys.stderr)
        return 2
    status: int = options.run(options)
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wsclient",
        description="WebSocket conversations that outlive their connections.",
    )
    version = import_module("..", __name__).__version__  # the face knows it
    parser.add_argument("--version", action="version", version=f"wsclient {version}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    _add_connect(commands)
    _add_demo(commands)
    _add_proxy(commands)
    return parser


def _add_connect(commands: Commands) -> None:
    parser = commands.add_parser(
        "connect",
        help="talk to a server by hand, or from a script",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser)

    def run(options: argparse.Namespace) -> int:
        if options.slash and options.reconnect:
            parser.error("argument --slash: not allowed with argument --reconnect")
        return connect.run(settings_of(options))

    parser.set_defaults(run=run)


def _add_proxy(commands: Commands) -> None:
    parser = commands.add_parser(
        "proxy",
        help="break what passes between a client and a server",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    proxy.add_options(parser)

    def run(options: argparse.Namespace) -> int:
        return proxy.run(proxy.settings_of(options))

    parser.set_defaults(run=run)


def _add_demo(commands: Commands) -> None:
    parser = commands.add_parser(
        "demo",
        help="a client that lives through drops, refusals, stalls and a restart",
        description=(
            "A server in a process of its own drops, refuses and stalls its client, is "
            "killed and comes back; a client with three subscriptions lives through "
            "it. At the end both sides' records are compared, message by message. The "
            "exit status is 0 if they agree, 1 if not, 130 if it was interrupted."
        ),
    )
    parser.add_argument(
        "--duration",
        type=_duration,
        default=30.0,
        metavar="SECONDS",
        help="how long it takes, about (default: 30)",
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="the same troubles again (default: any)"
    )
    parser.add_argument(
        "--backend",
        choices=("asyncio", "trio"),
        default="asyncio",
        help="the event loop (default: asyncio)",
    )
    parser.add_argument(
        "--plain", action="store_true", help="lines instead of the live view"
    )
    parser.set_defaults(run=_demo)


def _demo(options: argparse.Namespace) -> int:
    seed = options.seed
    if seed is None:
        seed = SystemRandom().randrange(1, 10_000)
    settings = demo.Settings(
        duration=options.duration,
        seed=seed,
        backend=options.backend,
        plain=options.plain,
    )
    return demo.run(settings)


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
