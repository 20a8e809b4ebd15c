"""``wsclient proxy LISTEN TARGET``: break what passes between a client and a server."""

from __future__ import annotations

import math
import signal
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import anyio

from ..errors import ArgumentError
from ..testing.proxy import Proxy
from ..testing.proxy_link import ProxyLink
from ..transport.sockets import authority, text_of
from .running import USAGE, run_command
from .terminal import Lines, Screen, is_dialogue

__all__ = ("Settings", "add_options", "run", "settings_of")

DESCRIPTION = """\
Listens at LISTEN and dials TARGET for each client; what comes is passed on byte for
byte, both ways, be it WebSocket, TLS or anything else. Each link's beginning and end
is printed. LISTEN and TARGET are written as PORT or HOST:PORT, on this machine where
no host is given.
"""

TYPED = """\
what may be typed while it runs, for every link, or for one by its number:
  reset [N]            both ends get a reset
  forget [N]           nothing is said; who speaks next gets a reset
  eof [N] [WAY]        FIN; WAY is up (to the server), down or both
  silence [N] [WAY]    nothing arrives any more
  stall [N] [WAY]      nothing is read any more
  heal [N]             ends silence and stall
  refuse, listen       refuse new clients, and take them again
  links                those that are live
  latency 0.1-0.3      any option but --drop-every and --backend, without its dashes;
                       'none' lifts a bound

Ctrl-C ends it and resets all links.
"""

VERBS = ("reset", "forget", "eof", "silence", "stall", "heal")
WAYS = ("up", "down", "both")
ONE_WAY = ("eof", "silence", "stall")  # verbs that take a way

FAILED = 1

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Rule:
    """An option that is a rule of the proxy; ``none``: what it is typed with to end."""

    parse: Callable[[str], Any]
    metavar: str
    help: str
    none: float | None = None


def seconds(text: str) -> float | tuple[float, float]:
    """Read seconds, or a range of them."""
    least, dash, most = text.partition("-")
    return (float(least), float(most)) if dash else float(least)


ENDINGS = "eof, reset, silence or forget"

