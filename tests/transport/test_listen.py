"""Listening and accepting."""

from __future__ import annotations

import errno
import logging
import socket
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute

from wsclient.transport.listen import SocketListener, listen, listen_unix
from wsclient.transport.resolver import AddressInfo
from wsclient.wire import Wire

from .conftest import HANG

pytestmark = pytest.mark.real


async def read_all(wire: Wire) -> bytes:
    received = bytearray()
    ends: list[object] = []

    def feed(chunk: memoryview | None) -> None:
        if chunk is None:
            ends.append(None)
        else:
            received.extend(chunk)

    wire.start(feed, ends.append, lambda: None)
    while not ends:
        await wire.pump()
    wire.abort()
    return bytes(received)


async def test_a_free_port_is_the_same_for_all_families() -> None:
    with anyio.fail_after(HANG):
        listeners = await listen("localhost", 0)
    try:
        assert len({sock.address[1] for sock in listeners}) == 1
        assert len({sock.socket.family for sock in listeners}) == len(listeners)
    finally:
        for sock in listeners:
            sock.close()


async def test_all_interfaces_are_both_families_each_on_its_own_socket() -> None:
    listeners = await listen(None, 0)
    try:
        assert socket.AF_INET in {sock.socket.family for sock in listeners}
        for sock in listeners:
            if sock.socket.family == socket.AF_INET6:
                assert sock.socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    finally:
        for sock in listeners:
            sock.close()


async def test_a_port_in_use_is_told_and_nothing_stays_open() -> None:
    (first,) = await listen("127.0.0.1", 0)
    with pytest.raises(OSError, match="in use"):
        await listen("127.0.0.1", first.address[1])
    first.close()
    first.close()


async def test_processes_may_share_a_port() -> None:
    (first,) = await listen("127.0.0.1", 0, reuse_port=True)
    (second,) = await listen("127.0.0.1", first.address[1], reuse_port=True)
    first.close()
    second.close()


async def test_an_address_of_a_family_that_is_not_there_is_left_out() -> None:
    async def two(host: str, port: int, *, passive: bool) -> list[AddressInfo]:
        six = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 0, 0, 0))
        four = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))
        return [six, four]

    (only,) = await listen("two.example", 0, resolve=two)
    assert only.socket.family == socket.AF_INET
    only.close()


async def test_addresses_that_can_never_share_a_port_are_told() -> None:
    """Not tried for ever."""

    async def twice(host: str, port: int, *, passive: bool) -> list[AddressInfo]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, number, "", ("127.0.0.1", 0))
            for number in (0, socket.IPPROTO_TCP)
        ]

    with pytest.raises(OSError, match="in use"):
        await listen("twice.example", 0, resolve=twice)


async def test_a_family_the_kernel_does_not_know_is_left_out() -> None:
    async def strange(host: str, port: int, *, passive: bool) -> list[AddressInfo]:
        place = ("127.0.0.1", 0)
        return [(99, socket.SOCK_STREAM, 0, "", place)]

    with pytest.raises(OSError, match="not supported"):
        await listen("strange.example", 0, resolve=strange)


async def test_no_address_of_ours_is_told() -> None:
    with pytest.raises(OSError, match="assign"):
        await listen("192.0.2.1", 0)


async def test_who_comes_gets_a_wire_with_its_address() -> None:
    (listener,) = await listen("127.0.0.1", 0)
    with socket.create_connection(listener.address) as client:
        with anyio.fail_after(HANG):
            wire, peer = await listener.accept()
            assert peer == client.getsockname()
            assert wire.extra_attributes[SocketAttribute.remote_address]() == peer
            client.sendall(b"hello")
            client.shutdown(socket.SHUT_WR)
            assert await read_all(wire) == b"hello"
    listener.close()


async def test_closing_the_listener_ends_who_waits() -> None:
    (listener,) = await listen("127.0.0.1", 0)
    with anyio.fail_after(HANG):
        async with anyio.create_task_group() as group:

            async def wait() -> None:
                with pytest.raises(anyio.ClosedResourceError):
                    await listener.accept()

            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            listener.close()
    with pytest.raises(anyio.ClosedResourceError):
        await listener.accept()


async def test_a_cancelled_accept_loses_nobody() -> None:
    (listener,) = await listen("127.0.0.1", 0)
    with socket.create_connection(listener.address):
        with anyio.fail_after(HANG):
            with anyio.CancelScope() as scope:
                scope.cancel()
                await listener.accept()
            assert scope.cancelled_caught
            wire, _ = await listener.accept()
        wire.abort()
    listener.close()


class Troubled(socket.socket):
    """A listener whose next calls fail as the kernel makes them fail."""

    errors: list[int]

    def accept(self) -> Any:
        if self.errors:
            number = self.errors.pop(0)
            raise OSError(number, errno.errorcode[number])
        return super().accept()


@pytest.fixture
def troubled() -> Any:
    with Troubled() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        listener.errors = []
        yield listener


async def test_a_connection_gone_before_it_is_accepted_is_passed_over(
    troubled: Troubled,
) -> None:
    troubled.errors = [errno.ECONNABORTED, errno.EPROTO]
    with socket.create_connection(troubled.getsockname()), anyio.fail_after(HANG):
        wire, _ = await SocketListener(troubled).accept()
    wire.abort()
    assert troubled.errors == []


async def test_having_no_descriptors_left_is_waited_out_and_logged(
    troubled: Troubled, caplog: pytest.LogCaptureFixture
) -> None:
    troubled.errors = [errno.EMFILE]
    with (
        caplog.at_level(logging.WARNING),
        socket.create_connection(troubled.getsockname()),
        anyio.fail_after(HANG),
    ):
        wire, _ = await SocketListener(troubled).accept()
    wire.abort()
    assert "cannot accept" in caplog.text


async def test_a_broken_listener_is_told(troubled: Troubled) -> None:
    troubled.errors = [errno.EINVAL]
    with pytest.raises(OSError, match="EINVAL"):
        await SocketListener(troubled).accept()


async def test_a_unix_socket_is_listened_to_and_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "feed.sock")
    listen_unix(path).close()
    listener = listen_unix(path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(b"near")
        client.shutdown(socket.SHUT_WR)
        with anyio.fail_after(HANG):
            wire, _ = await listener.accept()
            assert wire.extra_attributes[SocketAttribute.local_address]() == path
            assert await read_all(wire) == b"near"
    listener.close()


async def test_a_file_that_is_no_socket_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("kept")
    with pytest.raises(OSError, match="in use"):
        listen_unix(str(path))
    assert path.read_text() == "kept"
