"""The tables: who takes part, in which contests, and what is told of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ("CONTESTS", "ENTRANTS", "FIGURES", "OURS", "Contest", "Entrant", "Figure")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """
    A library, as it is used.

    ``library`` is a function under ``libraries``, ``needs`` the modules to be there,
    ``statement`` what a user imports, and ``settings`` what it is told besides.

    """

    library: str = ""
    needs: tuple[str, ...] = ()
    backend: str = "asyncio"
    loop: str | None = None
    pure: bool = False
    statement: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


PICOWS = "from picows.websockets.asyncio.client import connect"

ENTRANTS: dict[str, Entrant] = {
    # wsclient: a connection, a client that outlives it, and where else they run.
    "wsclient": Entrant(
        library="ours.connection", statement="import wsclient; wsclient.connect"
    ),
    "Client": Entrant(library="ours.client"),
    "wsclient uvloop": Entrant(
        library="ours.connection", loop="uvloop", needs=("uvloop",)
    ),
    "wsclient trio": Entrant(library="ours.connection", backend="trio"),
    "Client trio": Entrant(library="ours.client", backend="trio"),
    "wsclient pure": Entrant(library="ours.connection", pure=True),
    "wsclient level 1": Entrant(library="ours.connection", settings={"level": 1}),
    "10 subscriptions": Entrant(library="ours.routed", settings={"topics": 10}),
    "10,000 subscriptions": Entrant(library="ours.routed", settings={"topics": 10_000}),
    "by hand, 10": Entrant(library="ours.sorted_by_hand", settings={"topics": 10}),
    "by hand, 10,000": Entrant(
        library="ours.sorted_by_hand", settings={"topics": 10_000}
    ),
    "Client comes back": Entrant(library="ours.keep"),
    "Client trio comes back": Entrant(library="ours.keep", backend="trio"),
    "Client base=0.1": Entrant(library="ours.keep", settings={"base": 0.1}),
    "Client trio base=0.1": Entrant(
        library="ours.keep", backend="trio", settings={"base": 0.1}
    ),
    # Other libraries.
    "picows": Entrant(library="peers.picows", needs=("picows",), statement=PICOWS),
    "picows uvloop": Entrant(
        library="peers.picows", loop="uvloop", needs=("picows", "uvloop")
    ),
    "picows callbacks": Entrant(
        library="peers.picows_callbacks",
        needs=("picows",),
        statement="from picows import ws_connect",
    ),
    "aiohttp": Entrant(
        library="peers.aiohttp",
        needs=("aiohttp",),
        statement="from aiohttp import ClientSession",
    ),
    "websockets": Entrant(
        library="peers.websockets",
        needs=("websockets",),
        statement="from websockets.asyncio.client import connect",
    ),
    "trio-websocket": Entrant(
        library="peers.trio_websocket",
        needs=("trio_websocket",),
        backend="trio",
        statement="from trio_websocket import open_websocket_url",
    ),
    "httpx-ws": Entrant(
        library="peers.httpx_ws",
        needs=("httpx_ws",),
        statement="from httpx_ws import aconnect_ws",
    ),
    "httpx-ws trio": Entrant(
        library="peers.httpx_ws", needs=("httpx_ws",), backend="trio"
    ),
    "picows comes back": Entrant(library="peers.keep_picows", needs=("picows",)),
    "websockets comes back": Entrant(
        library="peers.keep_websockets", needs=("websockets",)
    ),
    # Floors.
    "blocking socket": Entrant(library="floors.socket_alone"),
    "asyncio protocol": Entrant(library="floors.protocol"),
    "asyncio alone": Entrant(statement="import asyncio, ssl"),
}

OURS = ("wsclient", "Client", "subscriptions")
"""How the names of our own entrants begin, or end."""

EVERYBODY = (
    "wsclient",
    "wsclient uvloop",
    "wsclient trio",
    "wsclient pure",
    "picows",
    "aiohttp",
    "websockets",
    "trio-websocket",
    "httpx-ws",
    "httpx-ws trio",
    "asyncio protocol",
    "blocking socket",
)
SMALL = ("wsclient", "Client", *EVERYBODY[1:5], "picows uvloop", *EVERYBODY[5:])
COMPRESSING = (
    "wsclient",
    "wsclient trio",
    "wsclient pure",
    "picows",
    "aiohttp",
    "websockets",
)
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
    "late": Figure("latest beyond its delay, s", 1, 3),
}

MESSAGES = ("cpu", "rate")
TRIPS = ("p50", "cpu")
TIMES = ("cpu_ms", "wall_ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """
    One measure: who takes part, and what is told of them, the first to rank them by.

    ``number`` is how many connections take part, ``repeat`` how often a round has each
    measured, ``instead`` the measure of those that have no such call.

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
    seconds: float = 0.4
    clients: int = 1
    keepalive: float | None = None
    outage: float = 0.0
    repeat: int = 1
    instead: Mapping[str, str] = field(default_factory=dict)

    @property
    def peer(self) -> str | None:
        """Which module is the other end, if there is one."""
        if self.measure == "import":
            return None
        return (
            "crowd"
            if self.measure in ("in-turn", "at-once", "idle", "comeback")
            else "peer"
        )


