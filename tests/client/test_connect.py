"""One connection: what cannot be asked for, every reason to fail, nothing left over."""

from __future__ import annotations

import math
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import pytest
import trustme

import wsclient
from wsclient import Deflate, Limits, Reason, WebSocketError
from wsclient.transport import dial
from wsclient.transport.resolver import AddressInfo

from ..checkpoints import cancelled_at
from .inv import anyio_backend, invariants
from .world import Loopback, Net, Peer, header

__all__ = ("anyio_backend",)

T = TypeVar("T")


# -- at the call ------------------------------------------------------------------


def no_argument() -> dict[str, str]:
    return {}


def two_arguments(attempt: object, more: object) -> dict[str, str]:
    return {}


def server_context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


TAKES_NONE: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"url": "http://a.test"}, wsclient.InvalidURI, "write ws:// instead"),
    ({"url": "https://a.test"}, wsclient.InvalidURI, "write wss:// instead"),
    ({"url": "a.test"}, wsclient.InvalidURI, "must begin with ws://"),
    ({"url": "ws://a.test/#part"}, wsclient.InvalidURI, "write '#' as %23"),
    ({"url": "ws://a.test/a b"}, wsclient.InvalidURI, "write %20"),
    ({"url": "ws:///path"}, wsclient.InvalidURI, "has no host"),
    ({"url": "ws://a.test:99999"}, wsclient.InvalidURI, "1 to 65535"),
    ({"url": b"ws://a.test"}, wsclient.InvalidURI, "a URL is a str"),
    ({"url": None}, wsclient.InvalidURI, "a URL is a str"),
    ({"headers": {"X": "a\r\nb: c"}}, wsclient.ArgumentError, "has a CR or LF"),
    ({"headers": {"X Y": "a"}}, wsclient.ArgumentError, "cannot be the name"),
    ({"headers": {"X": " a"}}, wsclient.ArgumentError, "strip spaces around it"),
    ({"headers": {"X": 5}}, wsclient.ArgumentError, "a header is a pair of str"),
    ({"headers": "X: a"}, wsclient.ArgumentError, "a mapping, or pairs"),
    ({"headers": {"Upgrade": "x"}}, wsclient.ArgumentError, "remove it"),
    ({"headers": [("Host", "a"), ("Host", "b")]}, wsclient.ArgumentError, "one Host"),
    ({"headers": no_argument}, wsclient.ArgumentError, r"def fresh_token\(attempt\)"),
    ({"headers": two_arguments}, wsclient.ArgumentError, r"fresh_token\(attempt\)"),
    ({"url": no_argument}, wsclient.ArgumentError, "url is a callable"),
    ({"origin": "a\nb"}, wsclient.ArgumentError, "Origin has a CR or LF"),
    (
        {"origin": "a", "headers": {"Origin": "b"}},
        wsclient.ArgumentError,
        "give the origin once",
    ),
    ({"user_agent": "a\nb"}, wsclient.ArgumentError, "User-Agent has a CR or LF"),
    ({"subprotocols": ["a b"]}, wsclient.ArgumentError, "use letters, digits"),
    ({"subprotocols": ["a", "a"]}, wsclient.ArgumentError, "offered twice"),
    ({"subprotocols": "chat"}, wsclient.ArgumentError, r"write \['chat'\]"),
    ({"tls": server_context}, wsclient.ArgumentError, r"give an ssl\.SSLContext"),
    ({"tls": True}, wsclient.ArgumentError, r"give an ssl\.SSLContext"),
    ({"tls": server_context()}, wsclient.ArgumentError, "create_default_context"),
    (
        {"url": "ws://a.test", "tls": ssl.create_default_context()},
        wsclient.ArgumentError,
        "write wss://",
    ),
    ({"compression": "gzip"}, wsclient.ArgumentError, "deflate"),
    ({"compression": True}, wsclient.ArgumentError, "deflate"),
    ({"max_message_size": 0}, wsclient.ArgumentError, "None for no limit"),
    ({"max_message_size": 1.5}, wsclient.ArgumentError, "None for no limit"),
    ({"dial": 5}, wsclient.ArgumentError, "give an async function"),
    *(
        ({name: value}, wsclient.ArgumentError, name)
        for name in (
            "open_timeout",
            "close_timeout",
            "ping_interval",
            "ping_timeout",
            "write_timeout",
            "slow_timeout",
        )
        for value in (-1, math.nan, "10", True)
    ),
    ({"ping_interval": 0}, wsclient.ArgumentError, "None sends no pings"),
]


@pytest.mark.parametrize(("options", "kind", "remedy"), TAKES_NONE)
def test_what_cannot_be_used_is_refused_at_the_call(
    options: dict[str, Any], kind: type[Exception], remedy: str
) -> None:
    url = options.get("url", "wss://a.test")
    others = {name: value for name, value in options.items() if name != "url"}
    with pytest.raises(kind, match=remedy):
        wsclient.connect(url, **others)


