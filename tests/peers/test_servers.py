"""Our connection against servers nobody here wrote."""

from __future__ import annotations

import json
import random
import socket
import ssl
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute
from anyio.streams.buffered import BufferedByteReceiveStream

import wsclient

from .certificates import Certificates
from .servers import Server, offering, running

pytestmark = pytest.mark.real

SERVERS_LIMIT = 2 << 20  # bytes of a message, as all of them are told
HELLO = (
    b"GET /echo HTTP/1.1\r\nHost: localhost\r\n"
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SIZES = (0, 1, 125, 126, 65535, 65536, 1 << 20)


def text(size: int) -> str:
    """A text of so many bytes in UTF-8, with letters of one, two and four bytes."""
    whole = "é𝄞xy" * (size // 8)
    return whole + "z" * (size - len(whole.encode()))


def binary(size: int) -> bytes:
    """Bytes that no compressor makes shorter."""
    return random.Random(size).randbytes(size)


async def take_all(ws: wsclient.Connection, got: list[str | bytes]) -> None:
    """Receive into ``got`` until it ends."""
    async for message in ws:
        got += [message]


async def report(server: Server, number: str) -> dict[str, object]:
    """What the server saw of the conversation of this number, once it has ended."""
    async with wsclient.connect(server.url(f"/report?id={number}")) as ws:
        told = json.loads(await ws.recv())
        assert isinstance(told, dict)
        return told


@pytest.fixture
def number(request: pytest.FixtureRequest) -> str:
    """A number under which no other conversation is reported."""
    return "".join(letter for letter in request.node.name if letter.isalnum())


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_messages_of_every_length_form_come_back_as_they_went(
    server: Server, scheme: str, tls: ssl.SSLContext | None, compression: str | None
) -> None:
    with anyio.fail_after(30):
        url = server.url("/echo", scheme)
        async with wsclient.connect(url, tls=tls, compression=compression) as ws:
            agreed = "sec-websocket-extensions" in dict(ws.response_headers)
            assert agreed == (compression is not None)
            for size in SIZES:
                await ws.send(text(size))
                assert await ws.recv() == text(size)
                await ws.send(binary(size))
                assert await ws.recv() == binary(size)


@offering("fragments")
async def test_fragmented_messages_arrive_whole_in_both_directions(
    server: Server, scheme: str, tls: ssl.SSLContext | None
) -> None:
    with anyio.fail_after(30):
        async with wsclient.connect(server.url("/fragments", scheme), tls=tls) as ws:
            for parts in (["a", "bé", "", "c" * 70000], ["", ""]):
                await ws.send(parts)
                assert await ws.recv() == "".join(parts)
            pieces = [binary(10), b"", binary(70000)]
            await ws.send(pieces)
            assert await ws.recv() == b"".join(pieces)


@pytest.mark.parametrize("code", [1000, 1001, 1008, 3000, 4999])
async def test_the_code_and_reason_the_server_closes_with_are_told(
    server: Server, code: int
) -> None:
    with anyio.fail_after(30):
        async with wsclient.connect(server.url(f"/close?code={code}&reason=why")) as ws:
            with pytest.raises(wsclient.ConnectionClosed) as caught:
                await ws.recv()
        assert str(caught.value.received) == f"{code} why"
        assert caught.value.initiator == "peer"


@offering("leave")
async def test_iteration_ends_in_peace_when_the_server_closes_without_a_code(
    server: Server,
) -> None:
    with anyio.fail_after(30):
        async with wsclient.connect(server.url("/leave")) as ws:
            assert [message async for message in ws] == []
            with pytest.raises(wsclient.ConnectionClosed) as caught:
                await ws.recv()
        assert caught.value.code == 1005


@offering("report")
async def test_the_server_hears_the_code_and_reason_we_close_with(
    server: Server, scheme: str, tls: ssl.SSLContext | None, number: str
) -> None:
    with anyio.fail_after(30):
        url = server.url(f"/echo?id={number}", scheme)
        async with wsclient.connect(url, tls=tls) as ws:
            await ws.close(4001, "done")
        told = await report(server, number)
        assert (told["code"], told["reason"]) == (4001, "done")


@offering("report")
async def test_the_server_hears_1000_when_the_block_ends_and_1001_when_it_fails(
    server: Server, number: str
) -> None:
    with anyio.fail_after(30):
        async with wsclient.connect(server.url(f"/echo?id={number}a")):
            pass
        assert (await report(server, f"{number}a"))["code"] == 1000
        with pytest.raises(LookupError):
            async with wsclient.connect(server.url(f"/echo?id={number}b")):
                raise LookupError
        assert (await report(server, f"{number}b"))["code"] == 1001


@offering("ping")
async def test_pings_are_answered_in_both_directions(
    server: Server, scheme: str, tls: ssl.SSLContext | None
) -> None:
    with anyio.fail_after(30):
        async with wsclient.connect(server.url("/ping", scheme), tls=tls) as ws:
            latency = await ws.ping()
            assert latency > 0
            assert ws.latency == latency
            # The server sends this only once it has our pong.
            assert await ws.recv() == "are you there?"


@offering("report")
async def test_the_server_is_told_nothing_when_we_break_off(
    server: Server, scheme: str, tls: ssl.SSLContext | None, number: str
) -> None:
    with anyio.fail_after(30):
        async with wsclient.connect(
            server.url(f"/echo?id={number}", scheme), tls=tls
        ) as ws:
            await ws.send("still here")
            await ws.recv()
            ws.extra(SocketAttribute.raw_socket).shutdown(socket.SHUT_RDWR)
            with pytest.raises(wsclient.ConnectionLost):
                await ws.recv()
        # Some say 1005, which is as good: what counts is that no Close was heard.
        assert (await report(server, number))["code"] in {1005, 1006}


async def test_a_message_over_the_servers_limit_ends_with_its_1009(
    server: Server,
) -> None:
    with anyio.fail_after(30):
        async with wsclient.connect(server.url("/echo"), max_message_size=None) as ws:
            await ws.send(bytes(SERVERS_LIMIT))
            assert await ws.recv() == bytes(SERVERS_LIMIT)
            await ws.send(bytes(SERVERS_LIMIT + 1))
            with pytest.raises(wsclient.ConnectionClosed) as caught:
                await ws.recv()
        assert caught.value.code == 1009


@offering("report")
async def test_a_message_over_our_limit_is_told_the_server_as_1009(
    server: Server, number: str
) -> None:
    with anyio.fail_after(30):
        url = server.url(f"/echo?id={number}")
        async with wsclient.connect(url, max_message_size=1000) as ws:
            await ws.send(text(1000))
            assert await ws.recv() == text(1000)
            await ws.send(text(1001))
            with pytest.raises(wsclient.ConnectionLost) as caught:
                await ws.recv()
        assert caught.value.reason == "PROTOCOL_ERROR"
        assert (await report(server, number))["code"] == 1009


@offering("silent")
async def test_a_server_that_answers_no_ping_is_given_up(server: Server) -> None:
    with anyio.fail_after(30):
        async with wsclient.connect(
            server.url("/silent"), ping_interval=0.1, ping_timeout=0.2
        ) as ws:
            with pytest.raises(wsclient.ConnectionLost) as caught:
                await ws.recv()
        assert caught.value.reason == "LIVENESS"


@pytest.mark.parametrize("make", ["uvicorn-websockets", "uvicorn-wsproto"])
async def test_a_server_that_drops_who_answers_no_ping_keeps_us(
    make: str, tmp_path: Path, certificates: Certificates
) -> None:
    """It waits 1 s for each pong, so we outlive a client that only says hello."""
    with running(make, tmp_path, certificates, "1") as server, anyio.fail_after(30):
        async with (
            wsclient.connect(server.url("/echo")) as ws,
            await anyio.connect_tcp("127.0.0.1", server.ports["ws"]) as mute,
        ):
            await mute.send(HELLO)
            heard = BufferedByteReceiveStream(mute)
            await heard.receive_until(b"keepalive ping timeout", 4096)
            await ws.send("still here")
            assert await ws.recv() == "still here"


@offering("terminate")
async def test_a_server_that_breaks_off_is_a_loss_and_no_close(server: Server) -> None:
    with anyio.fail_after(30):
        async with wsclient.connect(server.url("/terminate")) as ws:
            await ws.send("now")
            with pytest.raises(wsclient.ConnectionLost) as caught:
                await ws.recv()
        assert caught.value.reason in {"EOF", "RESET"}
        assert caught.value.code == 1006


async def test_the_server_sees_our_headers_and_we_its_choice_of_subprotocol(
    server: Server,
) -> None:
    with anyio.fail_after(30):
        async with wsclient.connect(
            server.url("/headers"),
            headers={"Authorization": "Bearer a", "X-Odd": "é"},
            subprotocols=("nonsense", "chat", "chat.v2"),
        ) as ws:
            assert ws.subprotocol == "chat.v2"
            raw = json.loads(await ws.recv())
            saw = dict(zip(map(str.lower, raw[::2]), raw[1::2], strict=True))
            assert saw["authorization"] == "Bearer a"
            assert saw["host"] == server.url("")[len("ws://") :]


async def test_a_refusal_carries_status_headers_and_body(server: Server) -> None:
    with anyio.fail_after(30):
        with pytest.raises(wsclient.HandshakeRejected) as caught:
            async with wsclient.connect(server.url("/refuse?status=503&retry-after=7")):
                raise AssertionError("refused, and yet open")
        assert (caught.value.status, caught.value.body) == (503, b"nope")
        assert ("retry-after", "7") in [
            (name.lower(), value) for name, value in caught.value.headers
        ]


async def test_a_certificate_of_an_unknown_authority_is_refused(
    server: Server,
) -> None:
    with anyio.fail_after(30):
        with pytest.raises(wsclient.CertificateError) as caught:
            async with wsclient.connect(server.url("/echo", "wss")):
                raise AssertionError("anybody could be this server")
        assert caught.value.reason == "TLS"


async def test_all_that_was_sent_before_the_close_is_delivered_in_order(
    server: Server, scheme: str, tls: ssl.SSLContext | None
) -> None:
    with anyio.fail_after(30):
        got: list[str | bytes] = []
        url = server.url("/schedule?count=3000&then=close", scheme)
        async with wsclient.connect(url, tls=tls) as ws:
            with pytest.raises(wsclient.ConnectionClosed, match="4000 end of schedule"):
                await take_all(ws, got)
        assert got == [str(n) for n in range(3000)]


async def test_two_members_of_a_room_hear_the_same_in_the_same_order(
    server: Server,
) -> None:
    with anyio.fail_after(30):
        url = server.url("/broadcast")
        async with wsclient.connect(url) as one, wsclient.connect(url) as other:
            await other.send("here")  # heard by itself: it is in the room
            assert await other.recv() == "here"
            for n in range(50):
                await one.send(str(n))
            heard = [await other.recv() for _ in range(50)]
        assert heard == [str(n) for n in range(50)]
