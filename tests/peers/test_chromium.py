"""Headless Chromium as a client of our server: what only a browser does."""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute

import wsclient

from .chromium import Chromium, Page, browser, page

pytestmark = pytest.mark.real

HTML = {"Content-Type": "text/html", "Set-Cookie": "session=s3cret"}
OPEN = "globalThis.ws = new WebSocket('ws://' + location.host + '/ws')"


def home(
    connection: wsclient.Connection, request: wsclient.Request
) -> wsclient.HTTPResponse | None:
    """Show a page at the root, which is where its scripts then come from."""
    if request.target == "/":
        return wsclient.HTTPResponse(200, "<title>home</title>", HTML)
    return None


@asynccontextmanager
async def at_home(
    chromium: Chromium, handler: Any, **options: Any
) -> AsyncIterator[tuple[Page, str]]:
    """Serve a page and WebSockets; the page is open, the URL that of the WebSockets."""
    options = {"process_request": home, **options}
    with anyio.fail_after(30):
        async with (
            wsclient.serve(handler, "127.0.0.1", **options) as server,
            page(chromium) as opened,
        ):
            authority = f"127.0.0.1:{server.addresses[0][1]}"
            await opened.go(f"http://{authority}/")
            yield opened, f"ws://{authority}/ws"


class Listener:
    """A handler that hears all until the end, and tells how that came."""

    def __init__(self) -> None:
        self.heard: list[str | bytes] = []
        self.end: wsclient.ConnectionClosed | wsclient.ConnectionLost | None = None
        self.ended = anyio.Event()

    async def __call__(self, ws: wsclient.Connection) -> None:
        try:
            while True:
                self.heard.append(await ws.recv())
        except (wsclient.ConnectionClosed, wsclient.ConnectionLost) as end:
            self.end = end
            self.ended.set()


async def echo(ws: wsclient.Connection) -> None:
    async for message in ws:
        await ws.send(message)


async def test_a_page_of_an_origin_we_know_is_let_in(chromium: Chromium) -> None:
    known = re.compile(r"http://127\.0\.0\.1:\d+")
    async with at_home(chromium, echo, origins=[known]) as (opened, url):
        saw = await opened.order(url=url, texts=[5], close=[1000, ""])
    assert saw["echoed"] == [True]


async def test_a_page_of_an_origin_we_do_not_know_hears_403(chromium: Chromium) -> None:
    origins: list[str | None] = []

    def look(connection: wsclient.Connection, request: wsclient.Request) -> None:
        origins.append(request.origin)

    with anyio.fail_after(30):
        async with (
            wsclient.serve(
                echo, "127.0.0.1", origins=["https://a.example"], process_request=look
            ) as server,
            page(chromium) as opened,
            opened.tools.client.subscribe("Network.webSocketFrameError") as errors,
        ):
            await errors.acknowledged()
            port = server.addresses[0][1]
            saw = await opened.order(url=f"ws://127.0.0.1:{port}/")
            told = (await errors.recv())["params"]["errorMessage"]
    assert (saw["code"], saw["clean"]) == (1006, False)
    assert told.endswith("Unexpected response code: 403")
    assert origins == ["null"]  # of a page from nowhere (RFC 6454, 7.1)


async def test_it_sends_the_cookies_that_we_have_set(chromium: Chromium) -> None:
    async def tell(ws: wsclient.Connection) -> None:
        assert ws.request is not None
        await ws.send(wsclient.cookies(ws.request)["session"])

    async with at_home(chromium, tell) as (opened, url):
        saw = await opened.order(url=url)
    assert saw["messages"] == ["s3cret"]


@pytest.mark.parametrize(
    "deflate",
    [
        wsclient.Deflate(),
        wsclient.Deflate(server_max_window_bits=15, client_max_window_bits=15),
        wsclient.Deflate(server_max_window_bits=8, client_max_window_bits=8),
        wsclient.Deflate(server_max_window_bits=None, client_max_window_bits=None),
        wsclient.Deflate(
            server_no_context_takeover=True, client_no_context_takeover=True
        ),
    ],
    ids=["default", "15", "8", "open", "no-takeover"],
)
async def test_it_speaks_the_compression_that_we_agree_on(
    chromium: Chromium, deflate: wsclient.Deflate
) -> None:
    sizes = [0, 1, 125, 126, 65535, 65536, 300_000] * 2  # the second time from context
    async with at_home(chromium, echo, compression=deflate) as (opened, url):
        saw = await opened.order(url=url, texts=sizes, binaries=sizes, close=[1000, ""])
    assert saw["echoed"] == [True] * 4 * 7
    for name in "client_no_context_takeover", "server_no_context_takeover":
        assert (name in saw["extensions"]) == getattr(deflate, name)
    for name in "client_max_window_bits", "server_max_window_bits":
        bits = getattr(deflate, name)
        assert (f"{name}={bits}" in saw["extensions"]) == (bits is not None)


async def test_text_and_binary_messages_stay_what_they_are(chromium: Chromium) -> None:
    listener = Listener()
    async with at_home(chromium, listener) as (opened, _):
        await opened.evaluate(
            f"""{OPEN};
            ws.onopen = () => {{
              ws.send("");
              ws.send(new ArrayBuffer(0));
              ws.send("é𝄞\\ud834!");  // half a pair becomes U+FFFD
              ws.send(new Blob(["é", "𝄞"]));
              ws.send(new Uint16Array([0x0201, 0x0403]).subarray(1));
              ws.close();
            }};
            null"""
        )
        await listener.ended.wait()
    assert listener.heard == ["", b"", "é𝄞\ufffd!", "é𝄞".encode(), b"\x03\x04"]


