"""A recording played back says what was said, and fails who says otherwise."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest

import wsclient
from wsclient.errors import ArgumentError
from wsclient.protocol import CloseReceived, Endpoint, Pong, Role, parse_uri
from wsclient.testing import VIRTUAL_BACKENDS, Network, virtual_backend
from wsclient.testing.recorder import recorded
from wsclient.testing.recording import Match, Recording, ReplayMismatch
from wsclient.testing.script import ScriptedServer
from wsclient.testing.transcript import INTRODUCTION, Head, What
from wsclient.transport import dial as real_dial
from wsclient.wire import Dial

REQUEST = """\
> 0.0 |GET / HTTP/1.1
      |Host: elsewhere.test
      |Upgrade: websocket
      |Connection: Upgrade
      |Sec-WebSocket-Version: 13
      |
< 0.1 |HTTP/1.1 101 Switching Protocols
      |Upgrade: websocket
      |
"""
SUBSCRIBED = """\
< 0.2 text 'welcome'
> 0.3 text '{"op": "subscribe"}'
< 1.3 text 'subscribed'
> 1.4 close 1000
< 1.5 close 1000
< 1.5 EOF
> 1.5 EOF
"""
OPENING = Endpoint(Role.CLIENT).connect(parse_uri("ws://feed.test/"))
virtual = pytest.mark.parametrize("anyio_backend", VIRTUAL_BACKENDS, indirect=True)


Connecting = AbstractAsyncContextManager[wsclient.Connection]


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return virtual_backend(request.param)


@pytest.fixture
def network() -> Network:
    return Network(latency=(0.02, 0.02))


def recording(events: str, request: str = REQUEST) -> Recording:
    """Read the events of one connection, an ordinary request before them."""
    return Recording.parse(f"{INTRODUCTION}connection 1\n{request}{events}", "it")


def replaying(
    network: Network,
    played: Recording,
    *,
    match: Match | None = None,
    timed: bool = False,
    **options: Any,
) -> ScriptedServer:
    host = network.host("feed.test")
    scripts = played.scripts(match=match, timed=timed)
    options = {"port": 80} | options
    return ScriptedServer(*scripts, host="feed.test", listen=host.listen, **options)


def connect(url: str, dial: Dial, **options: Any) -> Connecting:
    options = {"ping_interval": None, "compression": None} | options
    return wsclient.connect(url, dial=dial, **options)


async def subscribe(ws: wsclient.Connection, said: str = '{"op": "subscribe"}') -> None:
    assert await ws.recv() == "welcome"
    await ws.send(said)
    assert await ws.recv() == "subscribed"


async def fails(
    network: Network,
    played: Recording,
    talk: Callable[[wsclient.Connection], Awaitable[object]],
    **options: Any,
) -> str:
    """Let a client talk to a recording it does not follow; return what is shown."""

    async def run() -> None:
        async with replaying(network, played, **options) as server:
            # It is reset: what the server raises is what counts.
            with suppress(wsclient.WebSocketError):
                async with connect(server.url(), network.dial) as ws:
                    await talk(ws)
                    await ws.recv()
            await server.peer.until_gone()

    with pytest.raises(ReplayMismatch) as caught:
        await run()
    return str(caught.value)


async def says(
    network: Network, played: Recording, data: bytes, *, goes: bool, timed: bool = False
) -> None:
    """Let a client say these bytes and go, or wait for what comes of it."""
    async with replaying(network, played, timed=timed) as server:
        wire = await network.dial("feed.test", 80, tls=None, reached=lambda _: None)
        wire.write(data)
        if goes:
            await wire.aclose()
        await (await server.until_peer(1)).until_gone()
        wire.abort()


# What was recorded is said again.


async def feed(ws: wsclient.Connection) -> None:
    """A service with a greeting, subscriptions and last words."""
    await ws.send("welcome")
    async for message in ws:
        if message == "bye":
            await ws.close(1001, "so long")
            return
        await ws.send(f"{message!r} heard")
        await ws.send(b"\0\1\2" * 100)


async def follow(url: str, dial: Dial, **options: Any) -> list[Any]:
    """Use that service; return all it said."""
    heard: list[Any] = []
    async with connect(url, dial, **options) as ws:
        heard.append(await ws.recv())
        for message in ("x" * 300, b"\xff" * 50):
            await ws.send(message)
            heard += [await ws.recv(), await ws.recv()]
        await ws.ping()
        await ws.send("bye")
        with pytest.raises(wsclient.ConnectionClosed) as closed:
            await ws.recv()
        heard.append(closed.value.facts.received)
    return heard


@virtual
@pytest.mark.parametrize("compression", [None, "deflate"])
async def test_a_recorded_server_is_played_back_to_the_same_client(
    network: Network, tmp_path: Path, compression: str | None
) -> None:
    path, again = tmp_path / "feed.recording", tmp_path / "again.recording"
    options = {"compression": compression, "random": Random(1)}
    host = network.host("feed.test")
    async with wsclient.serve(
        feed, "feed.test", 80, listen=host.listen, compression=compression
    ):
        heard = await follow("ws://feed.test/", recorded(network.dial, path), **options)
    deflate = wsclient.Deflate() if compression else None
    played = Recording.load(path)
    async with replaying(network, played, timed=True, deflate=deflate) as server:
        dial = recorded(network.dial, again)
        assert await follow(server.url(), dial, **options) == heard
        await server.peer.until_gone()
    (first,), (second,) = played.connections, Recording.load(again).connections
    assert [each.what for each in second.events] == [each.what for each in first.events]


@virtual
async def test_each_connection_has_its_script(network: Network) -> None:
    played = Recording.parse(
        f"{INTRODUCTION}connection 1\n{REQUEST}< 0.2 text 'one'\n< 0.2 reset\n"
        f"connection 2\n{REQUEST}< 0.2 text 'two'\n"
    )
    async with (
        replaying(network, played) as server,
        wsclient.Client(server.url(), dial=network.dial) as client,
    ):
        assert await client.recv() == "one"
        assert await client.recv() == "two"
    assert len(server.peers) == 2


@virtual
async def test_a_client_that_came_back_comes_back_again(
    network: Network, tmp_path: Path
) -> None:
    path = tmp_path / "feed.recording"
    host = network.host("feed.test")

    async def trades(ws: wsclient.Connection) -> None:
        async for message in ws:
            topic = json.loads(message)["channel"]
            for number in range(3):
                await ws.send(json.dumps({"channel": topic, "number": number}))
                await anyio.sleep(25)  # long enough for pings

    async def use(url: str, dial: Dial, drop: Callable[[], object]) -> list[int]:
        got = []
        async with (
            wsclient.Client(
                url, dial=dial, subprotocol=wsclient.JsonTopics(key="channel")
            ) as client,
            client.subscribe({"channel": "trades"}) as subscription,
        ):
            async for trade in subscription:
                got.append(trade["number"])
                if len(got) == 2:
                    drop()
                if len(got) == 5:
                    return got
        raise AssertionError("the subscription ended")

    async with wsclient.serve(trades, "feed.test", 80, listen=host.listen):
        dial = recorded(network.dial, path)
        lived = await use("ws://feed.test/", dial, lambda: host.links[-1].reset())
    assert lived == [0, 1, 0, 1, 2]
    async with replaying(network, Recording.load(path), timed=True) as server:
        assert await use(server.url(), network.dial, lambda: None) == lived


@virtual
async def test_answers_come_at_once_or_when_they_came(network: Network) -> None:
    async def took(*, timed: bool) -> float:
        played = recording(SUBSCRIBED)
        async with (
            replaying(network, played, timed=timed) as server,
            connect(server.url(), network.dial) as ws,
        ):
            assert await ws.recv() == "welcome"
            began = anyio.current_time()
            await ws.send('{"op": "subscribe"}')
            assert await ws.recv() == "subscribed"
            return anyio.current_time() - began

    assert await took(timed=False) == pytest.approx(0.04)
    assert await took(timed=True) == pytest.approx(1.04)


@virtual
async def test_a_refusal_is_played_back_as_it_was(network: Network) -> None:
    request, _, _ = REQUEST.partition("< 0.1")
    played = recording(
        "< 0.1 |HTTP/1.1 503 Busy\n  |Retry-After: 7\n  |Content-Length: 4\n  |\n"
        "< 0.1 body 'busy'\n< 0.2 EOF\n",
        request,
    )
    async with replaying(network, played) as server:
        with pytest.raises(wsclient.HandshakeRejected) as caught:
            async with connect(server.url(), network.dial):
                pass
    assert caught.value.status == 503
    assert ("retry-after", "7") in caught.value.headers
    assert caught.value.body == b"busy"


@virtual
async def test_bytes_that_break_the_protocol_are_sent_as_they_were(
    network: Network,
) -> None:
    played = recording("< 0.2 text 'good'\n< 0.2 raw 8300\n> 0.2 close 1002\n")
    async with replaying(
        network, played, match=lambda was, now: isinstance(now, CloseReceived)
    ) as server:
        async with connect(server.url(), network.dial) as ws:
            assert await ws.recv() == "good"
            with pytest.raises(wsclient.ConnectionLost) as caught:
                await ws.recv()
        assert caught.value.facts.reason is wsclient.Reason.PROTOCOL_ERROR


@virtual
async def test_headers_and_the_subprotocol_of_the_answer_are_said(
    network: Network,
) -> None:
    request = REQUEST.replace(
        "13\n      |", "13\n      |Sec-WebSocket-Protocol: a, b\n      |"
    ).replace(
        "|Upgrade: websocket\n      |\n",
        "|Upgrade: websocket\n      |Sec-WebSocket-Protocol: b\n      |X-Node: 7\n |\n",
    )
    async with replaying(network, recording("", request)) as server:
        dial = network.dial
        async with connect(server.url(), dial, subprotocols=["a", "b"]) as ws:
            assert ws.subprotocol == "b"
            assert ws.response is not None
            assert dict(ws.response.headers)["x-node"] == "7"


@virtual
async def test_pings_are_answered_and_not_compared(network: Network) -> None:
    played = recording("< 0.2 ping 6869\n> 0.3 pong 6869\n> 0.4 ping 01\n" + SUBSCRIBED)
    async with (
        replaying(network, played) as server,
        connect(server.url(), network.dial) as ws,
    ):
        await ws.ping()
        await subscribe(ws)
    assert server.peer.times(Pong)


@virtual
async def test_last_words_that_crossed_a_close_are_heard(network: Network) -> None:
    crossed = "> 0.2 close 1000\n< 0.2 text 'late'\n< 0.3 close 1000\n< 0.3 EOF\n"
    async with (
        replaying(network, recording(crossed)) as server,
        connect(server.url(), network.dial) as ws,
    ):
        assert await ws.recv() == "late"
    assert server.peer.close_code == 1000


@virtual
async def test_a_close_that_was_never_answered_is_not_answered(
    network: Network,
) -> None:
    played = recording("> 0.2 text 'hi'\n> 0.2 close 1000\n> 5.2 reset\n< 5.3 EOF\n")
    async with replaying(network, played) as server:
        async with connect(server.url(), network.dial, close_timeout=3) as ws:
            await ws.send("hi")
            began = anyio.current_time()
        assert anyio.current_time() - began == pytest.approx(3)


@virtual
async def test_a_recording_that_is_cut_off_leaves_the_end_to_the_client(
    network: Network,
) -> None:
    cut, _, _ = SUBSCRIBED.partition("> 1.4")
    async with replaying(network, recording(cut)) as server:
        async with connect(server.url(), network.dial) as ws:
            await subscribe(ws)
        await server.peer.until_gone()
    assert server.peer.close_code == 1000


# A client that says otherwise is told so.


@virtual
async def test_another_message_is_shown_below_what_went_before(
    network: Network,
) -> None:
    async def talk(ws: wsclient.Connection) -> None:
        await ws.recv()
        await ws.send('{"op": "unsubscribe"}')

    shown = await fails(network, recording(SUBSCRIBED), talk)
    line = INTRODUCTION.count("\n") + 1 + REQUEST.count("\n") + 2
    first, *rows = shown.split("\n")
    assert first == f"it:{line}: the client says otherwise"
    assert rows == [
        *("  > |GET / HTTP/1.1", "    |Host: elsewhere.test"),
        *("    |Upgrade: websocket", "    |Connection: Upgrade"),
        *("    |Sec-WebSocket-Version: 13", "    |"),
        *("  < |HTTP/1.1 101 Switching Protocols", "    |Upgrade: websocket", "    |"),
        "  < text 'welcome'",
        '- > text \'{"op": "subscribe"}\'',
        '+ > text \'{"op": "unsubscribe"}\'',
        "?                 ++",
    ]


@virtual
@pytest.mark.parametrize(
    ("events", "say", "shown"),
    [
        ("> 0.2 text 'a'\n", "ab", "+ > text 'ab'"),
        ("> 0.2 text 'a'\n", b"a", "+ > binary 61"),
        ("> 0.2 text 'a'\n", None, "+ > close 1000"),
        ("> 0.2 close 1000\n", "a", "+ > text 'a'"),
        ("> 0.2 close 1001\n", None, "+ > close 1000"),
        ("> 0.2 EOF\n", "a", "- > EOF"),
        ("", "a", "- > (nothing more)"),
        ("> 0.2 text 'a'\n< 0.3 EOF\n", "b", "- > text 'a'"),
    ],
)
async def test_whatever_differs_is_shown(
    network: Network, events: str, say: str | bytes | None, shown: str
) -> None:
    async def talk(ws: wsclient.Connection) -> None:
        await (ws.close() if say is None else ws.send(say))

    assert shown in (await fails(network, recording(events), talk)).split("\n")


@virtual
async def test_a_client_that_leaves_early_is_told_what_was_to_come(
    network: Network,
) -> None:
    async def dies(ws: wsclient.Connection) -> None:
        assert await ws.recv() == "a"
        network.links[-1].eof("up")

    heard = recording("< 0.1 text 'a'\n> 0.2 text 'b'\n")
    shown = await fails(network, heard, dies)
    assert shown.endswith("- > text 'b'\n+ > (it has gone)")
    spoken = recording("< 0.1 text 'a'\n< 5.2 text 'b'\n")
    shown = await fails(network, spoken, dies, timed=True)
    assert shown.endswith("- < text 'b'\n+ > (it has gone)")


@virtual
async def test_a_client_that_breaks_the_protocol_is_told_how(network: Network) -> None:
    played = recording("> 0.2 text 'a'\n")
    with pytest.raises(ReplayMismatch, match="frame is not masked"):
        await says(network, played, OPENING + b"\x81\1a", goes=False)


@virtual
async def test_a_client_that_breaks_the_protocol_is_told_how_while_it_listens(
    network: Network,
) -> None:
    played = recording("< 5.0 text 'a'\n")
    with pytest.raises(ReplayMismatch, match="frame is not masked"):
        await says(network, played, OPENING + b"\x81\1a", goes=False, timed=True)


@virtual
async def test_a_request_that_is_none_is_told_why(network: Network) -> None:
    with pytest.raises(ReplayMismatch, match="the method is POST"):
        await says(
            network,
            recording(""),
            b"POST / HTTP/1.1\r\nHost: feed.test\r\n\r\n",
            goes=False,
        )


@virtual
async def test_a_file_in_which_a_server_says_the_impossible_is_told_so(
    network: Network,
) -> None:
    request, _, _ = REQUEST.partition("< 0.1")
    with pytest.raises(wsclient.LocalProtocolError, match="while CONNECTING"):
        await says(network, recording("< 0.2 text 'a'\n", request), OPENING, goes=False)


@virtual
@pytest.mark.parametrize(
    ("path", "headers", "shown"),
    [
        ("/other", {}, "+ > |GET /other HTTP/1.1"),
        ("/", {"X-Api-Key": "1"}, "+   |x-api-key: 1"),
        ("/", {"Authorization": "s3cret"}, "+   |authorization: ***"),
    ],
)
async def test_another_request_is_shown_without_its_secrets(
    network: Network, path: str, headers: dict[str, str], shown: str
) -> None:
    async def run() -> None:
        async with replaying(network, recording("")) as server:
            with suppress(wsclient.ConnectError):
                async with connect(server.url(path), network.dial, headers=headers):
                    pass

    with pytest.raises(ReplayMismatch) as caught:
        await run()
    assert shown in str(caught.value).split("\n")
    assert "s3cret" not in str(caught.value)


@virtual
async def test_a_client_that_leaves_without_a_request_is_told(network: Network) -> None:
    with pytest.raises(ReplayMismatch, match="it has gone"):
        await says(network, recording(""), b"GET / HTTP/1.1\r\n", goes=True)


@virtual
async def test_what_is_hidden_in_a_request_may_differ_and_the_rest_may_not(
    network: Network,
) -> None:
    request = REQUEST.replace("GET /", "GET /live?token=***&v=2").replace(
        "13\n", "13\n      |Cookie: ***\n      |X-Key: ***\n", 1
    )

    async def dial(path: str) -> None:
        headers = {"Cookie": "other", "X-Key": "other"}
        async with replaying(network, recording("", request)) as server:
            url = server.url(path)
            async with connect(url, network.dial, headers=headers):
                pass

    await dial("/live?token=mine&v=2")
    with pytest.raises((ReplayMismatch, wsclient.ConnectError)) as caught:
        await dial("/live?token=mine&v=3")
    assert "v=3" in "".join([str(caught.value), *caught.value.__notes__])


# match= lets through what may differ.


@virtual
async def test_match_is_asked_about_what_differs_only(network: Network) -> None:
    asked: list[tuple[What, What]] = []

    def match(was: What, now: What) -> bool:
        asked.append((was, now))
        assert isinstance(was, str)
        assert isinstance(now, str)
        return bool(json.loads(was)["op"] == json.loads(now)["op"])

    async with (
        replaying(network, recording(SUBSCRIBED), match=match) as server,
        connect(server.url(), network.dial) as ws,
    ):
        await subscribe(ws, '{"op": "subscribe", "id": 7}')
    assert asked == [('{"op": "subscribe"}', '{"op": "subscribe", "id": 7}')]

    async def talk(ws: wsclient.Connection) -> None:
        await ws.recv()
        await ws.send('{"op": "other"}')

    assert "other" in await fails(network, recording(SUBSCRIBED), talk, match=match)


@virtual
async def test_match_may_let_a_request_through(network: Network) -> None:
    def match(was: What, now: What) -> bool:
        return isinstance(now, Head)

    async with (
        replaying(network, recording(""), match=match) as server,
        connect(server.url("/other"), network.dial),
    ):
        pass


# Files.


def test_a_recording_tells_what_it_holds() -> None:
    played = recording(SUBSCRIBED)
    assert repr(played) == "<Recording of 1 connections>"
    (connection,) = played.connections
    assert connection.messages(Role.CLIENT) == ['{"op": "subscribe"}']
    assert connection.messages(Role.SERVER) == ["welcome", "subscribed"]


def test_a_file_that_is_no_recording_is_named(tmp_path: Path) -> None:
    path = tmp_path / "feed.recording"
    path.write_text("hello")
    with pytest.raises(ArgumentError, match=r"feed\.recording:1: "):
        Recording.load(path)
    with pytest.raises(FileNotFoundError):
        Recording.load(tmp_path / "none")


# On real sockets.


@pytest.mark.real
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_recording_of_real_sockets_is_played_back_on_them(
    anyio_backend_name: str, tmp_path: Path
) -> None:
    path = tmp_path / "feed.recording"
    async with wsclient.serve(feed, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.addresses[0][1]}/"
        heard = await follow(url, recorded(real_dial, path), compression="deflate")
    played = Recording.load(path)
    async with ScriptedServer(*played.scripts()) as again:
        assert await follow(again.url(), real_dial) == heard
