"""A network in memory: what its users see of links, hosts and dials."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import inf
from typing import Any

import anyio
import pytest
import trustme
from anyio.abc import SocketAttribute

import wsclient
from wsclient.errors import AttemptTimeout, ConnectError, Phase, Reason
from wsclient.testing import VIRTUAL_BACKENDS, Host, Network, virtual_backend

LATENCY = 0.02


@pytest.fixture(params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return virtual_backend(request.param)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's and the client's."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("feed.test").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


@pytest.fixture
def network() -> Network:
    return Network(latency=(LATENCY, LATENCY))


@pytest.fixture
def feed(network: Network) -> Host:
    return network.host("feed.test")


async def echo(ws: wsclient.Connection) -> None:
    async for message in ws:
        await ws.send(message)


@asynccontextmanager
async def serving(host: Host, **options: Any) -> AsyncIterator[wsclient.Server]:
    options = {"ping_interval": None, **options}
    with anyio.fail_after(10_000):
        async with wsclient.serve(
            echo, host.name, 80, listen=host.listen, **options
        ) as server:
            yield server


def connect(network: Network, **options: Any) -> Any:
    options = {"ping_interval": None, **options}
    return wsclient.connect("ws://feed.test/", dial=network.dial, **options)


# -- links ------------------------------------------------------------------------


async def test_bytes_take_the_latency_each_way(network: Network, feed: Host) -> None:
    async with serving(feed), connect(network) as ws:
        start = anyio.current_time()
        await ws.send("hello")
        assert await ws.recv() == "hello"
        assert anyio.current_time() - start == pytest.approx(2 * LATENCY)


async def test_the_bandwidth_bounds_what_passes(feed: Host, network: Network) -> None:
    network.bandwidth = 1000.0
    async with serving(feed), connect(network, compression=None) as ws:
        start = anyio.current_time()
        await ws.send(b"x" * 10_000)
        await ws.recv()
        took = anyio.current_time() - start
        assert took == pytest.approx(20 + 2 * LATENCY, rel=0.01)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (lambda link: link.reset(), Reason.RESET),
        (lambda link: link.eof(), Reason.EOF),
    ],
)
async def test_a_link_that_ends_is_told_as_what_it_was(
    network: Network, feed: Host, fault: Callable[[Any], None], reason: Reason
) -> None:
    async with serving(feed), connect(network) as ws:
        (link,) = network.live
        fault(link)
        with pytest.raises(wsclient.ConnectionLost) as lost:
            await ws.recv()
        assert lost.value.reason is reason
    assert network.live == []
    assert link.over


async def test_a_silent_link_is_a_black_hole_until_it_is_healed(
    network: Network, feed: Host
) -> None:
    async with serving(feed), connect(network, compression=None) as ws:
        network.links[0].silence("down")
        await ws.send("there")
        with anyio.move_on_after(100):
            await ws.recv()
        assert b"there" in bytes(network.links[0].down.sent)
        network.links[0].heal()
        assert await ws.recv() == "there"


async def test_a_stalled_link_takes_no_more(network: Network, feed: Host) -> None:
    async with serving(feed), connect(network, write_timeout=5) as ws:
        network.links[0].stall("up")
        start = anyio.current_time()
        with pytest.raises(wsclient.MaybeSent):
            await ws.send("hello")
        assert anyio.current_time() - start == pytest.approx(5)


# -- hosts ------------------------------------------------------------------------


async def refused(network: Network, **options: Any) -> ConnectError:
    with pytest.raises(ConnectError) as failed:
        async with connect(network, **options):
            pass
    return failed.value


async def test_nobody_listening_is_a_refusal(network: Network, feed: Host) -> None:
    error = await refused(network)
    assert (error.reason, error.phase) == (Reason.REFUSED, Phase.TCP)
    assert "feed.test:80" in str(error)
    (dialled,) = network.dials
    assert dialled.error is error
    assert (dialled.near, dialled.host, dialled.port) == ("client", "feed.test", 80)
    assert dialled.link is None


async def test_a_name_that_is_unknown_is_a_failure_of_dns(network: Network) -> None:
    error = await refused(network)
    assert (error.reason, error.phase) == (Reason.DNS, Phase.DNS)


async def test_a_lookup_may_be_slow_or_fail(network: Network, feed: Host) -> None:
    async with serving(feed):
        feed.lookup = 3
        start = anyio.current_time()
        async with connect(network, compression=None):
            took = anyio.current_time() - start
            assert took == pytest.approx(3 + 4 * LATENCY)
        feed.lookup_error = OSError("the name server is ill")
        assert "the name server is ill" in str(await refused(network))
        feed.lookup_error, feed.lookup = None, inf
        assert (await refused(network)).phase is Phase.DNS


@pytest.mark.parametrize("phase", [Phase.DNS, Phase.TCP, Phase.UPGRADE])
async def test_a_dial_stalls_at_the_phase_one_says(
    network: Network, feed: Host, phase: Phase
) -> None:
    async with serving(feed):
        feed.stalls_at = phase
        error = await refused(network, open_timeout=4)
        assert isinstance(error, AttemptTimeout)
        assert error.phase is phase
        feed.stalls_at = None
        async with connect(network):
            assert len(network.live) == 1


@pytest.mark.parametrize("phase", [Phase.TLS, Phase.UPGRADE])
async def test_a_dial_stalls_at_the_phase_one_says_under_tls(
    network: Network, feed: Host, phase: Phase, tls: tuple[ssl.SSLContext, ...]
) -> None:
    async with serving(feed, tls=tls[0]):
        feed.stalls_at = phase
        with pytest.raises(AttemptTimeout) as failed:
            async with wsclient.connect(
                "wss://feed.test:80", dial=network.dial, tls=tls[1]
            ):
                pass
        assert failed.value.phase is phase
        assert network.dials[0].link is (network.links[0])
        feed.stalls_at = None
        async with wsclient.connect(
            "wss://feed.test:80", dial=network.dial, tls=tls[1], ping_interval=None
        ) as ws:
            network.links[-1].eof()  # without close_notify
            with pytest.raises(wsclient.ConnectionLost):
                await ws.recv()


async def test_a_crash_resets_links_and_refuses_dials_until_the_restart(
    network: Network, feed: Host
) -> None:
    async with serving(feed):
        async with connect(network) as ws:
            feed.crash()
            with pytest.raises(wsclient.ConnectionLost) as lost:
                await ws.recv()
            assert lost.value.reason is Reason.RESET
        assert (await refused(network)).reason is Reason.REFUSED
        feed.restart()
        async with connect(network) as ws:
            await ws.send("again")
            assert await ws.recv() == "again"


async def test_a_machine_without_power_says_nothing_and_has_forgotten_all(
    network: Network, feed: Host
) -> None:
    async with serving(feed):
        async with connect(network, ping_interval=10, ping_timeout=10) as ws:
            await ws.send("lost")
            feed.power_off()
            assert isinstance(await refused(network, open_timeout=3), AttemptTimeout)
            feed.restart()
            with pytest.raises(wsclient.ConnectionLost) as lost:
                await ws.recv()
            assert lost.value.reason is Reason.RESET
        async with connect(network):
            pass


async def test_a_paused_process_answers_later(network: Network, feed: Host) -> None:
    async with serving(feed, open_timeout=None), connect(network) as ws:
        feed.pause()
        await ws.send("hello")
        assert isinstance(await refused(network, open_timeout=5), AttemptTimeout)
        feed.resume()
        assert await ws.recv() == "hello"


async def test_a_host_that_moves_is_found_at_its_new_address(
    network: Network, feed: Host
) -> None:
    async with serving(feed) as server:
        async with connect(network, ping_interval=5, ping_timeout=5) as ws:
            before = ws.extra(SocketAttribute.remote_address)
            feed.move()
            with pytest.raises(wsclient.ConnectionLost) as lost:
                await ws.recv()
            assert lost.value.reason is Reason.LIVENESS
        async with connect(network) as ws:
            after = ws.extra(SocketAttribute.remote_address)
            assert after != before
            assert server.addresses == [after]
        await anyio.sleep(1)


async def test_two_may_not_listen_to_one_port(feed: Host) -> None:
    async with serving(feed):
        with pytest.raises(OSError, match="in use"):
            await feed.listen("feed.test", 80)
        (free,) = await feed.listen()
        assert free.address[1] >= 49_152
        free.close()
        free.close()


async def test_a_listener_that_is_closed_tells_who_waits(feed: Host) -> None:
    (listener,) = await feed.listen()
    async with anyio.create_task_group() as group:

        async def wait() -> None:
            with pytest.raises(anyio.ClosedResourceError):
                await listener.accept()

        group.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        listener.close()


# -- the network ------------------------------------------------------------------


async def test_a_partition_parts_two_hosts_and_heals(
    network: Network, feed: Host
) -> None:
    async with serving(feed), connect(network) as ws:
        network.partition("client", "feed.test")
        await ws.send("hello")
        other = wsclient.connect("ws://feed.test/", dial=network.dial_from("elsewhere"))
        async with other as passes, anyio.create_task_group() as group:
            await passes.send("passes")
            assert await passes.recv() == "passes"

            async def dial() -> None:
                async with connect(network, open_timeout=None) as late:
                    await late.send("late")
                    assert await late.recv() == "late"

            group.start_soon(dial)
            await anyio.sleep(50)
            network.heal()
        assert await ws.recv() == "hello"


async def test_a_machine_that_is_off_stays_silent_when_a_partition_heals(
    network: Network, feed: Host
) -> None:
    """What keeps bytes away is counted by its causes."""
    async with serving(feed), connect(network) as ws:
        network.partition("client", "feed.test")
        feed.pause()
        await ws.send("hello")
        network.heal()
        with anyio.move_on_after(100) as waited:
            await ws.recv()
        assert waited.cancelled_caught
        feed.resume()
        assert await ws.recv() == "hello"


async def test_a_client_that_moves_has_left_its_links_behind(
    network: Network, feed: Host
) -> None:
    async with serving(feed, ping_interval=5, ping_timeout=5):
        async with connect(network, ping_interval=3, ping_timeout=3) as ws:
            network.host("client").move()
            with pytest.raises(wsclient.ConnectionLost):
                await ws.recv()
        await anyio.sleep(20)
        assert network.links[0].over


async def test_each_link_can_be_prepared_and_its_record_tells_what_passed(
    network: Network, feed: Host
) -> None:
    network.on_link = lambda link: link.down.cut_at(20)
    async with serving(feed):
        await refused(network)
    link = network.links[0]
    assert len(link.down.received) == 20
    assert link.up.received.startswith(b"GET / HTTP/1.1\r\n")
    assert network.most_live == 1
    assert repr(link) == "<Link 1 from client to feed.test>"


async def test_the_same_seed_draws_the_same_latencies() -> None:
    def drawn(seed: int) -> list[float]:
        network = Network(seed=seed)
        return [network._random.random() for _ in range(3)]

    assert drawn(1) == drawn(1) != drawn(2)


async def test_a_client_comes_back_over_the_network(
    network: Network, feed: Host
) -> None:
    async with (
        serving(feed),
        wsclient.Client("ws://feed.test/", dial=network.dial) as client,
    ):
        for number in range(3):
            await client.send(f"{number}")
            assert await client.recv() == f"{number}"
            feed.links[-1].reset()
            await anyio.sleep(60)
    assert len(network.links) == 4
    assert network.most_live == 1