async def test_binary_messages_come_as_the_blobs_it_asks_for(
    chromium: Chromium,
) -> None:
    async def tell(ws: wsclient.Connection) -> None:
        for message in b"", b"\x00\xff" * 40_000, "text":
            await ws.send(message)

    async with at_home(chromium, tell) as (opened, _):
        saw = await opened.evaluate(
            f"""{OPEN};
            ws.binaryType = "blob";
            const saw = [];
            ws.onmessage = ({{data}}) => saw.push(data);
            new Promise((go) => (ws.onclose = go)).then(() => Promise.all(
              saw.map(async (it) => it instanceof Blob
                ? [...new Uint8Array(await it.arrayBuffer())].join() : it)
            ))"""
        )
    assert saw == ["", ",".join(["0,255"] * 40_000), "text"]


async def test_many_messages_at_once_come_back_in_order(chromium: Chromium) -> None:
    async with at_home(chromium, echo) as (opened, _):
        saw = await opened.evaluate(
            f"""{OPEN};
            ws.onopen = () => {{ for (let n = 0; n < 2000; n++) ws.send(String(n)); }};
            const saw = [];
            new Promise((go) => {{
              ws.onmessage = ({{data}}) => saw.push(data) === 2000 && go(saw);
            }})"""
        )
    assert saw == [str(n) for n in range(2000)]


async def test_a_close_of_the_server_is_clean_and_a_break_is_not(
    chromium: Chromium,
) -> None:
    async def end_as_told(ws: wsclient.Connection) -> None:
        assert ws.request is not None
        if ws.request.target == "/ws/close":
            await ws.close(4000, "why nöt")
        else:
            ws.extra(SocketAttribute.raw_socket).shutdown(socket.SHUT_RDWR)

    async with at_home(chromium, end_as_told) as (opened, url):
        closed = await opened.order(url=f"{url}/close")
        broken = await opened.order(url=f"{url}/break")
    ends = [(saw["code"], saw["reason"], saw["clean"]) for saw in (closed, broken)]
    assert ends == [(4000, "why nöt", True), (1006, "", False)]


@pytest.mark.parametrize(
    ("arguments", "received"),
    [("", "1005"), ("1000", "1000"), ("3001, 'sö lông'", "3001 sö lông")],
)
async def test_the_handler_hears_what_the_page_closes_with(
    chromium: Chromium, arguments: str, received: str
) -> None:
    listener = Listener()
    async with at_home(chromium, listener) as (opened, _):
        clean = await opened.evaluate(
            f"""{OPEN};
            ws.onopen = () => ws.close({arguments});
            new Promise((go) => (ws.onclose = ({{wasClean}}) => go(wasClean)))"""
        )
        await listener.ended.wait()
    assert clean is True
    assert isinstance(listener.end, wsclient.ConnectionClosed)
    assert str(listener.end.received) == received
    assert listener.end.initiator == "peer"


@pytest.mark.parametrize("method", ["Page.close", "Page.crash"])
async def test_the_handler_hears_1001_when_the_page_is_closed_or_crashes(
    chromium: Chromium, method: str
) -> None:
    listener = Listener()
    async with at_home(chromium, listener) as (opened, _):
        await opened.evaluate(f"{OPEN}; new Promise((go) => (ws.onopen = go))")
        await opened.tools.client.send({"id": 0, "method": method})
        await listener.ended.wait()
    assert isinstance(listener.end, wsclient.ConnectionClosed)
    assert listener.end.code == 1001


async def test_the_handler_hears_no_close_when_the_browser_is_killed(
    tmp_path: Path,
) -> None:
    listener = Listener()
    with browser(tmp_path) as chromium:
        async with at_home(chromium, listener) as (opened, _):
            await opened.evaluate(f"{OPEN}; new Promise((go) => (ws.onopen = go))")
            chromium.kill()
            await listener.ended.wait()
    assert isinstance(listener.end, wsclient.ConnectionLost)
    assert listener.end.reason in {"EOF", "RESET"}


async def test_our_pings_are_answered_while_the_page_can_do_nothing(
    chromium: Chromium,
) -> None:
    """The page waits, with all that it is, for an answer which waits for the pong."""
    ponged = anyio.Event()

    async def hold(
        connection: wsclient.Connection, request: wsclient.Request
    ) -> wsclient.HTTPResponse | None:
        if request.target == "/wait":
            await ponged.wait()
            return wsclient.HTTPResponse(200, "go on")
        return home(connection, request)

    async def ask(ws: wsclient.Connection) -> None:
        assert await ws.recv() == "busy"
        assert await ws.ping() > 0
        ponged.set()
        assert await ws.recv() == "go on"

    async with at_home(chromium, ask, process_request=hold) as (opened, _):
        code = await opened.evaluate(
            f"""{OPEN};
            ws.onopen = () => {{
              ws.send("busy");
              const request = new XMLHttpRequest();
              request.open("GET", "/wait", false);
              request.send();
              ws.send(request.responseText);
            }};
            new Promise((go) => (ws.onclose = ({{code}}) => go(code)))"""
        )
    assert code == 1000
    assert ponged.is_set()


async def test_a_page_that_offers_only_what_we_do_not_speak_gives_up(
    chromium: Chromium,
) -> None:
    """RFC 6455, 4.2.2: we then name none; a browser takes that for a refusal."""
    async with at_home(chromium, echo, subprotocols=["chat"]) as (opened, url):
        refused = await opened.order(url=url, subprotocols=["other"])
        silent = await opened.order(url=url, close=[1000, ""])
    assert (refused["code"], refused["clean"]) == (1006, False)
    assert (silent["code"], silent["subprotocol"]) == (1000, None)
