"""A server that does what a few lines say, seen by clients of ours."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
import trustme

import wsclient
from wsclient.errors import ConnectError, Reason
from wsclient.testing import (
    Network,
    Peer,
    ScriptedServer,
    accepts,
    answers_no_pings,
    closes,
    drips,
    garbage,
    hangs_up,
    rejects,
    resets,
    sends,
    silent,
    virtual_backend,
)

LONG = 10_000.0  # virtual seconds
REFUSAL = b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def network(virtual_clock: object) -> Network:
    return Network()


@asynccontextmanager
async def scripted(
    network: Network, *scripts: Any, **options: Any
) -> AsyncIterator[ScriptedServer]:
    listen = network.host("feed.test").listen
    where = {"host": "feed.test", "port": 80, "listen": listen}
    with anyio.fail_after(LONG):
        async with ScriptedServer(*scripts, **{**where, **options}) as server:
            yield server


def connect(server: ScriptedServer, network: Network, **options: Any) -> Any:
    return wsclient.connect(server.url(), dial=network.dial, **options)


async def test_each_connection_meets_the_next_script_and_then_the_default(
    network: Network,
) -> None:
    async with scripted(network, sends("1"), sends("2"), default=sends("9")) as server:
        heard = []
        for _ in range(4):
            async with connect(server, network) as ws:
                heard.append(await ws.recv())
        assert heard == ["1", "2", "9", "9"]
        assert [peer.number for peer in server.peers] == [1, 2, 3, 4]
        server.scripts.append(sends("10"))
        async with connect(server, network) as ws:
            assert await ws.recv() == "10"


async def test_it_writes_down_what_it_was_told(network: Network) -> None:
    async with scripted(network) as server:
        async with connect(server, network, headers={"X-Token": "7"}) as ws:
            await ws.send("text")
            await ws.send(b"bytes")
        peer = server.peer
    assert peer.messages == ["text", b"bytes"]
    assert peer.close_code == 1000
    assert peer.endpoint.request is not None
    assert ("x-token", "7") in peer.endpoint.request.headers
    assert peer.came_at <= (peer.closed_at or 0)
    assert not peer.faults


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (rejects(503), Reason.REJECTED),
        (silent, Reason.OPEN_TIMEOUT),
        (drips(), Reason.OPEN_TIMEOUT),
        (
            drips(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", every=0.1),
            Reason.REJECTED,
        ),
        (garbage(early=True), Reason.PROTOCOL_ERROR),
    ],
)
async def test_a_handshake_fails_as_the_script_says(
    network: Network, script: Any, reason: Reason
) -> None:
    async with scripted(network, script) as server:
        with pytest.raises(ConnectError) as failed:
            async with connect(server, network):
                pass
    assert failed.value.reason is reason


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (closes(1008, "no"), Reason.PEER_CLOSED),
        (closes(None, after=3), Reason.PEER_CLOSED),
        (hangs_up(after=1), Reason.EOF),
        (resets(after=1), Reason.RESET),
        (garbage(b"\xff\xff"), Reason.PROTOCOL_ERROR),
        (answers_no_pings, Reason.LIVENESS),
    ],
)
async def test_a_life_ends_as_the_script_says(
    network: Network, script: Any, reason: Reason
) -> None:
    impatient = {"ping_interval": 5, "ping_timeout": 5}
    async with (
        scripted(network, script) as server,
        connect(server, network, **impatient) as ws,
    ):
        with pytest.raises(
            (wsclient.ConnectionLost, wsclient.ConnectionClosed)
        ) as ended:
            await ws.recv()
    assert ended.value.reason is reason


async def test_a_dripping_head_has_no_end(network: Network) -> None:
    async with scripted(network, drips()) as server:
        with pytest.raises(wsclient.AttemptTimeout):
            async with connect(server, network, open_timeout=100):
                pass
    (link,) = network.links
    head = bytes(link.down.sent)
    assert head.rstrip() == b"HTTP/1.1 101 Switching"
    assert 98 <= len(head) <= 101, "one byte a second, as long as somebody waits"


async def test_retry_after_is_said(network: Network) -> None:
    async with scripted(network, rejects(503, retry_after=7, body=b"busy")) as server:
        with pytest.raises(wsclient.HandshakeRejected) as failed:
            async with connect(server, network):
                pass
    assert failed.value.status == 503
    assert dict(failed.value.headers)["retry-after"] == "7"


async def test_what_a_script_raises_is_raised_on_leaving(network: Network) -> None:
    async def fails(peer: Peer) -> None:
        raise ValueError(f"number {peer.number}")

    async def talk() -> None:
        async with scripted(network, default=fails) as server:
            for _ in range(2):
                with pytest.raises(ConnectError):
                    async with connect(server, network):
                        pass

    with pytest.raises(ValueError, match="number 1") as failed:
        await talk()
    (note,) = failed.value.__notes__
    assert note == "a script also raised ValueError('number 2')"


async def test_the_bodys_own_error_leaves_as_it_is_with_a_note(
    network: Network,
) -> None:
    async def fails(peer: Peer) -> None:
        raise ValueError("of the script")

    async def talk() -> None:
        async with scripted(network, fails) as server:
            with pytest.raises(ConnectError):
                async with connect(server, network):
                    pass
            raise KeyError("of the body")

    with pytest.raises(KeyError) as failed:
        await talk()
    assert any("of the script" in note for note in failed.value.__notes__)


async def test_a_client_that_leaves_ends_its_script_which_is_no_failure(
    network: Network,
) -> None:
    ends: list[str] = []

    async def waits(peer: Peer) -> None:
        await peer.accept()
        try:
            await peer.recv()
        finally:
            ends.append("ended")

    async with scripted(network, waits) as server:
        async with connect(server, network):
            pass
        await server.peer.until_gone()
    assert ends == ["ended"]
    assert not server.errors


async def test_tasks_of_a_script_raise_no_group_and_end_quietly_with_the_client(
    network: Network,
) -> None:
    async def talks(peer: Peer) -> None:
        await peer.accept()
        async with anyio.create_task_group() as group:
            group.start_soon(peer.recv)
            group.start_soon(peer.recv)

    async def fails(peer: Peer) -> None:
        async with anyio.create_task_group():
            raise ValueError("in a task group")

    async def talk() -> None:
        async with scripted(network, talks, fails) as server:
            async with connect(server, network):
                pass
            await server.peer.until_gone()
            with pytest.raises(ConnectError):
                async with connect(server, network):
                    pass
            assert [str(error) for error in server.errors] == ["in a task group"]

    with pytest.raises(ValueError, match="in a task group"):
        await talk()


async def test_an_eof_of_the_scripts_own_is_a_failure(network: Network) -> None:
    async def reads_a_file(peer: Peer) -> None:
        raise EOFError("of a file")

    async def talk() -> None:
        async with scripted(network, reads_a_file) as server:
            with pytest.raises(ConnectError):
                async with connect(server, network):
                    pass

    with pytest.raises(EOFError, match="of a file"):
        await talk()


async def test_what_cannot_be_told_yet_is_told_with_the_remedy(
    network: Network,
) -> None:
    with pytest.raises(RuntimeError, match="async with server"):
        ScriptedServer().url()
    assert ScriptedServer(host="::1", port=80).url("/a") == "ws://[::1]/a"
    assert ScriptedServer(host="::1", port=8080).url() == "ws://[::1]:8080/"
    async with scripted(network, rejects(403)) as server:
        with pytest.raises(LookupError, match=r"server\.until_peer\(1\)"):
            server.peer.messages.clear()
        with pytest.raises(ConnectError):
            async with connect(server, network):
                pass
        with pytest.raises(AssertionError, match=r"<Peer 1: .* ended without a 101"):
            await server.until_accepted()


@pytest.mark.parametrize("how", ["reset", "hang_up", "vanish"])
async def test_a_drop_drops_all_and_a_client_says_its_subscriptions_again(
    network: Network, how: Any
) -> None:
    async with (
        scripted(network) as server,
        wsclient.Client(
            server.url(),
            dial=network.dial,
            subprotocol=wsclient.JsonTopics(),
            ping_interval=5,
            ping_timeout=5,
        ) as client,
    ):
        await client.subscribe({"channel": "a"})
        await client.subscribe({"channel": "b"})
        said = ['{"channel":"a"}', '{"channel":"b"}']
        await server.peer.until(lambda: server.peer.messages == said)
        server.drop(how)
        again = await server.resubscribed(*said, within=120)
        assert again.number == 2


async def test_who_does_not_come_back_is_told(network: Network) -> None:
    async with scripted(network) as server, connect(server, network):
        server.drop()
        with pytest.raises(AssertionError, match=r"nobody came, not \['a'\]"):
            await server.resubscribed("a", within=10)
        async with connect(server, network) as ws:
            await ws.send("b")
            with pytest.raises(AssertionError, match=r"nobody came"):
                await server.resubscribed("a", within=10)


async def test_what_is_said_twice_is_told(network: Network) -> None:
    async with scripted(network) as server:
        server.drop()
        async with connect(server, network) as ws:
            await ws.send("a")
            await ws.send("a")
            await server.peer.until(lambda: len(server.peer.messages) == 2)
            with pytest.raises(AssertionError, match="'a' 2 times"):
                await server.resubscribed("a")


@pytest.mark.real
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.parametrize("secure", [False, True])
async def test_over_real_sockets_it_does_the_same(secure: bool) -> None:
    authority = trustme.CA()
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server_tls)
    client_tls = ssl.create_default_context()
    authority.configure_trust(client_tls)
    options: dict[str, Any] = {"tls": server_tls} if secure else {}
    tls = client_tls if secure else None
    with anyio.fail_after(30):
        async with ScriptedServer(
            rejects(503), default=sends("hello"), host="localhost", **options
        ) as server:
            async with wsclient.Client(
                server.url(), tls=tls, wait=wsclient.FullJitter(base=0.01)
            ) as client:
                for how in ("reset", "hang_up"):
                    assert await client.recv() == "hello"
                    server.drop(how)
                assert await client.recv() == "hello"
            with pytest.raises(TypeError, match="Proxy"):
                server.peer.vanish()
        assert len(server.peers) == 4


@pytest.mark.real
@pytest.mark.parametrize("anyio_backend", [virtual_backend("asyncio")])
async def test_an_address_that_cannot_be_listened_on_is_told_on_entering() -> None:
    with pytest.raises(OSError, match="assign"):
        async with ScriptedServer(host="192.0.2.1"):
            pass


async def test_scripts_are_plain_functions_of_a_peer(network: Network) -> None:
    def own(text: str) -> Callable[[Peer], Any]:
        async def script(peer: Peer) -> None:
            await accepts(peer)
            peer.ping(b"?")
            peer.send(text, await peer.recv())
            peer.say_fin()

        return script

    async with scripted(network, own("mine")) as server:
        async with connect(server, network) as ws:
            await ws.send("yours")
            assert [await ws.recv(), await ws.recv()] == ["mine", "yours"]
            with pytest.raises(wsclient.ConnectionLost):
                await ws.recv()
        assert server.peer.times(wsclient.protocol.Pong)
