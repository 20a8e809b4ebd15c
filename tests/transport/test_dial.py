"""Dialling: every address, every failure by name, nothing left open."""

from __future__ import annotations

import errno
import gc
import os
import resource
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import SocketAttribute

from wsclient.errors import CertificateError, ConnectError, Phase, Reason
from wsclient.transport.backend import wire_of
from wsclient.transport.dial import connect_tcp, dial, interleave
from wsclient.transport.resolver import AddressInfo
from wsclient.transport.tls import TLSWire

from .conftest import HANG, Certificates

pytestmark = pytest.mark.real

SIX, FOUR = socket.AF_INET6, socket.AF_INET


def address(host: str, port: int) -> AddressInfo:
    family = SIX if ":" in host else FOUR
    place: Any = (host, port, 0, 0) if ":" in host else (host, port)
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place


def open_sockets() -> set[int]:
    """The descriptors of sockets; event loops open other things when they like."""
    gc.collect()
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the one that listed them
            if os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                found.add(int(name))
    return found


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


@pytest.fixture
def deaf() -> Iterator[tuple[str, int]]:
    """An address that answers nothing: its queue is full and nobody accepts."""
    with socket.create_server(("127.0.0.2", 0), backlog=0) as full:
        place = full.getsockname()
        pending = []
        for _ in range(3):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(place)
            pending.append(sock)
        yield place
        for sock in pending:
            sock.close()


@pytest.fixture
def refused() -> tuple[str, int]:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.3", 0)) as gone:
        place: tuple[str, int] = gone.getsockname()
    return place


def nothing(_: str) -> None:
    """Take a phase."""


async def test_a_plain_wire_is_opened_through_its_phases(
    listener: socket.socket,
) -> None:
    phases: list[str] = []
    port = listener.getsockname()[1]
    with anyio.fail_after(HANG):
        wire = await dial("127.0.0.1", port, tls=None, reached=phases.append)
    assert phases == [Phase.DNS, Phase.TCP]
    sock = wire.extra_attributes[SocketAttribute.raw_socket]()
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    wire.abort()


async def test_a_secure_wire_is_opened_through_its_phases(
    listener: socket.socket, certificates: Certificates
) -> None:
    phases: list[str] = []

    async def serve() -> None:
        await anyio.wait_readable(listener)
        sock, _ = listener.accept()
        sock.setblocking(False)
        server = TLSWire(await wire_of(sock), certificates.server, server_side=True)
        await server.handshake()
        server.abort()

    with anyio.fail_after(HANG):
        async with anyio.create_task_group() as group:
            group.start_soon(serve)
            wire = await dial(
                "localhost",
                listener.getsockname()[1],
                tls=certificates.client,
                reached=phases.append,
            )
            wire.abort()
    assert phases == [Phase.DNS, Phase.TCP, Phase.TLS]


async def test_an_unknown_name_is_told_as_dns() -> None:
    async def unknown(host: str, port: int) -> list[AddressInfo]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(ConnectError, match=r"no address of nowhere\.example") as caught:
        await dial("nowhere.example", 80, tls=None, reached=nothing, resolve=unknown)
    assert (caught.value.reason, caught.value.phase) == (Reason.DNS, Phase.DNS)
    assert caught.value.host == "nowhere.example:80"
    assert isinstance(caught.value.__cause__, socket.gaierror)


async def test_a_host_that_can_be_no_name_is_told_as_dns() -> None:
    with pytest.raises(ConnectError) as caught, anyio.fail_after(HANG):
        await dial("a" * 64 + ".example", 80, tls=None, reached=nothing)
    assert caught.value.reason is Reason.DNS


async def test_a_refusal_names_each_address_that_was_tried(
    refused: tuple[str, int],
) -> None:
    places = [("127.0.0.3", refused[1]), ("127.0.0.4", refused[1])]

    async def both(host: str, port: int) -> list[AddressInfo]:
        return [address(*place) for place in places]

    with pytest.raises(ConnectError) as caught, anyio.fail_after(HANG):
        await dial("two.example", 443, tls=None, reached=nothing, resolve=both)
    error = caught.value
    assert (error.reason, error.phase) == (Reason.REFUSED, Phase.TCP)
    assert isinstance(error.__cause__, ConnectionRefusedError)
    for host, port in places:
        assert f"{host}:{port}: Connection refused" in str(error)


async def test_a_name_without_addresses_is_told() -> None:
    async def none(host: str, port: int) -> list[AddressInfo]:
        return []

    with pytest.raises(ConnectError, match="it has no address"):
        await dial("empty.example", 443, tls=None, reached=nothing, resolve=none)


