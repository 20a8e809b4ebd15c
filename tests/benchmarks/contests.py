"""The contests: what is measured, who takes part, and what is told of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

__all__ = ("CONTESTS", "FIGURES", "Contest", "Figure")

EVERYBODY = (
    "wsclient",
    "wsclient trio",
    "wsclient pure",
    "picows",
    "picows callbacks",
    "aiohttp",
    "websockets",
    "trio-websocket",
    "httpx-ws",
    "asyncio protocol",
    "blocking socket",
)
LEADING = EVERYBODY[:7]
SMALL = (
    *EVERYBODY,
    "Client",
    "Client trio",
    "wsclient uvloop",
    "picows uvloop",
    "httpx-ws trio",
)
COMPRESSING = (
    "wsclient",
    "wsclient[speed]",
    "wsclient trio",
    "wsclient pure",
    "picows",
    "aiohttp",
    "aiohttp isal",
    "aiohttp zlib-ng",
    "websockets",
)
LEVEL_1 = ("wsclient level 1", "wsclient[speed] level 1")
CONNECTING = (
    "wsclient",
    "Client",
    "wsclient uvloop",
    "wsclient trio",
    "wsclient pure",
    "picows",
    "picows callbacks",
    "aiohttp",
    "websockets",
    "trio-websocket",
    "httpx-ws",
    "httpx-ws trio",
    "asyncio protocol",
)


@dataclass(frozen=True, slots=True)
class Figure:
    """What is told: a column, with its unit and whether less of it is better."""

    head: str
    factor: float = 1.0
    digits: int = 2


FIGURES: dict[str, Figure] = {
    "cpu": Figure("CPU us", 1e6),
    "cpu_ms": Figure("CPU ms", 1e3),
    "rate": Figure("per second", 1, 0),
    "p50": Figure("median us", 1e6, 1),
    "wall_ms": Figure("ms", 1e3),
    "ratio": Figure("compression ratio"),
    "memory": Figure("bytes a connection", 1, 0),
    "load": Figure("CPU ms per second, all", 1e3),
    "t50": Figure("50 % back, s", 1, 3),
    "t95": Figure("95 %, s", 1, 3),
    "t100": Figure("100 %, s", 1, 3),
    "share": Figure("most in 100 ms, %", 100, 1),
    "late": Figure("95 % beyond their delay, s", 1, 3),
}

CROWDED = ("in-turn", "at-once", "idle", "comeback")  # measures
MESSAGES = ("cpu", "rate")
TIMES = ("cpu_ms", "wall_ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """
    One measure: who takes part, and what is told of them, the first to rank them by.

    ``clients`` is how many connections take part, ``repeat`` how often a round has each
    measured, ``instead`` the measure of those that have no such call, and ``settings``
    what all are told.

    """

    name: str
    group: str
    what: str
    measure: str
    entrants: tuple[str, ...]
    figures: tuple[str, ...] = MESSAGES
    size: int = 64
    tls: bool = False
    deflate: bool = False
    seconds: float = 0.14
    clients: int = 1
    keepalive: float | None = None
    outage: float = 0.0
    repeat: int = 1
    instead: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def peer(self) -> str | None:
        """Which module is the other end, if there is one."""
        if self.measure == "import":
            return None
        return "crowd" if self.measure in CROWDED else "peer"


LARGE = {1024: "1 KiB", 65_536: "64 KiB", 1 << 20: "1 MiB"}
SIZES = {64: "64 B", **LARGE}


CALLED = {"picows callbacks": "take"}  # messages come, nobody asks for them


def _per_size(sizes: Mapping[int, str], name: str, **what: Any) -> Iterator[Contest]:
    """Make a contest for each size, whose name stands for {} in what it is."""
    for size, said in sizes.items():
        told = {"entrants": EVERYBODY, **what, "what": what["what"].format(said)}
        yield Contest(name=f"{name}-{said.replace(' ', '')}", size=size, **told)


def _messages() -> Iterator[Contest]:
    receiving: dict[str, Any] = {
        "group": "Receiving",
        "what": "receive {} texts, one recv() each; or callbacks",
        "measure": "receive",
        "instead": CALLED,
    }
    sending: dict[str, Any] = {
        "group": "Sending",
        "what": "send {} texts, each awaited",
        "measure": "send",
    }
    trips: dict[str, Any] = {
        "group": "Round trips",
        "what": "{} there and back, the peer answers after 50 us",
        "measure": "round-trip",
        "figures": ("p50", "cpu"),
    }
    yield from _per_size({64: "64 B"}, "receive", **receiving, entrants=SMALL)
    yield from _per_size(LARGE, "receive", **receiving)
    many = ("wsclient", "Client", "wsclient uvloop", "wsclient trio", "wsclient pure")
    yield Contest(
        name="batches",
        group="Receiving",
        what="receive 64 B texts in batches: recv_many(), or callbacks",
        measure="take",
        entrants=(*many, "picows callbacks"),
    )
    yield from _per_size({64: "64 B"}, "send", **sending, entrants=SMALL)
    yield from _per_size(LARGE, "send", **sending)
    yield Contest(
        name="send-many",
        group="Sending",
        what="send 64 B texts, 1000 in one send_many(); others as they can",
        measure="send-many",
        entrants=(*many, "picows callbacks", "picows"),
        instead={"picows": "send"},
    )
    yield from _per_size({32: "32 B"}, "trip", **trips, entrants=SMALL)
    yield from _per_size({1024: "1 KiB", 65_536: "64 KiB"}, "trip", **trips)


def _compressed() -> Iterator[Contest]:
    what: dict[str, Any] = {
        "group": "Compression",
        "figures": (*MESSAGES, "ratio"),
        "deflate": True,
    }
    yield from _per_size(
        SIZES,
        "receive-deflate",
        what="receive {} of JSON, compressed",
        measure="receive",
        entrants=COMPRESSING,
        **what,
    )
    yield from _per_size(
        SIZES,
        "send-deflate",
        what="send {} of JSON, compressed, each awaited",
        measure="send",
        entrants=(*COMPRESSING, *LEVEL_1),
        **what,
    )


def _over_tls() -> Iterator[Contest]:
    what: dict[str, Any] = {"group": "TLS", "tls": True}
    yield from _per_size(
        {32: "32 B"},
        "trip-tls",
        what="{} there and back over TLS, the peer answers after 50 us",
        measure="round-trip",
        figures=("cpu", "p50"),
        **what,
    )
    calls: dict[str, dict[str, Any]] = {
        "receive": {"what": "receive {} texts over TLS", "instead": CALLED},
        "send": {"what": "send {} texts over TLS, each awaited"},
    }
    for measure, more in calls.items():
        for size, said in SIZES.items():
            yield from _per_size(
                {size: said},
                f"{measure}-tls",
                measure=measure,
                entrants=EVERYBODY if size == 1024 else LEADING,
                **what,
                **more,
            )


def _of_many_connections() -> Iterator[Contest]:
    yield Contest(
        name="connect",
        group="Many connections",
        what="connect and close, one after another",
        measure="in-turn",
        entrants=CONNECTING,
        figures=TIMES,
    )
    yield Contest(
        name="at-once",
        group="Many connections",
        what="1000 connect at once, for each",
        measure="at-once",
        entrants=CONNECTING,
        figures=TIMES,
        clients=1000,
    )
    yield Contest(
        name="idle",
        group="Many connections",
        what="2000 idle connections, a ping every 2 s",
        measure="idle",
        entrants=(
            "wsclient",
            "Client",
            "wsclient trio",
            "picows",
            "aiohttp",
            "websockets",
            "trio-websocket",
            "httpx-ws",
        ),
        figures=("memory", "load"),
        clients=2000,
        keepalive=2,
    )
    yield Contest(
        name="import",
        group="Import",
        what="import it in a fresh interpreter",
        measure="import",
        entrants=(
            "wsclient",
            "wsclient and its loop",
            "Client",
            "picows",
            "picows callbacks",
            "aiohttp",
            "websockets",
            "trio-websocket",
            "httpx-ws",
            "asyncio alone",
        ),
        figures=TIMES,
    )


def _of_coming_back() -> Iterator[Contest]:
    what: dict[str, Any] = {
        "group": "Coming back",
        "measure": "comeback",
        "figures": ("t95", "t50", "t100", "share", "late", "cpu_ms"),
        "clients": 500,
    }
    yield Contest(
        name="drop",
        what="500 clients come back after a drop, ours with FullJitter(base=0.1)",
        entrants=("Client", "Client trio", "picows", "websockets"),
        settings={"base": 0.1},
        **what,
    )
    yield Contest(
        name="outage",
        what="500 clients come back after an outage of 2 s",
        entrants=("Client", "picows", "websockets"),
        outage=2,
        **what,
    )


def _of_supervision() -> Iterator[Contest]:
    for backend, entrants in {
        "asyncio": ("wsclient", "Client"),
        "trio": ("wsclient trio", "Client trio"),
    }.items():
        for measure, call in {"iterate": "async for", "take": "recv_many()"}.items():
            yield Contest(
                name=f"supervised-{measure}-{backend}",
                group="Supervision",
                what=f"receive 64 B texts with {call}, {backend}",
                measure=measure,
                entrants=entrants,
                seconds=0.25,
                repeat=3,
            )
    yield Contest(
        name="routing",
        group="Supervision",
        what="receive JSON texts of 33 B, routed to subscriptions",
        measure="route",
        entrants=(
            "10 subscriptions",
            "10,000 subscriptions",
            "by hand, 10",
            "by hand, 10,000",
        ),
        seconds=0.25,
        repeat=3,
    )


CONTESTS: dict[str, Contest] = {
    contest.name: contest
    for contest in chain(
        _messages(),
        _compressed(),
        _over_tls(),
        _of_many_connections(),
        _of_coming_back(),
        _of_supervision(),
    )
}
