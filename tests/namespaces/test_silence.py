"""Packets that vanish: nobody is told, and both ends must find out by themselves."""

from __future__ import annotations

from typing import Literal

import anyio
import pytest
from anyio.abc import SocketAttribute

import wsclient
from wsclient import Phase, Reason, State
from wsclient.protocol import Ping
from wsclient.supervisor import AttemptFailed, LifeEnded

from .clients import latest, next_of, patient, quick, serving
from .conftest import Secrets
from .lab import PORT, SERVER, Lab

pytestmark = pytest.mark.real


async def test_s01_a_blackhole_is_noticed_and_left_for_a_new_life(
    lab: Lab, secrets: Secrets
) -> None:
    async with serving(lab, secrets=secrets) as server:
        async with quick(server, tls=secrets.client, open_timeout=0.2) as client:
            await client.subscribe("trades")
            old = await server.until_accepted(1)
            assert await old.recv() == "trades"
            events = client.events()
            lab.middlebox.drop()
            end = await next_of(events, LifeEnded)
            assert end.outcome.reason == Reason.LIVENESS
            failed = await next_of(events, AttemptFailed)
            assert failed.outcome.reason == Reason.OPEN_TIMEOUT
            assert failed.outcome.phase == Phase.TCP
            assert lab.middlebox.stopped() > 0
            assert len(server.peers) == 1
            lab.middlebox.heal()
            new = await latest(client, server)
            assert await new.recv() == "trades"
        await new.until_gone()
    assert old.close_code is None, "nothing got through, not even a Close frame"
    assert new.close_code == 1000


@pytest.mark.parametrize("way", ["up", "down"])
async def test_s01_half_a_blackhole_is_noticed_whichever_half_it_is(
    lab: Lab, way: Literal["up", "down"]
) -> None:
    async with serving(lab) as server, quick(server, open_timeout=0.2) as client:
        old = await server.until_accepted(1)
        events = client.events()
        lab.middlebox.drop(way)
        await client.send("order")  # the kernel takes it and tries for ever
        end = await next_of(events, LifeEnded)
        assert end.outcome.reason == Reason.LIVENESS
        failed = await next_of(events, AttemptFailed)
        assert failed.outcome.phase == Phase.TCP
        assert old.messages == (["order"] if way == "down" else [])
        lab.middlebox.heal()
        new = await latest(client, server)
        await client.send("again")
        assert await new.recv() == "again"
    assert "again" not in old.messages
    assert new.messages == ["again"], "what may have arrived is never sent again"


async def test_s01_a_cable_that_is_pulled_is_a_blackhole_too(lab: Lab) -> None:
    async with serving(lab) as server, quick(server, open_timeout=0.2) as client:
        await server.until_accepted(1)
        events = client.events()
        lab.server.ip("link set net down")
        end = await next_of(events, LifeEnded)
        assert end.outcome.reason == Reason.LIVENESS
        await next_of(events, AttemptFailed)
        lab.server.ip("link set net up", "route add default via 10.77.2.1")
        await latest(client, server)


async def test_s44_what_was_on_its_way_when_the_path_broke_is_never_delivered(
    lab: Lab,
) -> None:
    async with serving(lab) as server, quick(server) as client:
        old = await server.until_accepted(1)
        events = client.events()
        lab.middlebox.drop()
        old.send("late")
        await next_of(events, LifeEnded)
        lab.middlebox.heal()
        # The kernels send again what was lost: "late" one, the end the other.
        await old.until_gone()
        new = await latest(client, server)
        new.send("fresh")
        assert await client.recv() == "fresh"
        assert client.generation == 2


async def test_s22_leaving_through_a_blackhole_is_over_at_close_timeout(
    lab: Lab, secrets: Secrets
) -> None:
    async with serving(lab, secrets=secrets) as server:
        async with quick(
            server, tls=secrets.client, ping_timeout=20, close_timeout=0.2
        ) as client:
            await server.until_accepted(1)
            lab.middlebox.drop()
        assert client.state == State.CLOSED
        assert server.peer.ended is None, "it could not be told"