async def test_a_certificate_that_is_not_accepted_is_told_as_such(
    listener: socket.socket, certificates: Certificates
) -> None:
    async def serve() -> None:
        await anyio.wait_readable(listener)
        sock, _ = listener.accept()
        sock.setblocking(False)
        server = TLSWire(await wire_of(sock), certificates.server, server_side=True)
        with pytest.raises(OSError, match="alert"):
            await server.handshake()

    with anyio.fail_after(HANG):
        async with anyio.create_task_group() as group:
            group.start_soon(serve)
            with pytest.raises(CertificateError, match=r"127\.0\.0\.1"):
                await dial(
                    "127.0.0.1",
                    listener.getsockname()[1],
                    tls=certificates.stranger,
                    reached=nothing,
                )


def test_families_take_turns_and_the_resolvers_first_is_first() -> None:
    six = [address(f"2001:db8::{n}", 443) for n in range(3)]
    four = [address(f"192.0.2.{n}", 443) for n in range(2)]
    assert interleave([*six, *four, six[0]]) == [
        six[0], four[0], six[1], four[1], six[2],
    ]  # fmt: skip
    assert interleave([*four, *six])[0] == four[0]
    assert interleave([]) == []


async def test_an_address_that_answers_nothing_does_not_keep_the_next_waiting(
    listener: socket.socket, deaf: tuple[str, int]
) -> None:
    place = listener.getsockname()
    with anyio.fail_after(HANG):
        sock, failures = await connect_tcp([address(*deaf), address(*place)])
    assert sock is not None
    assert sock.getpeername() == place
    assert failures == []
    sock.close()


async def test_a_refusal_lets_the_next_address_start_at_once(
    listener: socket.socket, refused: tuple[str, int]
) -> None:
    """Not after the stagger: twenty refusals would take five seconds."""
    place = listener.getsockname()
    started = anyio.current_time()
    with anyio.fail_after(HANG):
        sock, failures = await connect_tcp([address(*refused)] * 80 + [address(*place)])
    assert sock is not None
    assert len(failures) == 80
    assert anyio.current_time() - started < 80 * 0.25
    sock.close()


async def test_only_the_winner_stays_open(
    listener: socket.socket, deaf: tuple[str, int]
) -> None:
    before = open_sockets()
    with anyio.fail_after(HANG):
        sock, _ = await connect_tcp(
            [address(*deaf), address(*deaf), address(*listener.getsockname())]
        )
    assert sock is not None
    assert open_sockets() - before == {sock.fileno()}
    sock.close()


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.005, 0.1, 0.3])
@pytest.mark.parametrize("heard", [True, False])
async def test_cancelled_at_any_point_it_leaves_nothing_open(
    seconds: float,
    heard: bool,
    listener: socket.socket,
    deaf: tuple[str, int],
    certificates: Certificates,
) -> None:
    """The server accepts nothing, so the TLS handshake never ends."""
    port = listener.getsockname()[1]

    async def resolve(host: str, name: int) -> list[AddressInfo]:
        await anyio.lowlevel.checkpoint()
        return [address(*deaf), address("127.0.0.1", port) if heard else address(*deaf)]

    await anyio.lowlevel.checkpoint()  # let the event loop open what it keeps
    before = open_sockets()
    with anyio.fail_after(HANG):
        with anyio.move_on_after(seconds) as scope:
            await dial(
                "localhost",
                port,
                tls=certificates.client,
                reached=nothing,
                resolve=resolve,
            )
        assert scope.cancelled_caught
        while open_sockets() - before:  # uvloop closes some turns later
            await anyio.lowlevel.checkpoint()


async def test_a_connection_to_itself_is_a_refusal(
    refused: tuple[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kernel may pick, as our port, the very port that nobody listens to."""
    real = socket.socket.connect

    def from_the_same_port(sock: socket.socket, place: Any) -> None:
        sock.bind(place)
        real(sock, place)

    monkeypatch.setattr(socket.socket, "connect", from_the_same_port)
    with anyio.fail_after(HANG):
        sock, failures = await connect_tcp([address(*refused)])
    assert sock is None
    assert isinstance(failures[0][1], ConnectionRefusedError)


async def test_having_no_descriptors_left_is_a_failure_of_the_address(
    listener: socket.socket,
) -> None:
    next_one = os.dup(0)
    os.close(next_one)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_one, hard))
    try:
        sock, failures = await connect_tcp([address(*listener.getsockname())])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert sock is None
    assert failures[0][1].errno == errno.EMFILE


class Interrupt(BaseException):
    """Stands for KeyboardInterrupt, which asyncio would let out of its loop itself."""


async def test_what_ends_the_program_leaves_as_itself(
    deaf: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No ExceptionGroup: the race's task group is nobody's business."""

    def interrupted(sock: socket.socket) -> None:
        raise Interrupt

    monkeypatch.setattr(sys.modules[dial.__module__], "tune", interrupted)
    with pytest.raises(Interrupt):
        await connect_tcp([address(*deaf), address(*deaf)])
