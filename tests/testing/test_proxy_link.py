"""One link of a fault proxy: what passes, and every way it breaks."""

from __future__ import annotations

import random

import anyio
import pytest
from anyio.abc import SocketStream
from anyio.lowlevel import checkpoint

from wsclient.testing.proxy_link import ProxyLink

from .relay import exactly, relaying, reset, rest

pytestmark = pytest.mark.real

CAPACITY = 4096


async def fill(stream: SocketStream) -> None:
    """Send without end."""
    while True:
        await stream.send(b"x" * 65536)


async def until_held(link: ProxyLink, size: int) -> None:
    while link.up.held < size:
        await checkpoint()


# -- what passes ------------------------------------------------------------------


async def test_bytes_pass_unchanged_both_ways_at_once_and_are_counted() -> None:
    dice = random.Random(1)
    up, down = dice.randbytes(1_500_000), dice.randbytes(1_000_000)
    async with relaying() as relay:
        client, server, link = await relay.pair()
        async with client, server, anyio.create_task_group() as group:
            group.start_soon(client.send, up)
            group.start_soon(server.send, down)
            got: dict[str, bytes] = {}

            async def receive(name: str, stream: SocketStream, size: int) -> None:
                got[name] = await exactly(stream, size)

            group.start_soon(receive, "up", server, len(up))
            group.start_soon(receive, "down", client, len(down))
        assert got == {"up": up, "down": down}
        assert (await link.until_ended()).startswith("closed by the ")
        assert (link.up.taken, link.up.given) == (len(up), len(up))
        assert (link.down.taken, link.down.given) == (len(down), len(down))
        assert link.up.held == link.down.held == 0


async def test_an_end_that_has_said_all_still_hears() -> None:
    async with relaying() as relay:
        client, server, link = await relay.pair()
        async with client, server:
            await client.send(b"question")
            await client.send_eof()
            assert await rest(server) == (b"question", "eof")
            assert link.live
            await server.send(b"answer")
            await server.send_eof()
            assert await rest(client) == (b"answer", "eof")
        assert await link.until_ended() == "closed by the client"
        assert not link.live
        assert link.ended_at is not None
        assert link.ended_at >= link.opened_at


async def test_a_sender_whose_receiver_does_not_read_is_held_up() -> None:
    """What is on its way is bounded: the capacity here, the rest in the kernels."""
    async with relaying(capacity=CAPACITY) as relay:
        client, server, link = await relay.pair()
        async with client, server, anyio.create_task_group() as group:
            group.start_soon(fill, client)
            await until_held(link, CAPACITY)  # the server's kernel is full
            most = 0
            goal = link.up.given + 1_000_000
            while link.up.given < goal:
                await server.receive()
                most = max(most, link.up.held)
            group.cancel_scope.cancel()
        assert most <= CAPACITY


async def test_the_reset_of_an_end_is_passed_on_as_one() -> None:
    async with relaying() as relay:
        for who in "client", "server":
            client, server, link = await relay.pair()
            leaves, stays = (client, server) if who == "client" else (server, client)
            async with client, server:
                await leaves.send(b"words")
                assert await exactly(stays, 5) == b"words"
                await reset(leaves)
                assert await rest(stays) == (b"", "reset")
            assert await link.until_ended() == f"reset by the {who}"


async def test_the_reset_of_an_end_that_had_said_all_is_passed_on_too() -> None:
    """It is noticed only when something is sent to that end."""
    async with relaying() as relay:
        client, server, link = await relay.pair()
        async with client, server:
            await client.send_eof()
            assert await rest(server) == (b"", "eof")
            await reset(client)
            with pytest.raises(anyio.BrokenResourceError):
                await fill(server)
        assert await link.until_ended() == "reset by the client"


async def test_a_reset_passes_by_bytes_that_nobody_reads() -> None:
    async with relaying(capacity=CAPACITY) as relay:
        client, server, link = await relay.pair()
        async with client, server:
            async with anyio.create_task_group() as group:
                group.start_soon(fill, client)
                await until_held(link, CAPACITY)
                group.cancel_scope.cancel()
            # A full proxy does not read, so it meets the reset when it writes back.
            await reset(client)
            with pytest.raises(anyio.BrokenResourceError):
                await fill(server)
        assert await link.until_ended() == "reset by the client"


# -- the verbs --------------------------------------------------------------------


async def test_reset_is_met_by_both_ends_as_a_reset() -> None:
    async with relaying() as relay:
        client, server, link = await relay.pair()
        async with client, server:
            link.reset()
            assert not link.live
            assert await rest(client) == (b"", "reset")
            assert await rest(server) == (b"", "reset")
            link.reset()
            link.forget()
        assert link.ended == "reset by the proxy"