RULES = {
    "latency": Rule(
        seconds,
        "SECONDS",
        "hold bytes back, each way; 0.1-0.3: between the two",
        none=0.0,
    ),
    "bandwidth": Rule(float, "BYTES", "let so many pass a second, each way of a link"),
    "idle-timeout": Rule(
        float, "SECONDS", "end links without a byte for so long, as load balancers do"
    ),
    "on-idle": Rule(str, "HOW", f"how: {ENDINGS} (default: reset)"),
    "cut-after": Rule(int, "BYTES", "end each link after so many, both ways together"),
    "on-cut": Rule(str, "HOW", f"how: {ENDINGS} (default: reset)"),
    "on-unreachable": Rule(
        str,
        "HOW",
        "what clients meet when TARGET is down: eof, reset or silence (default: eof)",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the command line says; ``rules`` are arguments of the proxy."""

    listen: Address
    target: Address
    rules: dict[str, Any]
    drop_every: float | None = None
    backend: str = "asyncio"


def add_options(parser: ArgumentParser) -> None:
    """Add what may be said to a parser."""
    parser.description = DESCRIPTION
    parser.epilog = TYPED
    parser.add_argument("listen", metavar="LISTEN", type=_address)
    parser.add_argument("target", metavar="TARGET", type=_address)
    for name, rule in RULES.items():
        parser.add_argument(
            f"--{name}", type=rule.parse, metavar=rule.metavar, help=rule.help
        )
    parser.add_argument(
        "--drop-every",
        type=_period,
        metavar="SECONDS",
        help="reset all links so often",
    )
    parser.add_argument(
        "--backend",
        choices=("asyncio", "trio"),
        default="asyncio",
        help="the event loop (default: asyncio)",
    )


def settings_of(options: Namespace) -> Settings:
    """Return what was said."""
    names = [name.replace("-", "_") for name in RULES]
    rules = {name: getattr(options, name) for name in names}
    return Settings(
        listen=options.listen,
        target=options.target,
        rules={name: value for name, value in rules.items() if value is not None},
        drop_every=options.drop_every,
        backend=options.backend,
    )


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdecimal() and int(port) < 65536):
        raise ArgumentTypeError(f"{text!r}: write it as PORT or HOST:PORT")
    return host.strip("[]") or "127.0.0.1", int(port)


def _period(text: str) -> float:
    try:
        period = float(text)
    except ValueError:
        period = math.nan
    if not period > 0:
        raise ArgumentTypeError(f"{text!r}: give seconds, more than 0")
    return period


class Console:
    """A proxy at work: what it tells, and what it is told."""

    def __init__(self, proxy: Proxy, settings: Settings, screen: Screen) -> None:
        self._proxy = proxy
        self._settings = settings
        self._screen = screen
        # Callbacks only note it down: printing may fail, and that ends the command.
        self._notes, self._noted = anyio.create_memory_object_stream[str](math.inf)
        proxy.on_link = self._began
        proxy.on_end = self._ended

    async def run(self) -> int:
        """Work until a signal comes; return the exit status."""
        status = 0
        with self._notes, self._noted:
            async with self._proxy:
                here = authority(self._proxy.address)
                self._tell(f"= {here} leads to {authority(self._settings.target)}")
                async with anyio.create_task_group() as group:
                    group.start_soon(self._print)
                    group.start_soon(self._type)
                    group.start_soon(self._drop)
                    status = await _signalled()
                    group.cancel_scope.cancel()
            with suppress(anyio.WouldBlock):  # the ends of those that were live
                while True:
                    self._screen.note(self._noted.receive_nowait())
        return status

    def _began(self, link: ProxyLink) -> None:
        self._tell(f"+ {link.number} from {authority(link.client)}")

    def _ended(self, link: ProxyLink) -> None:
        self._tell(f"- {link.number} {link.ended}; {tally(link)}")

    def _tell(self, line: str) -> None:
        self._notes.send_nowait(line)

    async def _print(self) -> None:
        async for line in self._noted:
            self._screen.note(line)

    async def _drop(self) -> None:
        while self._settings.drop_every is not None:
            await anyio.sleep(self._settings.drop_every)
            self._proxy.reset()

    async def _type(self) -> None:
        """Do what is typed; after the end of the input it works on."""
        lines = Lines(sys.stdin.fileno())
        self._screen.prompt()
        while (line := await lines.next()) is not None:
            self._screen.entered()
            try:
                answer = obey(self._proxy, line.decode(errors="replace").split())
            except ValueError as error:
                answer = [f"! {error}"]
            for each in answer:
                self._tell(each)
            self._screen.prompt()


def obey(proxy: Proxy, words: list[str]) -> list[str]:
    """
    Do what a typed line says; return the lines that answer.

    Raises:
        ValueError: it says nothing that can be done; the text tells why.

    """
    match words:
        case []:
            return []
        case ["links"]:
            return [f"  {link.number} {tally(link)}" for link in proxy.live]
        case ["refuse"]:
            proxy.refuses = True
        case ["listen"]:
            proxy.refuses = False
        case [name, value] if name in RULES:
            rule = RULES[name]
            meant = rule.none if value == "none" else rule.parse(value)
            setattr(proxy, name.replace("-", "_"), meant)
        case [verb, *rest] if verb in VERBS:
            _break(proxy, verb, rest)
        case _:
            what = ", ".join((*VERBS, "refuse", "listen", "links", *RULES))
            raise ValueError(f"{' '.join(words)!r}: type one of {what}")
    return []


def _break(proxy: Proxy, verb: str, words: list[str]) -> None:
    target: Proxy | ProxyLink = proxy
    if words and words[0].isdecimal():
        number = int(words.pop(0))
        found = [link for link in proxy.live if link.number == number]
        if not found:
            raise ValueError(f"no link {number} is live")
        [target] = found
    if words and not (verb in ONE_WAY and len(words) == 1 and words[0] in WAYS):
        way = " [up|down|both]" if verb in ONE_WAY else ""
        raise ValueError(f"{' '.join(words)!r}: write {verb} [NUMBER]{way}")
    getattr(target, verb)(*words)


def tally(link: ProxyLink) -> str:
    """Say what a link has carried, and for how long."""
    until = anyio.current_time() if link.ended_at is None else link.ended_at
    return (
        f"{link.up.given:,} bytes up, {link.down.given:,} down, "
        f"{until - link.opened_at:.1f} s"
    )


async def _signalled() -> int:
    """Wait for Ctrl-C or SIGTERM; return the exit status."""
    if sys.platform == "win32":  # no signals for event loops: KeyboardInterrupt
        await anyio.sleep_forever()
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for number in signals:
            return 128 + number
    raise AssertionError("signals do not end")


async def proxy(settings: Settings) -> int:
    """Be a proxy on this terminal; return the exit status."""
    if hasattr(signal, "SIGTTIN"):
        # Sent to the background, where nobody can type, it is to go on.
        signal.signal(signal.SIGTTIN, signal.SIG_IGN)
    dialogue = is_dialogue(sys.stdin, sys.stdout)
    host, port = settings.listen
    errors = Screen(sys.stdout, sys.stderr, dialogue=False)
    try:
        made = Proxy(*settings.target, host=host, port=port, **settings.rules)
    except ArgumentError as error:
        errors.note(f"wsclient proxy: {error}")
        return USAGE
    screen = Screen(sys.stdout, sys.stdout, dialogue=dialogue)
    try:
        return await Console(made, settings, screen).run()
    except BrokenPipeError:
        raise
    except OSError as error:
        where = authority(settings.listen)
        errors.note(f"wsclient proxy: cannot listen on {where}: {text_of(error)}")
        return FAILED
    finally:
        screen.close()


def run(settings: Settings) -> int:
    """
    Be a proxy on this terminal and return the exit status.

    1: it cannot listen there, 2: the command line was wrong, 130 and 143: it was ended
    by Ctrl-C or SIGTERM, 141: nobody reads what it prints.

    """
    return run_command(proxy, settings, backend=settings.backend)
