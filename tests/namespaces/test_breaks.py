"""Connections that are broken by others, hosts that come back, and peers that stop."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from anyio.abc import SocketAttribute

import wsclient
from wsclient import Phase, Reason, State
from wsclient.supervisor import AttemptFailed, LifeEnded
from wsclient.testing import Peer
from wsclient.transport import dial
from wsclient.transport.resolver import AddressInfo

from ..peers.processes import Peer as Program
from .clients import latest, next_of, patient, quick, serving
from .conftest import Secrets
from .lab import PORT, SERVER, SERVER_6, Lab

pytestmark = pytest.mark.real


async def test_s50_a_subscription_survives_a_reset_that_the_path_injects(
    lab: Lab, secrets: Secrets
) -> None:
    async with serving(lab, secrets=secrets) as server:
        async with patient(server, tls=secrets.client) as client:
            await client.subscribe("trades")
            old = await server.until_accepted(1)
            assert await old.recv() == "trades"
            events = client.events()
            lab.middlebox.reject("tcp reset")
            await client.send("order")
            end = await next_of(events, LifeEnded)
            assert end.outcome.reason == Reason.RESET
            failed = await next_of(events, AttemptFailed)
            assert failed.outcome.reason == Reason.REFUSED
            lab.middlebox.heal()
            new = await latest(client, server)
            assert await new.recv() == "trades"
        await new.until_gone()
    assert old.messages == ["trades"]
    assert new.messages == ["trades"]
    assert new.close_code == 1000


async def test_s51_a_reset_that_the_path_injects_while_we_close_raises_nothing(
    lab: Lab, secrets: Secrets
) -> None:
    async with serving(lab, secrets=secrets) as server:
        async with patient(server, tls=secrets.client, close_timeout=20) as client:
            await server.until_accepted(1)
            lab.middlebox.reject("tcp reset")
        assert client.state == State.CLOSED
        assert client.generation == 1
        assert server.peer.close_code is None


@pytest.mark.parametrize(
    "how",
    [
        "icmpx host-unreachable",
        "icmpx admin-prohibited",
    ],
)
async def test_s15_what_routers_say_about_a_dial_is_told_at_once_and_retried(
    lab: Lab, how: str
) -> None:
    lab.middlebox.reject(how)
    async with (
        serving(lab) as server,
        quick(server, open_timeout=20, first="background") as client,
    ):
        failed = await next_of(client.events(), AttemptFailed)
        assert failed.outcome.reason == Reason.REFUSED
        assert failed.outcome.phase == Phase.TCP
        assert isinstance(failed.outcome.error, wsclient.ConnectError)
        lab.middlebox.heal()
        await client.wait_open()
        assert len(server.peers) == 1


async def test_s15_without_any_network_a_client_waits_for_one(lab: Lab) -> None:
    lab.client.ip("link set net down")
    async with (
        serving(lab) as server,
        quick(server, open_timeout=20, first="background") as client,
    ):
        failed = await next_of(client.events(), AttemptFailed)
        assert failed.outcome.reason == Reason.REFUSED
        lab.client.ip("link set net up", "route add default via 10.77.1.1")
        await client.wait_open()
        assert len(server.peers) == 1


async def test_s50_a_host_that_comes_back_with_another_life_is_dialled_anew(
    lab: Lab,
) -> None:
    """What it knows nothing of, it answers with a reset (RFC 9293, 3.5.2)."""
    async with quick(
        f"ws://{SERVER}:{PORT}/",
        first="background",
        ping_interval=20,
        ping_timeout=20,
    ) as client:
        events = client.events()
        async with serving(lab) as before:
            await client.subscribe("trades")
            old = await before.until_accepted(1)
            assert await old.recv() == "trades"
            lab.middlebox.drop()
            await client.send("order")
            before.drop("reset")  # as nobody can hear
        async with serving(lab) as after:
            lab.middlebox.heal()
            end = await next_of(events, LifeEnded)
            assert end.outcome.reason == Reason.RESET
            new = await after.until_accepted(1)
            assert await new.recv() == "trades"
            await client.send("again")
            assert await new.recv() == "again"
    assert old.messages == ["trades"]
    assert new.messages == ["trades", "again"], "what may have arrived is not resent"


async def test_s54_a_client_that_moves_to_another_address_begins_anew(
    lab: Lab,
) -> None:
    """From wireless LAN to LTE: TCP does not move, the subscriptions do."""

    def address(peer: Peer) -> str:
        host, _ = peer.below.extra_attributes[SocketAttribute.remote_address]()
        return str(host)

    async with serving(lab) as server, quick(server) as client:
        await client.subscribe("trades")
        old = await server.until_accepted(1)
        assert await old.recv() == "trades"
        events = client.events()
        lab.move("10.77.1.3")
        end = await next_of(events, LifeEnded)
        assert end.outcome.reason == Reason.LIVENESS
        new = await latest(client, server)
        assert await new.recv() == "trades"
        assert (address(old), address(new)) == ("10.77.1.2", "10.77.1.3")


async def test_s17_an_ipv6_path_that_is_a_blackhole_does_not_keep_ipv4_waiting(
    lab: Lab,
) -> None:
    async def resolve(host: str, port: int) -> list[AddressInfo]:
        six, four = (
            (10, 1, 6, "", (SERVER_6, port, 0, 0)),
            (2, 1, 6, "", (SERVER, port)),
        )
        return [six, four]

    lab.middlebox.drop("both", "meta", "nfproto", "ipv6")
    async with (
        serving(lab) as server,
        quick(
            f"ws://server.test:{PORT}/",
            dial=partial(dial, resolve=resolve),
            open_timeout=20,
        ) as client,
    ):
        assert client.generation == 1
        assert len(server.peers) == 1
        assert lab.middlebox.stopped() > 0, "IPv6 was tried"


# A peer that is stopped: its kernel goes on, so nothing is lost, and nothing comes.


@contextmanager
def counter(lab: Lab, folder: Path) -> Iterator[Program]:
    module = "tests.namespaces.counter"
    command = lab.server.within(sys.executable, "-m", module, SERVER, str(PORT))
    program = Program(command, folder / "counter.log")
    try:
        assert program.read_line() == "listening\n"
        yield program
    finally:
        program.kill()


def told(program: Program) -> list[str]:
    """End it, and return all it has written down."""
    program.process.terminate()
    assert program.process.stdout is not None
    return program.process.stdout.read().splitlines()


async def test_s01_a_peer_that_is_stopped_is_left_and_found_again_when_it_goes_on(
    lab: Lab, tmp_path: Path
) -> None:
    with counter(lab, tmp_path) as program:
        async with quick(
            f"ws://{SERVER}:{PORT}/", ping_timeout=0.5, open_timeout=0.3
        ) as client:
            await client.send("before")
            assert await client.recv() == "1 heard before"
            events = client.events()
            program.process.send_signal(signal.SIGSTOP)
            end = await next_of(events, LifeEnded)
            assert end.outcome.reason == Reason.LIVENESS
            failed = await next_of(events, AttemptFailed)
            assert failed.outcome.reason == Reason.OPEN_TIMEOUT
            assert failed.outcome.phase == Phase.UPGRADE, "its kernel still says hello"
            program.process.send_signal(signal.SIGCONT)
            await client.wait_open()
            await client.send("after")
            answer = await client.recv()
        records = told(program)
    opened, heard = records.index("2 opened"), records.index(str(answer))
    assert records[:2] == ["1 opened", "1 heard before"]
    assert records.index("1 closed") < heard
    assert opened < heard
    assert [line for line in records if "heard after" in line] == [answer]


async def test_s30_a_write_to_a_peer_that_is_stopped_ends_at_write_timeout(
    lab: Lab, tmp_path: Path
) -> None:
    with counter(lab, tmp_path) as program:
        async with patient(f"ws://{SERVER}:{PORT}/", write_timeout=0.3) as client:
            await client.send("before")
            assert await client.recv() == "1 heard before"
            events = client.events()
            program.process.send_signal(signal.SIGSTOP)
            with pytest.raises(wsclient.MaybeSent):
                await client.send("x" * 20_000_000)
            end = await next_of(events, LifeEnded)
            assert end.outcome.reason == Reason.WRITE_STALLED
            program.process.send_signal(signal.SIGCONT)
            await client.wait_open()
            await client.send("after")
            assert str(await client.recv()).endswith("heard after")
        records = told(program)
    assert "1 closed" in records
    assert not [line for line in records if "heard x" in line], "half of it is nothing"


# Names, in a program of its own: the resolver reads its file once.


def test_s16_a_name_server_that_never_answers_keeps_no_program(
    lab: Lab, anyio_backend: str
) -> None:
    """It would be asked five times, for 30 seconds each."""
    lab.resolve_with("10.77.2.53")
    lab.middlebox.drop("both", "udp", "dport", "53")
    command = [sys.executable, "-m", "tests.namespaces.visitor", anyio_backend]
    said = lab.client.run(*command).splitlines()
    assert said == ["OPEN_TIMEOUT in phase DNS", "cancelled", "left"]
    assert lab.middlebox.stopped() > 0, "it was asked"
