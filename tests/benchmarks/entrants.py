"""Who takes part: each library, as it is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ("ENTRANTS", "Entrant")

SPEED = ("isal", "zlib_ng")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """
    A library, as it is used.

    ``library`` is a function under ``libraries`` that opens connections, ``keep`` one
    that keeps a conversation across them, ``needs`` the modules to be there,
    ``statement`` what a user imports, and ``settings`` what it is told besides.

    """

    library: str = ""
    keep: str = ""
    needs: tuple[str, ...] = ()
    backend: str = "asyncio"
    loop: str | None = None
    pure: bool = False
    statement: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ours(self) -> bool:
        return self.library.startswith("ours.")

    @property
    def floor(self) -> bool:
        return not self.library or self.library.startswith("floors.")


ENTRANTS: dict[str, Entrant] = {
    # wsclient: a connection, a client that outlives it, and where else they run.
    "wsclient": Entrant(
        library="ours.connection", statement="import wsclient; wsclient.connect"
    ),
    # An event loop is loaded with the first connection: here it is counted too.
    "wsclient and its loop": Entrant(
        library="ours.connection",
        statement="import asyncio, wsclient.transport.asyncio; wsclient.connect",
    ),
    "Client": Entrant(
        library="ours.client",
        keep="ours.keep",
        statement="import wsclient; wsclient.Client",
    ),
    "wsclient uvloop": Entrant(
        library="ours.connection", loop="uvloop", needs=("uvloop",)
    ),
    "wsclient trio": Entrant(library="ours.connection", backend="trio"),
    "Client trio": Entrant(library="ours.client", keep="ours.keep", backend="trio"),
    "wsclient pure": Entrant(library="ours.connection", pure=True),
    "wsclient level 1": Entrant(library="ours.connection", settings={"level": 1}),
    "wsclient[speed]": Entrant(
        library="ours.connection", needs=SPEED, settings={"backend": "auto"}
    ),
    "wsclient[speed] level 1": Entrant(
        library="ours.connection",
        needs=SPEED,
        settings={"backend": "auto", "level": 1},
    ),
    "10 subscriptions": Entrant(library="ours.routed", settings={"topics": 10}),
    "10,000 subscriptions": Entrant(library="ours.routed", settings={"topics": 10_000}),
    "by hand, 10": Entrant(library="ours.sorted_by_hand", settings={"topics": 10}),
    "by hand, 10,000": Entrant(
        library="ours.sorted_by_hand", settings={"topics": 10_000}
    ),
    # Other libraries.
    "picows": Entrant(
        library="peers.picows",
        keep="peers.keep_picows",
        needs=("picows",),
        statement="from picows.websockets.asyncio.client import connect",
    ),
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
    "aiohttp isal": Entrant(
        library="peers.aiohttp",
        needs=("aiohttp", "isal"),
        settings={"backend": "isal.isal_zlib"},
    ),
    "aiohttp zlib-ng": Entrant(
        library="peers.aiohttp",
        needs=("aiohttp", "zlib_ng"),
        settings={"backend": "zlib_ng.zlib_ng"},
    ),
    "websockets": Entrant(
        library="peers.websockets",
        keep="peers.keep_websockets",
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
    # Floors.
    "blocking socket": Entrant(library="floors.socket_alone"),
    "asyncio protocol": Entrant(library="floors.protocol"),
    "asyncio alone": Entrant(statement="import asyncio, ssl"),
}