async def test_eof_goes_to_whom_it_is_said_and_the_other_way_goes_on() -> None:
    async with relaying() as relay:
        client, server, link = await relay.pair()
        async with client, server:
            await server.send(b"words")
            assert await exactly(client, 5) == b"words"
            link.eof("down")
            assert await rest(client) == (b"", "eof")
            await client.send(b"still here")
            assert await exactly(server, 10) == b"still here"
            await client.aclose()
            assert await rest(server) == (b"", "eof")
        assert await link.until_ended() == "closed by the proxy"


async def test_eof_both_ways_ends_the_link_in_order() -> None:
    async with relaying() as relay:
        client, server, link = await relay.pair()
        async with client, server:
            link.eof()
            assert await rest(client) == (b"", "eof")
            assert await rest(server) == (b"", "eof")
        assert await link.until_ended() == "closed by the proxy"


async def test_in_silence_nothing_arrives_and_the_senders_buffers_fill() -> None:
    async with relaying(capacity=CAPACITY) as relay:
        client, server, link = await relay.pair()
        async with client, server:
            link.silence("up")
            await client.send(b"x" * 3 * CAPACITY)
            await until_held(link, CAPACITY)
            await server.send(b"the other way goes on")
            assert await exactly(client, 21) == b"the other way goes on"
            assert (link.up.taken, link.up.given) == (CAPACITY, 0)
            await client.send_eof()
            link.heal()
            assert await rest(server) == (b"x" * 3 * CAPACITY, "eof")


async def test_in_silence_the_reset_of_an_end_waits_too() -> None:
    async with relaying() as relay:
        client, server, link = await relay.pair()
        async with client, server:
            link.silence()
            await reset(client)
            while link.up.ended_by != "the client":
                await checkpoint()
            assert link.live
            link.heal()
            assert await rest(server) == (b"", "reset")
        assert await link.until_ended() == "reset by the client"


async def test_a_stall_reads_no_more_and_lets_arrive_what_is_held() -> None:
    async with relaying() as relay:
        client, server, link = await relay.pair()
        async with client, server:
            await client.send(b"before")
            assert await exactly(server, 6) == b"before"
            link.silence("up")
            await client.send(b"held")
            await until_held(link, 4)
            link.heal()
            link.stall("up")
            assert await exactly(server, 4) == b"held"
            await client.send(b"after")
            await server.send(b"the other way goes on")
            assert await exactly(client, 21) == b"the other way goes on"
            assert link.up.taken == 10
            link.heal()
            assert await exactly(server, 5) == b"after"


async def test_a_forgotten_link_says_nothing_until_it_is_spoken_to() -> None:
    async with relaying() as relay:
        client, server, link = await relay.pair()
        async with client, server:
            await client.send(b"before")
            assert await exactly(server, 6) == b"before"
            link.forget()
            assert link.ended == "forgotten by the proxy"
            await client.send(b"is anybody there?")
            assert await rest(client) == (b"", "reset")
            await server.send(b"hello")  # it knew nothing
            assert await rest(server) == (b"", "reset")


async def test_a_way_that_is_none_is_told() -> None:
    async with relaying() as relay:
        client, server, link = await relay.pair()
        async with client, server:
            for verb in link.eof, link.silence, link.stall:
                with pytest.raises(ValueError, match="give 'up', 'down' or 'both'"):
                    verb("sideways")  # type: ignore[arg-type]


# -- the rules --------------------------------------------------------------------


async def test_latency_holds_bytes_back_and_nothing_overtakes() -> None:
    async with relaying(latency=3600) as relay:
        client, server, link = await relay.pair()
        async with client, server:
            await client.send(b"late")
            await until_held(link, 4)
            assert link.up.given == 0
            relay.proxy.latency = 0
            await client.send(b", and after it")
            await until_held(link, 18)
            assert link.up.given == 0


async def test_drawn_latencies_keep_the_order() -> None:
    numbers = b"".join(b"%06d" % number for number in range(2_000))
    async with relaying(latency=(0, 0.005), random=random.Random(3)) as relay:
        client, server, _ = await relay.pair()
        async with client, server, anyio.create_task_group() as group:

            async def send() -> None:
                for start in range(0, len(numbers), 600):
                    await client.send(numbers[start : start + 600])
                    await checkpoint()

            group.start_soon(send)
            assert await exactly(server, len(numbers)) == numbers