async def test_s04_an_address_that_answers_nothing_ends_at_open_timeout(
    lab: Lab,
) -> None:
    lab.middlebox.drop()
    async with serving(lab) as server:
        with pytest.raises(wsclient.AttemptTimeout) as caught:
            async with quick(server, open_timeout=0.3, first="raise"):
                raise AssertionError("it cannot be open")
        assert server.peers == []
    assert caught.value.phase == Phase.TCP
    assert lab.middlebox.stopped() > 0


async def test_s20_pings_keep_what_a_nat_would_forget(lab: Lab) -> None:
    lab.middlebox.translate(forgets_after=1)
    async with serving(lab) as server, quick(server, ping_timeout=5) as client:
        peer = await server.until_accepted(1)
        assert peer.below.extra_attributes[SocketAttribute.remote_address]()[0] == (
            "10.77.2.1"
        )
        # Longer than it remembers the silent: so many pings, 0.09 s apart at least.
        await peer.until(lambda: len(peer.times(Ping)) > 13)
        peer.send("still known")
        assert await client.recv() == "still known"
        assert client.generation == 1


async def test_s20_a_connection_that_a_nat_forgot_is_left_for_a_new_one(
    lab: Lab,
) -> None:
    lab.middlebox.translate()
    async with serving(lab) as server, quick(server) as client:
        old = await server.until_accepted(1)
        events = client.events()
        lab.middlebox.forget()
        end = await next_of(events, LifeEnded)
        assert end.outcome.reason == Reason.LIVENESS
        new = await latest(client, server)
        await client.send("a new flow")
        assert await new.recv() == "a new flow"
        assert old.ended is None, "the server was not told either"


async def test_s54_s55_a_server_keeps_one_registration_of_who_vanished_and_came_back(
    lab: Lab,
) -> None:
    registered: list[int] = []
    told: list[Reason] = []
    come = 0
    news = anyio.Event()

    async def handler(connection: wsclient.Connection) -> None:
        nonlocal come, news
        come += 1
        mine = come
        registered.append(mine)
        news.set()
        news = anyio.Event()
        try:
            async for message in connection:
                await connection.send(message)
        except wsclient.ConnectionLost as error:
            told.append(error.reason)
        finally:
            registered.remove(mine)
            news.set()
            news = anyio.Event()

    async with (
        wsclient.serve(
            handler,
            SERVER,
            PORT,
            listen=lab.server.listen,
            ping_interval=0.2,
            ping_timeout=0.3,
            shutdown_timeout=0.2,
        ),
        quick(f"ws://{SERVER}:{PORT}/", open_timeout=0.2) as client,
    ):
        while not registered:
            await news.wait()
        lab.middlebox.drop()
        while registered:
            await news.wait()
        lab.middlebox.heal()
        while not registered:
            await news.wait()
        await client.wait_open()
        await client.send("here again")
        assert await client.recv() == "here again"
        assert registered == [come], "the half-open one is gone"
        assert Reason.LIVENESS in told


async def test_s30_packets_too_large_for_the_path_vanish_and_small_ones_live(
    lab: Lab,
) -> None:
    """A router that may not say "fragmentation needed" (RFC 2923, 2.1)."""
    async with serving(lab) as server, quick(server) as client:
        old = await server.until_accepted(1)
        lab.middlebox.ip("link set server mtu 576")
        lab.middlebox.hide_icmp()
        await client.send("small")
        assert await old.recv() == "small"
        events = client.events()
        await client.send(b"x" * 5000)
        end = await next_of(events, LifeEnded)
        assert end.outcome.reason == Reason.LIVENESS
        new = await latest(client, server)
        await client.send("small")
        assert await new.recv() == "small"
    assert old.messages == ["small"]


async def test_s30_a_write_into_a_blackhole_ends_at_write_timeout(lab: Lab) -> None:
    async with serving(lab) as server, patient(server, write_timeout=0.3) as client:
        old = await server.until_accepted(1)
        events = client.events()
        lab.middlebox.drop("up")
        with pytest.raises(wsclient.MaybeSent):
            await client.send(bytes(20_000_000))
        end = await next_of(events, LifeEnded)
        assert end.outcome.reason == Reason.WRITE_STALLED
        lab.middlebox.heal()
        new = await latest(client, server)
        await client.send("again")
        assert await new.recv() == "again"
    assert old.messages == []