def test_a_secret_is_not_shown_when_it_cannot_be_sent() -> None:
    with pytest.raises(wsclient.ArgumentError) as caught:
        wsclient.connect("ws://a.test", headers={"Authorization": "hunter2\n"})
    assert "hunter2" not in str(caught.value)
    with pytest.raises(wsclient.InvalidURI) as caught:
        wsclient.connect("ws://me:hunter2@a.test:port/")
    assert "hunter2" not in str(caught.value)


def test_a_limit_is_checked_where_it_is_made() -> None:
    with pytest.raises(wsclient.ArgumentError, match="max_queue"):
        Limits(max_queue=0)
    with pytest.raises(wsclient.ArgumentError):
        Deflate(level=10)


def test_a_callable_that_does_not_tell_its_arguments_is_taken() -> None:
    wsclient.connect("ws://a.test", headers=dict)  # type: ignore[arg-type]


# -- what it does -----------------------------------------------------------------


async def test_entering_opens_and_leaving_closes() -> None:
    async with Net() as net:
        async with wsclient.connect(net.url(), dial=net.dial) as ws:
            assert ws.state.name == "OPEN"
        assert ws.state.name == "CLOSED"
        assert net.peer.close_code == 1000


async def test_what_is_asked_for_stands_in_the_request() -> None:
    async with (
        Net(port=8080) as net,
        wsclient.connect(
            "ws://me:secret@server.test:8080/feed?a=1",
            headers={"X-One": "1"},
            subprotocols=["chat"],
            origin="https://a.example",
            user_agent="me/1",
            dial=net.dial,
        ),
    ):
        request = await net.peer.request()
    assert request.target == "/feed?a=1"
    assert request.subprotocols == ("chat",)
    assert header(request, "Host") == "server.test:8080"
    assert header(request, "Authorization") == "Basic bWU6c2VjcmV0"
    assert header(request, "X-One") == "1"
    assert header(request, "Origin") == "https://a.example"
    assert header(request, "User-Agent") == "me/1"
    assert "permessage-deflate" in (header(request, "Sec-WebSocket-Extensions") or "")


async def test_what_is_not_wanted_does_not() -> None:
    async with (
        Net() as net,
        wsclient.connect(net.url(), user_agent=None, compression=None, dial=net.dial),
    ):
        request = await net.peer.request()
    for name in ("User-Agent", "Origin", "Sec-WebSocket-Extensions", "Authorization"):
        assert header(request, name) is None


class Oops(Exception):
    """The user's."""


async def test_what_the_body_raises_leaves_as_itself_and_the_peer_hears_1001() -> None:
    error = Oops()

    async def run() -> None:
        async with wsclient.connect(net.url(), dial=net.dial):
            raise error

    async with Net() as net:
        with pytest.raises(Oops) as caught:
            await run()
        await net.peer.until_gone()
        assert net.peer.close_code == 1001
    assert caught.value is error
    assert error.__context__ is None


async def test_one_call_is_one_connection() -> None:
    async with Net() as net:
        connecting = wsclient.connect(net.url(), dial=net.dial)
        async with connecting:
            with pytest.raises(wsclient.ConcurrencyError, match="call it again"):
                await connecting.__aenter__()
        assert len(net.peers) == 1


# -- twelve faults, twelve reasons ------------------------------------------------


async def serve_nothing(peer: Peer) -> None:
    await peer.until_gone()


async def fails_to_open(url: str, **options: Any) -> WebSocketError:
    with pytest.raises(wsclient.ConnectError) as caught:
        async with wsclient.connect(url, **options):
            raise AssertionError("it cannot be open")
    return caught.value


async def unknown_name() -> WebSocketError:
    async def resolve(host: str, port: int) -> list[AddressInfo]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    return await fails_to_open("ws://a.test", dial=partial(dial, resolve=resolve))


async def nobody_listens() -> WebSocketError:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return await fails_to_open(f"ws://127.0.0.1:{port}")


async def unknown_certificate() -> WebSocketError:
    context = server_context()
    trustme.CA().issue_cert("localhost").configure_cert(context)
    async with Loopback(tls=context) as world:
        return await fails_to_open(world.url())


async def refusal() -> WebSocketError:
    async with Loopback(lambda peer: peer.reject(403)) as world:
        return await fails_to_open(world.url())


async def no_answer() -> WebSocketError:
    async with Loopback(serve_nothing) as world:
        return await fails_to_open(world.url(), open_timeout=0.05)


async def for_ever(call: Callable[[], Awaitable[object]]) -> None:
    while True:
        await call()


async def ends(script: Callable[[Peer], object], **options: Any) -> WebSocketError:
    """Receive until a life ends that was open."""

    async def play(peer: Peer) -> None:
        await peer.accept()
        script(peer)
        await peer.until_gone()

    async with Loopback(play) as world:
        async with wsclient.connect(world.url(), **options) as ws:
            with pytest.raises(WebSocketError) as caught:
                await for_ever(ws.recv)
        return caught.value


async def hung_up() -> WebSocketError:
    return await ends(lambda peer: peer.hang_up())


async def broken_off() -> WebSocketError:
    return await ends(lambda peer: peer.reset())