async def test_bandwidth_lets_bytes_drip_and_may_be_lifted() -> None:
    async with relaying(bandwidth=20) as relay:
        client, server, link = await relay.pair()
        async with client, server:
            await client.send(b"x" * 10_000)
            assert len(await server.receive()) < 10
            assert link.up.given < 100
            relay.proxy.bandwidth = None
            await client.send_eof()
            data, end = await rest(server)
            assert 9_900 < len(data) < 10_000
            assert end == "eof"


@pytest.mark.parametrize("ending", ["reset", "eof"])
async def test_an_idle_link_is_ended_at_both_ends(ending: str) -> None:
    async with relaying(on_idle=ending) as relay:
        client, server, link = await relay.pair()
        async with client, server:
            await client.send(b"words")
            assert await exactly(server, 5) == b"words"
            relay.proxy.idle_timeout = 0.01  # of the links there are, too
            assert await rest(client) == (b"", ending)
            assert await rest(server) == (b"", ending)
        said = "closed" if ending == "eof" else ending
        ended = await link.until_ended()
        assert ended == f"{said} by the proxy after 0.01 s without a byte"


async def test_an_idle_link_may_be_forgotten_as_load_balancers_do() -> None:
    async with relaying(idle_timeout=0.01, on_idle="forget") as relay:
        client, server, link = await relay.pair()
        async with client, server:
            ended = await link.until_ended()
            assert ended == "forgotten by the proxy after 0.01 s without a byte"
            await client.send(b"is anybody there?")
            assert await rest(client) == (b"", "reset")


async def test_an_idle_link_may_be_silenced_and_healed() -> None:
    async with relaying(idle_timeout=0.01, on_idle="silence") as relay:
        client, server, link = await relay.pair()
        async with client, server:
            while not link.silent:
                await checkpoint()
            await client.send(b"words")
            await until_held(link, 5)
            assert link.live
            relay.proxy.idle_timeout = None
            link.heal()
            assert await exactly(server, 5) == b"words"


@pytest.mark.parametrize("ending", ["reset", "eof"])
async def test_a_link_is_ended_after_exactly_so_many_bytes(ending: str) -> None:
    async with relaying(cut_after=8, on_cut=ending) as relay:
        client, server, link = await relay.pair()
        async with client, server:
            await client.send(b"12345")
            assert await exactly(server, 5) == b"12345"
            await server.send(b"67890")
            assert await rest(client) == (b"678", ending)
            assert await rest(server) == (b"", ending)
        said = "closed" if ending == "eof" else ending
        assert await link.until_ended() == f"{said} by the proxy after 8 bytes"
        assert link.up.given + link.down.given == 8


async def test_a_link_that_has_carried_more_already_ends_with_the_next_byte() -> None:
    async with relaying(on_cut="silence") as relay:
        client, server, link = await relay.pair()
        async with client, server:
            await client.send(b"12345")
            assert await exactly(server, 5) == b"12345"
            relay.proxy.cut_after = 3
            await client.send(b"6")
            while not link.silent:
                await checkpoint()
            assert link.up.given == 5
            relay.proxy.cut_after = None
            link.heal()
            assert await exactly(server, 1) == b"6"


# -- no server --------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["eof", "reset"])
async def test_a_client_whose_server_is_down_is_told_at_once(ending: str) -> None:
    async with relaying(on_unreachable=ending) as relay:
        await relay.listener.aclose()
        async with await relay.client() as client:
            assert await rest(client) == (b"", ending)
        link = await relay.proxy.until_link()
        ended = await link.until_ended()
        port = relay.proxy.target_port
        assert ended == f"127.0.0.1:{port} is unreachable: Connection refused"


async def test_a_client_whose_server_is_down_may_hear_nothing() -> None:
    async with relaying(on_unreachable="silence") as relay:
        await relay.listener.aclose()
        async with await relay.client() as client:
            await client.send(b"is anybody there?")
            link = await relay.proxy.until_link()
            await until_held(link, 17)
            assert link.live
        assert "is unreachable" in await link.until_ended()


async def test_a_server_without_an_address_is_unreachable() -> None:
    async with relaying() as relay:
        relay.proxy.target = "\udcff.invalid"
        async with await relay.client() as client:
            assert await rest(client) == (b"", "eof")
        link = await relay.proxy.until_link()
        assert "is unreachable" in await link.until_ended()


async def test_a_link_is_told_by_its_repr(anyio_backend_name: str) -> None:
    async with relaying() as relay:
        client, server, link = await relay.pair()
        async with client, server:
            assert repr(link).endswith(": live>")
            assert repr(link.up) == "<ProxyPipe 0 taken, 0 given>"
            link.reset()
            assert repr(link).endswith(": reset by the proxy>")
