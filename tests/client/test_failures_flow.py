"""Silence, blocked loops, slow readers, and sends that are cancelled or crowded."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from random import Random
from typing import Any

import anyio
import pytest

import wsclient
from wsclient import Deflate, JsonTopics, Limits, Reason
from wsclient.protocol import Endpoint, Ping, Pong, Role
from wsclient.supervisor import LifeEnded

from .authority import Authority, authority
from .inv import anyio_backend, inv
from .world import Loopback, Net, Peer
from .worlds import NETS

__all__ = ("anyio_backend", "authority", "inv")

MIB = 2**20


def waits(seconds: float) -> Callable[[object], float]:
    """A backoff that is always the same."""
    return lambda state: seconds


async def ended(client: wsclient.Client[Any]) -> LifeEnded:
    """Wait for the end of the present life."""
    async for event in client.events():
        if isinstance(event, LifeEnded):
            return event
    raise AssertionError("it left before its life ended")


# S1: half-open: everything is lost on the way, nobody says so.


@NETS
async def test_s01_a_half_open_connection_is_left_at_the_liveness_deadline(
    net_of: type[Net],
) -> None:
    async def vanishes(peer: Peer) -> None:
        await peer.accept()
        await anyio.sleep(100)
        peer.send("the last sign of life")
        await anyio.sleep(0.5)
        peer.vanish()

    async with net_of(vanishes) as net:
        async with net.client(wait=waits(3)) as client:
            assert await client.recv() == "the last sign of life"
            heard = anyio.current_time()
            end = await ended(client)
            assert end.time - heard == pytest.approx(40, rel=0.1)
            assert end.outcome.reason == Reason.LIVENESS
            # Aborted without waiting for a closing handshake that cannot be.
            await net.until_accepted(2)
            assert net.dials[1] - end.time == pytest.approx(3)
            await client.wait_open()
        error = end.outcome.error
        assert isinstance(error, wsclient.ConnectionLost)
        assert error.sent is None
        assert error.idle == pytest.approx(40, rel=0.1)
    assert net.peers[0].close_code is None


@NETS
async def test_s01_pings_keep_an_idle_connection_and_prove_it(
    net_of: type[Net],
) -> None:
    async with net_of() as net:
        async with net.client():
            await anyio.sleep(3600)
        pings = net.peer.times(Ping)
    assert len(net.peers) == 1
    proof, *kept = pings
    assert proof == pytest.approx(10.05, abs=0.1)
    assert all(17 < after - before <= 20.1 for before, after in pairwise(kept))


# S33: our own loop is blocked, the peer is healthy.


class Thread:
    """
    A healthy server in a thread of its own, that no blocked event loop blocks.

    It sends a message every 20 ms, answers what it must, and counts its clients.
    """

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self._tls = tls
        self.clients = 0
        self.stopped = threading.Event()
        self.closes: list[int] = []
        self._thread = threading.Thread(target=self._serve)

    @property
    def url(self) -> str:
        scheme = "ws" if self._tls is None else "wss"
        return f"{scheme}://localhost:{self.listener.getsockname()[1]}/"

    def _serve(self) -> None:
        self.listener.settimeout(0.05)
        while not self.stopped.is_set():
            try:
                sock, _ = self.listener.accept()
            except TimeoutError:
                continue
            self.clients += 1
            with self._secured(sock) as secured:
                self._talk(secured)

    def _secured(self, sock: socket.socket) -> socket.socket:
        return self._tls.wrap_socket(sock, server_side=True) if self._tls else sock

    def _talk(self, sock: socket.socket) -> None:
        endpoint = Endpoint(Role.SERVER)
        sock.settimeout(0.02)
        while not self.stopped.is_set():
            try:
                data = sock.recv(65536)
            except TimeoutError:
                if endpoint.response is not None:
                    sock.sendall(endpoint.encode("heartbeat"))
                continue
            if not data:
                return
            endpoint.receive_data(data)
            if endpoint.response is None and endpoint.request is not None:
                sock.sendall(endpoint.accept())
                endpoint.receive_data(b"")
            sock.sendall(endpoint.data_to_send())
            if endpoint.close_received is not None:
                self.closes.append(endpoint.close_received.code)
                return


@contextmanager
def healthy_server(tls: ssl.SSLContext | None) -> Iterator[Thread]:
    server = Thread(tls)
    server._thread.start()
    try:
        yield server
    finally:
        server.stopped.set()
        server._thread.join(10)
        server.listener.close()


def block(seconds: float) -> None:
    """Keep the event loop from running, as bad applications do."""
    time.sleep(seconds)


@pytest.mark.real
@pytest.mark.parametrize("secure", [False, True])
async def test_s33_a_blocked_event_loop_is_not_taken_for_a_dead_peer(
    authority: Authority, secure: bool
) -> None:
    tls = authority.server if secure else None
    with healthy_server(tls) as server, anyio.fail_after(30):
        async with wsclient.Client(
            server.url,
            tls=authority.client if secure else None,
            ping_interval=0.1,
            ping_timeout=0.1,
            wait=waits(0.01),
        ) as client:
            await client.recv()
            for _ in range(2):
                block(0.6)  # three times as long as a peer may be silent
                await client.recv()
                for _ in range(5):
                    await anyio.sleep(0.01)
            await client.send("still here")
            assert client.generation == 1
    assert server.clients == 1
    assert server.closes == [1000]


# S30: the peer stops reading.


@NETS
async def test_s30_a_peer_that_stops_reading_is_left_at_write_timeout(
    net_of: type[Net],
) -> None:
    """Until then what it says is read and its pings are seen; nothing is sent twice."""

    async def stops_reading(peer: Peer) -> None:
        await peer.accept()
        assert await peer.recv() == "hello"
        peer.wire.pause()
        for number in range(10):
            peer.send(str(number))
            peer.ping()
            await anyio.sleep(5)

    async with (
        net_of(stops_reading, capacity=10_000) as net,
        net.client(wait=waits(3), compression=None) as client,
    ):
        await client.send("hello")
        assert await client.recv() == "0"
        events = client.events()
        begin = anyio.current_time()
        with pytest.raises(wsclient.MaybeSent) as caught:
            await client.send("x" * 1_000_000)
        assert anyio.current_time() - begin == pytest.approx(30, abs=0.5)
        assert str(caught.value.message) == "x" * 1_000_000
        async for event in events:
            if isinstance(event, LifeEnded):
                assert event.outcome.reason == Reason.WRITE_STALLED
                break
        assert [await client.recv() for _ in range(5)] == list("12345")
        await client.wait_open()
        await client.send("again")
        await net.peer.until(lambda: net.peer.messages)
    assert [peer.messages for peer in net.peers] == [["hello"], ["again"]]


# S31: a slow consumer.


async def floods_then_pings(peer: Peer) -> None:
    await peer.accept()
    assert await peer.recv() == '{"ch":"a"}'
    peer.send(*(f'{{"ch":"a","n":{n}}}' for n in range(16 + 300)))
    peer.ping(b"are you there?")
    await peer.until(lambda: peer.times(Pong))


@NETS
@pytest.mark.parametrize("overflow", ["error", "drop_oldest", "drop_newest"])
async def test_s31_a_ping_behind_a_flood_is_answered_while_the_application_is_busy(
    overflow: Any, net_of: type[Net]
) -> None:
    topics = JsonTopics(key="ch")
    async with (
        net_of(floods_then_pings) as net,
        net.client(subprotocol=topics) as client,
    ):
        topic = client.subscribe({"ch": "a"}, overflow=overflow, max_messages=16)
        subscription = await topic
        begin = anyio.current_time()
        await anyio.sleep(3)  # busy elsewhere
        assert net.peer.times(Pong)[0] - begin < 1
        assert len(net.peers) == 1
        got = [(await subscription.recv())["n"] for _ in range(16)]
        end: type[Exception] = wsclient.ReceiveTimeout
        if overflow == "error":
            end = wsclient.SubscriptionOverflow
        with pytest.raises(end):
            await subscription.recv(timeout=1)
    assert got == list(range(300, 316) if overflow == "drop_oldest" else range(16))


@NETS
async def test_s31_who_never_reads_a_pausing_queue_is_told_as_slow_consumer(
    net_of: type[Net],
) -> None:
    async def floods(peer: Peer) -> None:
        await peer.accept()
        peer.send(*(f"{n}" for n in range(16 + 300)))

    async with net_of(floods) as net:
        async with net.client(limits=Limits(max_queue=16), wait=waits(1)) as client:
            begin = anyio.current_time()
            end = await ended(client)
            assert end.time - begin == pytest.approx(60, abs=1)
            assert end.outcome.reason == Reason.SLOW_CONSUMER
            assert "the client's queue" in str(end.outcome.error)
            got = [await client.recv() for _ in range(16)]
            await net.until_accepted(2)
        assert got == [f"{n}" for n in range(16)]
    assert net.peers[0].close_code == 1001


# S32: a receive that was cancelled, then nobody reads.


@NETS
async def test_s32_after_a_cancelled_receive_nothing_flows_beyond_the_bound(
    net_of: type[Net],
) -> None:
    async def pushes(peer: Peer) -> None:
        await peer.accept()
        message = "x" * 65536
        while not peer.ended:
            peer.send(message)
            await peer.wire.flush()

    async with net_of(pushes, latency=0) as net:
        limits = Limits(max_queue_bytes=MIB)
        async with net.client(limits=limits, first="background") as client:
            with anyio.move_on_after(0):
                await client.recv()
            await anyio.sleep(30)
            assert client.generation == 1
            taken = len(net.peer.below.out.sent)  # type: ignore[attr-defined]
        # The queue, one buffer read, one that fills the simulated kernel.
        assert MIB <= taken <= MIB + 3 * 65536


@pytest.mark.real
async def test_s32_a_peer_that_pushes_half_a_gigabyte_cannot_fill_our_memory() -> None:
    sent = 0
    stuck = anyio.Event()

    async def pushes(peer: Peer) -> None:
        nonlocal sent
        await peer.accept()
        frame = peer.endpoint.encode(b"x" * 65536)
        for _ in range(500 * MIB // len(frame)):
            peer.wire.write(frame)
            with anyio.move_on_after(0.3) as scope:
                await peer.wire.flush()
            if scope.cancelled_caught:
                break
            sent += len(frame)
        stuck.set()

    async with Loopback(pushes) as server:
        limits = Limits(max_queue_bytes=MIB)
        async with server.client(limits=limits, first="background") as client:
            with pytest.raises(wsclient.ReceiveTimeout):
                await client.recv(timeout=0)
            await stuck.wait()
            assert client.stats.paused
    # Our queue and what two kernels hold on loopback.
    assert sent < 32 * MIB


# S26, S27: sends that are cancelled at any moment.


def payload(number: int, size: int) -> str:
    """A text that hardly compresses and says which it is."""
    return f"{number}:{Random(number).randbytes(size // 2).hex()}"


def whole(message: str | bytes, size: int) -> int:
    """The number of a payload that arrived as it was sent."""
    number = int(str(message).partition(":")[0])
    assert message == payload(number, size)
    return number


async def cancel_sends(client: wsclient.Client[Any], size: int, span: float) -> None:
    """Send 200 messages, each cancelled at another moment, then one that is not."""
    dice = Random(26)
    for number in range(200):
        with anyio.move_on_after(dice.uniform(0, span)):
            await client.send(payload(number, size))
        if number % 7 == 0:
            await anyio.sleep(dice.uniform(0, 2 * span))
    await client.send("after")


async def hears_after(peer: Peer) -> None:
    await peer.accept()
    await peer.until(lambda: peer.messages and peer.messages[-1] == "after")


def check_whole_and_in_order(peer: Peer, size: int) -> None:
    """
    Whole frames only, which the server's endpoint sees: each as it was sent, in order.

    A cancelled send is either not sent or sent whole.
    """
    assert peer.messages[-1] == "after"
    numbers = [whole(message, size) for message in peer.messages[:-1]]
    assert numbers == sorted(set(numbers))
    assert 0 < len(numbers) < 200, "some were cancelled in time, some too late"


async def test_s26_cancelled_sends_leave_whole_frames_and_the_next_one_arrives() -> (
    None
):
    async with Net(hears_after, capacity=16384, latency=0.02) as net:
        async with net.client(compression=None) as client:
            await cancel_sends(client, 100_000, 0.4)
            await net.peer.until(lambda: net.peer.messages[-1] == "after")
        check_whole_and_in_order(net.peer, 100_000)
    assert len(net.peers) == 1


@pytest.mark.parametrize("compression", [None, "deflate"])
@pytest.mark.parametrize("secure", [False, True])
async def test_s27_cancelled_sends_tear_no_record_and_no_compression_context(
    authority: Authority, compression: str | None, secure: bool
) -> None:
    """Context takeover: what was compressed and not sent would be missed."""
    tls = authority.server if secure else None
    size = 60_000 if compression is None else 20_000
    async with Net(
        hears_after, capacity=4096, latency=0.02, tls=tls, deflate=Deflate()
    ) as net:
        async with net.client(
            compression=compression and Deflate(threshold=0),
            tls=authority.client if secure else None,
        ) as client:
            response = net.peer.endpoint.response
            assert response is not None
            assert response.compression is (compression is not None)
            await cancel_sends(client, size, size * 4e-6)
            await net.peer.until(lambda: net.peer.messages[-1] == "after")
        check_whole_and_in_order(net.peer, size)
    assert len(net.peers) == 1


@pytest.mark.real
@pytest.mark.parametrize("secure", [False, True])
async def test_s26_s27_a_large_send_cancelled_on_a_socket_leaves_whole_frames(
    authority: Authority, secure: bool
) -> None:
    async def reads_late(peer: Peer) -> None:
        await peer.accept()
        for _ in range(6):
            peer.wire.pause()
            await anyio.sleep(0.02)
            peer.wire.resume()
            await anyio.sleep(0.005)
        await hears(peer)

    async def hears(peer: Peer) -> None:
        await peer.until(lambda: peer.messages and peer.messages[-1] == "after")

    size = 20 * MIB
    tls = authority.server if secure else None
    async with Loopback(reads_late, tls=tls) as server:
        async with server.client(
            compression=None, tls=authority.client if secure else None
        ) as client:
            for number in range(3):
                with anyio.move_on_after(0.03):
                    await client.send(payload(number, size))
            await client.send("after")
            await hears(server.peer)
        for message in server.peer.messages[:-1]:
            whole(message, size)
        assert server.peer.messages[-1] == "after"
    assert len(server.peers) == 1


# S28: many tasks send at once.


@NETS
async def test_s28_fifty_tasks_send_at_once_each_in_its_order(
    net_of: type[Net],
) -> None:
    async def counts(peer: Peer) -> None:
        await peer.accept()
        await peer.until(lambda: len(peer.messages) == 50 * 20)

    async def sends(client: wsclient.Client[Any], task: int) -> None:
        for number in range(20):
            await client.send(f"{task}.{number}:".ljust(1000, "x"))

    async with net_of(counts, capacity=5000, latency=0.001) as net:
        async with net.client(compression=None) as client:
            async with anyio.create_task_group() as group:
                for task in range(50):
                    group.start_soon(sends, client, task)
            await net.peer.until(lambda: len(net.peer.messages) == 50 * 20)
        heads = [str(message).partition(":")[0] for message in net.peer.messages]
    for task in range(50):
        of_this = [head for head in heads if head.startswith(f"{task}.")]
        assert of_this == [f"{task}.{number}" for number in range(20)]


async def test_s28_fragmented_messages_of_many_tasks_never_interleave() -> None:
    """Only pongs come between the fragments of a message, and they do."""

    async def pings(peer: Peer) -> None:
        await peer.accept()
        while len(peer.messages) < 50 * 3:
            peer.ping()
            await anyio.sleep(0.05)

    async def fragments(task: int) -> AsyncIterator[str]:
        for number in range(4):
            await anyio.sleep(0.001 * (task % 5))
            yield f"{task}.{number};".ljust(300, "x")

    async def sends(ws: wsclient.Connection, task: int) -> None:
        await ws.send(f"{task}.whole".ljust(2000, "x"))
        await ws.send(fragments(task))
        await ws.send([f"{task}.{number};".ljust(300, "x") for number in range(4)])

    async with (
        Net(pings, capacity=3000, latency=0.002) as net,
        wsclient.connect(net.url(), dial=net.dial, compression=None) as ws,
    ):
        async with anyio.create_task_group() as group:
            for task in range(50):
                group.start_soon(sends, ws, task)
        await net.peer.until(lambda: len(net.peer.messages) == 50 * 3)
    for task in range(50):
        streamed = "".join(f"{task}.{n};".ljust(300, "x") for n in range(4))
        of_this = [m for m in net.peer.messages if str(m).startswith(f"{task}.")]
        assert of_this == [f"{task}.whole".ljust(2000, "x"), streamed, streamed]
    assert len(net.peer.times(Pong)) > 10