SIZES = {64: "64 B", 1024: "1 KiB", 65_536: "64 KiB", 1 << 20: "1 MiB"}
JSON = "1 KiB of JSON, compressed"


def _contests() -> list[Contest]:
    everybody = {64: SMALL}
    return [
        *(
            Contest(
                name=f"receive-{name.replace(' ', '')}",
                group="Receiving",
                what=f"receive {name} texts, one recv() each",
                measure="receive",
                entrants=everybody.get(size, EVERYBODY),
                size=size,
            )
            for size, name in SIZES.items()
        ),
        Contest(
            name="batches",
            group="Receiving",
            what="receive 64 B texts in batches: recv_many(), or callbacks",
            measure="take",
            entrants=(
                "wsclient",
                "Client",
                "wsclient uvloop",
                "wsclient trio",
                "wsclient pure",
                "picows callbacks",
            ),
        ),
        *(
            Contest(
                name=f"send-{name.replace(' ', '')}",
                group="Sending",
                what=f"send {name} texts, each awaited",
                measure="send",
                entrants=everybody.get(size, EVERYBODY),
                size=size,
            )
            for size, name in SIZES.items()
        ),
        Contest(
            name="send-many",
            group="Sending",
            what="send 64 B texts, 1000 in one send_many(); others as they can",
            measure="send-many",
            entrants=(
                "wsclient",
                "Client",
                "wsclient uvloop",
                "wsclient trio",
                "wsclient pure",
                "picows callbacks",
                "picows",
            ),
            instead={"picows": "send"},
        ),
        *(
            Contest(
                name=f"trip-{name.replace(' ', '')}",
                group="Round trips",
                what=f"{name} there and back, the peer answers after 50 us",
                measure="round-trip",
                entrants=SMALL if size == 32 else EVERYBODY,
                figures=TRIPS,
                size=size,
            )
            for size, name in {32: "32 B", 1024: "1 KiB", 65_536: "64 KiB"}.items()
        ),
        Contest(
            name="receive-deflate",
            group="Compression",
            what=f"receive {JSON}",
            measure="receive",
            entrants=COMPRESSING,
            figures=(*MESSAGES, "ratio"),
            size=1024,
            deflate=True,
        ),
        Contest(
            name="send-deflate",
            group="Compression",
            what=f"send {JSON}, each awaited",
            measure="send",
            entrants=("wsclient", "wsclient level 1", *COMPRESSING[1:]),
            figures=(*MESSAGES, "ratio"),
            size=1024,
            deflate=True,
        ),
        Contest(
            name="trip-tls",
            group="TLS",
            what="32 B there and back over TLS",
            measure="round-trip",
            entrants=EVERYBODY,
            figures=("cpu", "p50"),
            size=32,
            tls=True,
        ),
        *(
            Contest(
                name=f"{measure}-tls-{name.replace(' ', '')}",
                group="TLS",
                what=f"{measure} {name} texts over TLS",
                measure=measure,
                entrants=EVERYBODY,
                size=size,
                tls=True,
            )
            for measure in ("receive", "send")
            for size, name in {1024: "1 KiB", 65_536: "64 KiB"}.items()
        ),
        Contest(
            name="connect",
            group="Many connections",
            what="connect and close, one after another",
            measure="in-turn",
            entrants=CONNECTING,
            figures=TIMES,
        ),
        Contest(
            name="at-once",
            group="Many connections",
            what="1000 connect at once, for each",
            measure="at-once",
            entrants=CONNECTING,
            figures=TIMES,
            clients=1000,
        ),
        Contest(
            name="idle",
            group="Many connections",
            what="2000 idle connections, a ping every 3 s",
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
            keepalive=3,
        ),
        Contest(
            name="import",
            group="Import",
            what="import it in a fresh interpreter",
            measure="import",
            entrants=(
                "wsclient",
                "picows",
                "picows callbacks",
                "aiohttp",
                "websockets",
                "trio-websocket",
                "httpx-ws",
                "asyncio alone",
            ),
            figures=TIMES,
        ),
        Contest(
            name="drop",
            group="Coming back",
            what="500 clients come back after a drop",
            measure="comeback",
            entrants=(
                "Client base=0.1",
                "Client trio base=0.1",
                "picows comes back",
                "websockets comes back",
            ),
            figures=("t95", "t50", "t100", "share", "late", "cpu_ms"),
            clients=500,
        ),
        Contest(
            name="outage",
            group="Coming back",
            what="500 clients come back after an outage of 2 s",
            measure="comeback",
            entrants=(
                "Client comes back",
                "Client trio comes back",
                "picows comes back",
                "websockets comes back",
            ),
            figures=("t95", "t50", "t100", "share", "late", "cpu_ms"),
            clients=500,
            outage=2,
        ),
        *(
            Contest(
                name=f"supervised-{measure}-{backend}",
                group="Supervision",
                what=f"receive 64 B texts with {call}, {backend}",
                measure=measure,
                entrants=ours,
                repeat=3,
            )
            for backend, ours in {
                "asyncio": ("wsclient", "Client"),
                "trio": ("wsclient trio", "Client trio"),
            }.items()
            for measure, call in {"iterate": "async for", "take": "recv_many()"}.items()
        ),
        Contest(
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
            repeat=3,
        ),
    ]


CONTESTS: dict[str, Contest] = {contest.name: contest for contest in _contests()}
