"""What the command line of ``wsclient connect`` may say."""

from __future__ import annotations

import math
import ssl
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from dataclasses import dataclass
from typing import Any

__all__ = ("Settings", "add_options", "settings_of")

DESCRIPTION = """\
Every line of the input is sent as a text message, every message received is printed
on a line of the output; everything else is told on the error output. At the end of
the input (Ctrl-D) the connection is closed.

The exit status is 0 if the connection was closed in order, 1 if it failed or something
was not sent, 2 if the command line was wrong, 130 after Ctrl-C.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    What the command line says.

    ``wait`` are the seconds from the end of the input until we leave; None: none at a
    terminal, else enough for the answers of a server nearby.

    """

    url: str
    headers: tuple[tuple[str, str], ...] = ()
    subprotocols: tuple[str, ...] = ()
    origin: str | None = None
    cafile: str | None = None
    insecure: bool = False
    compression: bool = True
    max_message_size: int | None = 2**20
    ping_interval: float | None = 20.0
    reconnect: bool = False
    binary: bool = False
    slash: bool = False
    wait: float | None = None
    verbose: bool = False
    backend: str = "asyncio"

    def arguments(self) -> dict[str, Any]:
        """
        Return the arguments that ``connect()`` and ``Client`` share.

        Raises:
            OSError: the file of authorities cannot be read, or has none in it.

        """
        return {
            "headers": self.headers,
            "subprotocols": self.subprotocols,
            "origin": self.origin,
            "tls": self._tls(),
            "compression": "deflate" if self.compression else None,
            "max_message_size": self.max_message_size,
            "ping_interval": self.ping_interval,
        }

    def _tls(self) -> ssl.SSLContext | None:
        if self.cafile is None and not self.insecure:
            return None
        context = ssl.create_default_context(cafile=self.cafile)
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def add_options(parser: ArgumentParser) -> None:
    """Add what may be said to a parser."""
    parser.description = DESCRIPTION
    parser.add_argument("url", metavar="URL", help="ws:// or wss://")
    _add_opening(parser)
    _add_talking(parser)


def _add_opening(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("the opening handshake")
    group.add_argument(
        "-H",
        "--header",
        dest="headers",
        action="append",
        default=[],
        type=_header,
        metavar="'NAME: VALUE'",
        help="send a header; may be repeated",
    )
    group.add_argument(
        "-s",
        "--subprotocol",
        dest="subprotocols",
        action="append",
        default=[],
        metavar="NAME",
        help="offer a subprotocol; may be repeated, best first",
    )
    group.add_argument("-o", "--origin", help="say where we come from, as browsers do")
    group.add_argument(
        "--no-compression",
        dest="compression",
        action="store_false",
        help="do not offer permessage-deflate",
    )
    trust = group.add_mutually_exclusive_group()
    trust.add_argument(
        "--cafile", metavar="FILE", help="trust the authorities in this file (PEM)"
    )
    trust.add_argument(
        "-k", "--insecure", action="store_true", help="trust whoever answers"
    )


def _add_talking(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("the conversation")
    group.add_argument(
        "-r",
        "--reconnect",
        action="store_true",
        help="connect again when the connection is lost, until Ctrl-C or Ctrl-D",
    )
    group.add_argument(
        "-w",
        "--wait",
        type=_seconds,
        metavar="SECONDS",
        help="stay so long after the end of the input, 'inf' for ever (default: 0 at "
        "a terminal, else 1)",
    )
    group.add_argument(
        "-b", "--binary", action="store_true", help="send lines as binary messages"
    )
    group.add_argument(
        "--slash",
        action="store_true",
        help="obey the lines /ping and /close [CODE [REASON]]",
    )
    group.add_argument(
        "--ping-interval",
        type=_seconds,
        default=20.0,
        metavar="SECONDS",
        help="ping so often, 0 for never (default: 20)",
    )
    group.add_argument(
        "--max-message-size",
        type=int,
        default=2**20,
        metavar="BYTES",
        help="take messages up to this size, 0 for any (default: 1048576)",
    )
    group.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="tell every message, ping and pong on the error output",
    )
    group.add_argument(
        "--backend",
        choices=("asyncio", "trio"),
        default="asyncio",
        help="the event loop (default: asyncio)",
    )


def settings_of(options: Namespace) -> Settings:
    """Return what was said."""
    return Settings(
        url=options.url,
        headers=tuple(options.headers),
        subprotocols=tuple(options.subprotocols),
        origin=options.origin,
        cafile=options.cafile,
        insecure=options.insecure,
        compression=options.compression,
        max_message_size=options.max_message_size or None,
        ping_interval=options.ping_interval or None,
        reconnect=options.reconnect,
        binary=options.binary,
        slash=options.slash,
        wait=options.wait,
        verbose=options.verbose,
        backend=options.backend,
    )


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name:
        raise ArgumentTypeError(f"{text!r}: write it as 'Name: value'")
    return name.strip(), value.strip()


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise ArgumentTypeError(f"{text!r}: give seconds, 0 or more")
    return seconds