async def closed() -> WebSocketError:
    return await ends(lambda peer: peer.close(4000, "enough"))


async def nonsense() -> WebSocketError:
    return await ends(lambda peer: peer.wire.write(b"\xff\xff"))


async def silence() -> WebSocketError:
    def mute(peer: Peer) -> None:
        peer.polite = False

    return await ends(mute, ping_interval=0.05, ping_timeout=0.05)


async def nobody_reads() -> WebSocketError:
    async with Loopback(stops_reading) as world:
        async with wsclient.connect(
            world.url(), write_timeout=0.1, compression=None
        ) as ws:
            with pytest.raises(wsclient.MaybeSent) as caught:
                await for_ever(partial(ws.send, bytes(1 << 20)))
        world.peer.wire.resume()
        cause = caught.value.__cause__
        assert isinstance(cause, WebSocketError)
        return cause


async def stops_reading(peer: Peer) -> None:
    await peer.accept()
    peer.wire.pause()
    await peer.until_gone()


async def we_do_not_read() -> WebSocketError:
    async def flood(peer: Peer) -> None:
        await peer.accept()
        peer.send(*["x"] * 10)
        await peer.until_gone()

    async with Loopback(flood) as world:
        async with wsclient.connect(
            world.url(), slow_timeout=0.05, limits=Limits(max_queue=5)
        ) as ws:
            await ws.wait_ended()
            with pytest.raises(WebSocketError) as caught:
                await for_ever(ws.recv)
        return caught.value


async def we_close() -> WebSocketError:
    async with Loopback() as world, wsclient.connect(world.url()) as ws:
        await ws.close()
        with pytest.raises(WebSocketError) as caught:
            await ws.recv()
        return caught.value


async def no_messages() -> WebSocketError:
    return await of_a_client(recv_timeout=0.05)


async def no_login() -> WebSocketError:
    async def login(conversation: object) -> None:
        raise TimeoutError("no answer to the login")

    return await of_a_client(on_connect=login)


async def of_a_client(**options: Any) -> WebSocketError:
    """Let the first end of a life be the end of the client."""
    async with Loopback() as world:
        client = world.client(
            first="background", classify=lambda outcome: wsclient.Fatal(), **options
        )
        with pytest.raises(wsclient.GaveUp) as caught:
            async with client:
                await client.recv()
        return caught.value


FAULTS: dict[Reason, Callable[[], Awaitable[WebSocketError]]] = {
    Reason.DNS: unknown_name,
    Reason.REFUSED: nobody_listens,
    Reason.TLS: unknown_certificate,
    Reason.REJECTED: refusal,
    Reason.OPEN_TIMEOUT: no_answer,
    Reason.PREPARE_FAILED: no_login,
    Reason.EOF: hung_up,
    Reason.RESET: broken_off,
    Reason.PEER_CLOSED: closed,
    Reason.PROTOCOL_ERROR: nonsense,
    Reason.LIVENESS: silence,
    Reason.IDLE: no_messages,
    Reason.WRITE_STALLED: nobody_reads,
    Reason.SLOW_CONSUMER: we_do_not_read,
    Reason.LOCAL: we_close,
}


@pytest.mark.real
async def test_twelve_faults_and_more_give_as_many_reasons_each_with_its_remedy() -> (
    None
):
    async with invariants():
        told = {reason: await fault() for reason, fault in FAULTS.items()}
    reasons = {reason: getattr(error, "reason", None) for reason, error in told.items()}
    assert reasons == {reason: reason for reason in Reason}
    texts = [str(error) for error in told.values()]
    remedies = {text.rpartition("]: ")[2] for text in texts}
    assert len(remedies) == len(Reason) >= 12
    for reason, text in zip(told, texts, strict=True):
        assert f"[{reason} in phase" in text


# -- cancelled at any point -------------------------------------------------------


@asynccontextmanager
async def somebody(secure: bool) -> AsyncIterator[tuple[Loopback, dict[str, Any]]]:
    """A server, and what it takes to connect to it."""
    if not secure:
        async with Loopback() as world:
            yield world, {}
        return
    authority = trustme.CA()
    context = server_context()
    authority.issue_cert("localhost").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with Loopback(tls=context) as world:
        yield world, {"tls": trusting}


async def token(attempt: object) -> dict[str, str]:
    await anyio.lowlevel.checkpoint()
    return {"X-Token": "fresh"}


@pytest.mark.real
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
async def test_s29_cancelled_at_any_point_connecting_leaves_nothing_open(
    secure: bool,
) -> None:
    """Every server's end sees the client's end; INV counts the descriptors."""
    async with invariants(), somebody(secure) as (world, options):

        async def visit() -> None:
            async with wsclient.connect(world.url(), headers=token, **options) as ws:
                await ws.send("hello")

        for number in count():
            if await cancelled_at(number, visit()) is None:
                break
        assert number >= 4, "it waits for more than that"
        for peer in world.peers:
            await peer.until_gone()
        assert world.peers[-1].messages == ["hello"]
