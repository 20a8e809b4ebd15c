"""Many clients at once, none of whom can end the server, and its orderly end."""

from __future__ import annotations

import logging
import os
import random
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trustme
from anyio.abc import ByteStream, SocketAttribute, TaskStatus

import wsclient
from wsclient.errors import (
    ArgumentError,
    ConcurrencyError,
    ConnectionClosed,
    ConnectionLost,
    MaybeSent,
    NotSent,
)
from wsclient.server import Server, serve

from .support import (
    Answer,
    dial,
    echo,
    frame,
    rest,
    serving,
    still_serves,
    until,
    upgrade,
    upgraded,
    url,
)

pytestmark = pytest.mark.real

CLOSE = 0x8


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Whatever was logged above INFO, with the error it shows."""

    def records() -> list[str]:
        found = [r for r in caplog.records if r.levelno > logging.INFO]
        return [
            str(record.exc_info[1]) if record.exc_info else record.getMessage()
            for record in found
        ]

    return records


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def reset(stream: ByteStream) -> None:
    """Vanish: the peer gets a reset."""
    sock = stream.extra(SocketAttribute.raw_socket)
    linger = struct.pack("ii", 1, 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


async def vanish(stream: ByteStream) -> None:
    reset(stream)
    await anyio.aclose_forcefully(stream)


# -- many at once -----------------------------------------------------------------


async def test_a_hundred_clients_are_served_at_once() -> None:
    there, everybody = [0], anyio.Event()

    async def meet(ws: wsclient.Connection) -> None:
        there[0] += 1
        if there[0] == 100:
            everybody.set()
        await everybody.wait()
        await ws.send(f"hello {await ws.recv()!r}")

    heard: list[str | bytes] = []

    async def visit(name: str) -> None:
        async with wsclient.connect(url(server)) as ws:
            await ws.send(name)
            heard.append(await ws.recv())

    async with serving(meet) as server, anyio.create_task_group() as group:
        for n in range(100):
            group.start_soon(visit, str(n))
    assert sorted(heard) == sorted(f"hello '{n}'" for n in range(100))


async def test_the_connections_that_go_on_are_known() -> None:
    async with serving(echo) as server:
        assert server.connections == frozenset()
        async with wsclient.connect(url(server)) as ws:
            await ws.send("hello")
            await ws.recv()
            (connection,) = server.connections
            assert connection.remote_address == ws.local_address
            assert connection.local_address == ws.remote_address
            assert connection.remote_address[0] == "127.0.0.1"


# -- the end of a handler ---------------------------------------------------------


async def test_when_the_handler_returns_all_it_sent_arrives_and_then_1000() -> None:
    async def count(ws: wsclient.Connection) -> None:
        for n in range(100):
            await ws.send(str(n))

    async with serving(count) as server, wsclient.connect(url(server)) as ws:
        assert [message async for message in ws] == [str(n) for n in range(100)]
        with pytest.raises(ConnectionClosed) as caught:
            await ws.recv()
    assert caught.value.code == 1000


async def test_when_the_handler_raises_its_client_hears_1011_and_the_log_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(ws: wsclient.Connection) -> None:
        raise LookupError(await ws.recv(decode=True))

    async with (
        serving(fail) as server,
        wsclient.connect(url(server)) as ws,
        wsclient.connect(url(server)) as other,
    ):
        await ws.send("mine")
        with pytest.raises(ConnectionClosed) as caught:
            await ws.recv()
        assert caught.value.code == 1011
        assert "mine" not in caught.value.received.reason  # type: ignore[union-attr]
        await other.ping()
    (record,) = [r for r in caplog.records if r.levelno > logging.INFO]
    assert record.levelno == logging.ERROR
    assert record.exc_info
    assert isinstance(record.exc_info[1], LookupError)
    assert "in fail" in caplog.text  # the traceback
    assert str(ws.local_address[1]) in record.getMessage()


async def recv(ws: wsclient.Connection, gone: anyio.Event) -> None:
    await ws.recv()


async def send(ws: wsclient.Connection, gone: anyio.Event) -> None:
    await ws.wait_ended()
    await ws.send("too late")


async def send_much(ws: wsclient.Connection, gone: anyio.Event) -> None:
    while True:
        await ws.send(bytes(1 << 20))


async def two_tasks(ws: wsclient.Connection, gone: anyio.Event) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(recv, ws, gone)
        group.start_soon(send, ws, gone)


async def send_after_send_eof(ws: wsclient.Connection, gone: anyio.Event) -> None:
    await ws.send_eof()
    await ws.send("nothing may follow")


async def send_after_close(ws: wsclient.Connection, gone: anyio.Event) -> None:
    await ws.close()
    await ws.send("nothing may follow")


@pytest.mark.parametrize("orderly", [True, False])
@pytest.mark.parametrize(
    "handler",
    [recv, send, send_much, two_tasks, send_after_send_eof, send_after_close],
)
async def test_a_handler_that_ends_with_its_own_connection_is_no_failure(
    handler: Any, orderly: bool, logged: Callable[[], list[str]]
) -> None:
    ended: list[BaseException] = []
    over = anyio.Event()

    async def watched(ws: wsclient.Connection) -> None:
        try:
            await handler(ws, over)
        except BaseException as exc:
            ended.append(exc)
            raise
        finally:
            over.set()

    async with serving(watched) as server:
        stream = await upgraded(server)
        if orderly:
            await stream.send(frame(CLOSE, b"\x03\xe8"))
            await rest(stream)
            await stream.aclose()
        else:
            await vanish(stream)
        await over.wait()
        await still_serves_another(server)
    kinds = (ConnectionClosed, ConnectionLost, NotSent, MaybeSent, ExceptionGroup)
    assert isinstance(ended[0], kinds)
    assert not logged()


async def still_serves_another(server: Server) -> None:
    stream = await upgraded(server)
    await vanish(stream)


async def test_the_end_of_another_connection_is_a_failure(
    logged: Callable[[], list[str]],
) -> None:
    async def hang_up(ws: wsclient.Connection) -> None:
        await ws.close(4000, "not today")

    async with serving(hang_up) as upstream:

        async def relay(ws: wsclient.Connection) -> None:
            async with wsclient.connect(url(upstream)) as source:
                if await ws.recv() == "wait":
                    await ws.wait_ended()
                await ws.send(await source.recv())

        async with serving(relay) as server:
            async with wsclient.connect(url(server)) as ws:
                await ws.send("now")
                with pytest.raises(ConnectionClosed) as caught:
                    await ws.recv()
                assert caught.value.code == 1011
            # Neither does its own end hide that of the other.
            async with wsclient.connect(url(server)) as ws:
                await ws.send("wait")
    assert len(logged()) == 2
    assert all("4000 not today" in text for text in logged())


async def test_a_handler_that_is_half_done_at_the_end_is_not_blamed(
    logged: Callable[[], list[str]],
) -> None:
    sending = anyio.Event()

    async def flood(ws: wsclient.Connection) -> None:
        while True:
            sending.set()
            await ws.send(bytes(1 << 16))

    async with serving(flood, close_timeout=0.05) as server:
        stream = await upgraded(server)
        await sending.wait()
        server.close()
        await server.wait_closed()
        await stream.aclose()
    assert not logged()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_handler_that_is_cancelled_natively_ends_itself_alone(
    logged: Callable[[], list[str]],
) -> None:
    import asyncio

    async def cancelled(ws: wsclient.Connection) -> None:
        if await ws.recv() == "cancel":
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        await echo(ws)

    async with (
        serving(cancelled) as server,
        wsclient.connect(url(server)) as ws,
        wsclient.connect(url(server)) as other,
    ):
        await ws.send("cancel")
        with pytest.raises((ConnectionClosed, ConnectionLost)):
            await ws.recv()
        await other.send("live")
        await other.send("on")
        assert await other.recv() == "on"
    assert len(logged()) == 1


class Interrupt(BaseException):
    """As KeyboardInterrupt, which the event loop would make more of."""


async def test_what_interrupts_the_program_leaves_as_itself() -> None:
    async def interrupt(ws: wsclient.Connection) -> None:
        raise Interrupt

    async def run() -> None:
        async with serving(interrupt) as server:
            await upgraded_and_gone(server)
            await anyio.sleep_forever()

    with pytest.raises(Interrupt):
        await run()


async def test_what_the_body_raises_leaves_as_itself() -> None:
    error = LookupError("the body's")

    async def run() -> None:
        async with serving(echo) as server:
            await upgraded_and_gone(server)
            raise error

    with pytest.raises(LookupError) as caught:
        await run()
    assert caught.value is error
    assert caught.value.__context__ is None


async def upgraded_and_gone(server: Server) -> None:
    await (await upgraded(server)).aclose()


# -- TLS --------------------------------------------------------------------------


async def test_over_tls_too(tls: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    async with (
        serving(echo, tls=tls) as server,
        wsclient.connect(url(server, "wss"), tls=trusting) as ws,
    ):
        await ws.send("secret")
        assert await ws.recv() == "secret"


async def test_who_fails_at_tls_disturbs_nobody(
    tls: ssl.SSLContext,
    trusting: ssl.SSLContext,
    logged: Callable[[], list[str]],
) -> None:
    async with serving(echo, tls=tls) as server:
        with pytest.raises(wsclient.CertificateError):
            async with wsclient.connect(url(server, "wss")):
                raise AssertionError("our certificate is nobody's")
        with pytest.raises(wsclient.ConnectError):
            async with wsclient.connect(url(server)):
                raise AssertionError("plain bytes are no TLS")
        for said in (b"", upgrade(), b"\x16\x03\x01\x00\x05hello", os.urandom(100)):
            stream = await dial(server)
            await stream.send(said)
            await stream.aclose()
        async with wsclient.connect(url(server, "wss"), tls=trusting) as ws:
            await ws.send("still there?")
            assert await ws.recv() == "still there?"
    assert not logged()


async def test_tls_on_a_plain_port_is_an_error_of_the_client_alone(
    trusting: ssl.SSLContext, logged: Callable[[], list[str]]
) -> None:
    async with serving(echo) as server:
        with pytest.raises(wsclient.ConnectError) as caught:
            async with wsclient.connect(url(server, "wss"), tls=trusting):
                raise AssertionError("plain bytes are no TLS")
        assert caught.value.reason is wsclient.Reason.TLS
        await still_serves(server)
    assert not logged()


# -- clients who do not behave ----------------------------------------------------


async def test_s55_who_vanishes_ends_his_own_handler_only(
    logged: Callable[[], list[str]],
) -> None:
    ended = anyio.Event()
    handlers = [0]

    async def flood(ws: wsclient.Connection) -> None:
        handlers[0] += 1
        try:
            if await ws.recv() == "flood":
                while True:
                    await ws.send(bytes(1 << 16))
        finally:
            handlers[0] -= 1
            ended.set()

    async with serving(flood) as server:
        async with wsclient.connect(url(server)) as witness:
            for said in (b"", upgrade()[:30], upgrade()):  # during the upgrade
                stream = await dial(server)
                await stream.send(said)
                await vanish(stream)
            for said in (b"\x81", frame(1, b"half a message", fin=False)[:9]):
                stream = await upgraded(server)
                await stream.send(said)
                await vanish(stream)
                await ended.wait()
                ended = anyio.Event()
            stream = await upgraded(server)  # during the handler's send
            await stream.send(frame(1, b"flood"))
            await stream.receive()
            await vanish(stream)
            await ended.wait()
            await witness.ping()
            await witness.send("bye")
        while handlers[0]:
            ended = anyio.Event()
            await ended.wait()
    assert not logged()


async def test_s57_who_says_nothing_is_dropped_and_holds_up_nobody(
    tls: ssl.SSLContext, trusting: ssl.SSLContext, logged: Callable[[], list[str]]
) -> None:
    for secure in (None, tls):
        async with serving(echo, tls=secure, open_timeout=0.2) as server:
            silent = [await dial(server) for _ in range(20)]
            scheme = "wss" if secure else "ws"
            context = trusting if secure else None
            async with wsclient.connect(url(server, scheme), tls=context) as ws:
                await ws.send("busy")
                assert await ws.recv() == "busy"
                for stream in silent:
                    assert await rest(stream) == b""
                    await stream.aclose()
                await ws.send("still busy")
                assert await ws.recv() == "still busy"
    assert not logged()


async def test_random_bytes_at_any_stage_end_nothing(
    logged: Callable[[], list[str]],
) -> None:
    dice = random.Random(6455)
    before: list[bytes] = [b"", b"GET / HTTP/1.1\r\n", upgrade()[:-2], upgrade()]

    async def attack(start: bytes) -> None:
        stream = await dial(server)
        junk = dice.randbytes(dice.choice([1, 10, 1000, 100_000]))
        try:
            await stream.send(start + junk)
            if dice.random() < 0.5:
                await stream.send_eof()
                await rest(stream)
        except anyio.BrokenResourceError:
            pass  # it has thrown us out already
        if dice.random() < 0.5:
            reset(stream)
        await anyio.aclose_forcefully(stream)

    async with serving(echo, open_timeout=1, close_timeout=0.1) as server:
        for _ in range(10):
            async with anyio.create_task_group() as group:
                for start in before * 2:
                    group.start_soon(attack, start)
            await still_serves(server)
    assert not logged()


async def test_a_flood_of_connections_leaves_nothing_behind() -> None:
    before = sockets()

    async def visit(server: Server) -> None:
        async with wsclient.connect(url(server)) as ws:
            await ws.send("hello")
            await ws.recv()

    for _ in range(3):
        async with serving(echo) as server, anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(visit, server)
                await vanish(await dial(server))
    await anyio.lowlevel.checkpoint()  # uvloop and asyncio close when they come to it
    assert sockets() == before


def sockets() -> int:
    """How many this process has open."""
    found = 0
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the one of this listing
            found += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
    return found


# -- HTTP through the front door --------------------------------------------------


async def test_plain_http_and_websocket_share_a_port_over_tls(
    tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    def health(connection: Any, request: Any) -> wsclient.HTTPResponse | None:
        if request.target == "/health":
            return wsclient.HTTPResponse(200, "fine")
        return None

    async with serving(echo, tls=tls, process_request=health) as server:
        host, port = server.addresses[0][:2]
        async with await anyio.connect_tcp(
            host, port, tls=True, ssl_context=trusting, tls_hostname="localhost"
        ) as stream:
            await stream.send(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n")
            # Ended with close_notify: an answer that was cut off is an error here.
            answer = Answer.of(await until(stream, b"fine"))
            with pytest.raises(anyio.EndOfStream):
                await stream.receive()
        assert answer.body == b"fine"
        async with wsclient.connect(url(server, "wss"), tls=trusting) as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"


async def test_who_talks_on_while_he_is_refused_gets_an_end_and_no_reset() -> None:
    asked, answered = anyio.Event(), anyio.Event()

    async def refuse(connection: Any, request: Any) -> wsclient.HTTPResponse:
        asked.set()
        await answered.wait()
        return wsclient.HTTPResponse(403, "no")

    async with (
        serving(echo, process_request=refuse) as server,
        await dial(server) as stream,
    ):
        await stream.send(upgrade())
        await asked.wait()
        await stream.send(frame(1, b"early") * 1000)
        answered.set()
        assert Answer.of(await until(stream, b"\r\n\r\nno")).status == 403
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()


async def test_a_refused_client_is_told_by_name() -> None:
    async with serving(echo, origins=["https://ours.example"]) as server:
        with pytest.raises(wsclient.HandshakeRejected) as caught:
            async with wsclient.connect(url(server), origin="https://evil.example"):
                raise AssertionError("this is not ours")
        assert caught.value.status == 403


# -- the addresses ----------------------------------------------------------------


async def test_a_free_port_is_told() -> None:
    async with serving(echo) as server:
        assert server.addresses[0][0] == "127.0.0.1"
        assert server.addresses[0][1] > 0


@pytest.mark.parametrize("host", ["localhost", None])
async def test_all_addresses_of_a_host_share_the_port(host: str | None) -> None:
    with anyio.fail_after(30):
        async with serve(echo, host, 0) as server:
            assert len({address[1] for address in server.addresses}) == 1
            for address in server.addresses:
                local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(
                    address[0], address[0]
                )
                authority = f"[{local}]" if ":" in local else local
                async with wsclient.connect(f"ws://{authority}:{address[1]}") as ws:
                    await ws.send("hello")
                    assert await ws.recv() == "hello"


async def test_an_address_in_use_is_told_on_entering() -> None:
    async with serving(echo) as server:
        port = server.addresses[0][1]
        with pytest.raises(OSError, match="in use"):
            async with serve(echo, "127.0.0.1", port):
                raise AssertionError("somebody listens there already")
        await still_serves(server)


async def test_a_port_is_free_again_at_once() -> None:
    async with serving(echo) as server:
        port = server.addresses[0][1]
        await still_serves(server)
    with anyio.fail_after(30):
        async with serve(echo, "127.0.0.1", port) as again:
            await still_serves(again)


# -- closing ----------------------------------------------------------------------


async def test_s56_everybody_hears_1001_and_the_mute_hold_nobody_up(
    logged: Callable[[], list[str]],
) -> None:
    heard: list[int] = []

    async def visit(server: Server, task_status: TaskStatus[None]) -> None:
        async with wsclient.connect(url(server)) as ws:
            task_status.started()
            with pytest.raises(ConnectionClosed) as caught:
                await ws.recv()
            heard.append(caught.value.code)

    async with (
        anyio.create_task_group() as group,
        serving(echo, close_timeout=0.2) as server,
    ):
        for _ in range(25):
            await group.start(visit, server)
        mute = [await upgraded(server) for _ in range(25)]
    assert heard == [1001] * 25
    for stream in mute:
        data = await rest(stream)
        assert data[:4] == b"\x88\x17\x03\xe9"
        assert data[4:] == b"the server shuts down"[: len(data) - 4]
        await stream.aclose()
    assert not logged()


async def test_handlers_may_finish_within_shutdown_timeout() -> None:
    done: list[str] = []
    gone = anyio.Event()

    async def tidy(ws: wsclient.Connection) -> None:
        await ws.wait_ended()
        await gone.wait()
        done.append("tidied")

    async with serving(tidy) as server:
        async with wsclient.connect(url(server)) as ws:
            server.close()
            await ws.wait_ended()
        gone.set()
    assert done == ["tidied"]


async def test_a_handler_that_takes_too_long_is_cancelled_and_told_of(
    logged: Callable[[], list[str]],
) -> None:
    cancelled = anyio.Event()

    async def stubborn(ws: wsclient.Connection) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    async with (
        serving(stubborn, shutdown_timeout=0.1) as server,
        wsclient.connect(url(server)),
    ):
        server.close()
        await server.wait_closed()
        assert cancelled.is_set()
    assert logged() == ["1 handlers did not end within shutdown_timeout: cancelled"]


async def test_the_silent_do_not_hold_up_the_end() -> None:
    """Nor does anything else that has no deadline, while its client may still act."""
    async with serving(
        echo, open_timeout=None, shutdown_timeout=None, close_timeout=None
    ) as server:
        silent = await dial(server)
        half = await dial(server)
        await half.send(upgrade()[:20])
        await still_serves(server)
    assert await rest(silent) == b""
    assert await rest(half) == b""
    await silent.aclose()
    await half.aclose()


async def test_cancelled_it_ends_at_once_and_still_says_1001() -> None:
    with anyio.fail_after(30), anyio.CancelScope() as scope:
        async with serve(
            echo, "127.0.0.1", 0, close_timeout=None, shutdown_timeout=None
        ) as server:
            mute = [await upgraded(server) for _ in range(5)]
            silent = await dial(server)
            scope.cancel()
    assert scope.cancelled_caught
    for stream in mute:
        assert (await rest(stream))[2:4] == b"\x03\xe9"
        await stream.aclose()
    assert await rest(silent) == b""
    await silent.aclose()


async def test_cancelled_while_it_closes_it_ends_at_once() -> None:
    with anyio.fail_after(30), anyio.CancelScope() as scope:
        async with serve(
            echo, "127.0.0.1", 0, close_timeout=None, shutdown_timeout=None
        ) as server:
            mute = await upgraded(server)
            scope.deadline = anyio.current_time() + 0.1
    assert scope.cancelled_caught
    assert (await rest(mute))[2:4] == b"\x03\xe9"
    await mute.aclose()


async def test_close_begins_and_wait_closed_waits_for_the_end() -> None:
    ended = anyio.Event()

    async def tidy(ws: wsclient.Connection) -> None:
        await ws.wait_ended()
        ended.set()

    async with serving(tidy) as server:
        async with wsclient.connect(url(server)) as ws:
            server.close()
            server.close()
            assert not ended.is_set()
            with pytest.raises(ConnectionClosed) as caught:
                await ws.recv()
            assert caught.value.code == 1001
        await server.wait_closed()
        assert ended.is_set()
        assert not server.connections
        with pytest.raises(wsclient.ConnectError) as refused:
            async with wsclient.connect(url(server)):
                raise AssertionError("nobody listens any more")
        assert refused.value.reason is wsclient.Reason.REFUSED
        await server.wait_closed()


async def test_who_was_being_let_in_hears_1001_and_meets_no_handler() -> None:
    asked, closing = anyio.Event(), anyio.Event()

    async def wait(connection: Any, request: Any) -> None:
        asked.set()
        await closing.wait()

    async def nobody(ws: wsclient.Connection) -> None:
        raise AssertionError("the server is closing")

    async def visit() -> None:
        async with wsclient.connect(url(server)) as ws:
            with pytest.raises(ConnectionClosed) as caught:
                await ws.recv()
            assert caught.value.code == 1001

    async with (
        serving(nobody, process_request=wait) as server,
        anyio.create_task_group() as group,
    ):
        group.start_soon(visit)
        await asked.wait()
        server.close()
        closing.set()


async def test_serving_until_somebody_says_stop() -> None:
    async def obey(ws: wsclient.Connection) -> None:
        async for message in ws:
            if message == "stop":
                server.close()

    async with serving(obey) as server, anyio.create_task_group() as group:
        group.start_soon(server.wait_closed)
        group.start_soon(server.wait_closed)
        async with wsclient.connect(url(server)) as ws:
            await ws.send("stop")
            with pytest.raises(ConnectionClosed) as caught:
                await ws.recv()
            assert caught.value.code == 1001
        await server.wait_closed()


async def test_waiting_for_the_end_can_be_cancelled_and_ends_nothing() -> None:
    async with serving(echo) as server:
        with anyio.move_on_after(0):
            await server.wait_closed()
        await still_serves(server)


async def test_a_handler_cannot_wait_for_itself(
    logged: Callable[[], list[str]],
) -> None:
    async def foolish(ws: wsclient.Connection) -> None:
        with pytest.raises(ConcurrencyError, match="call close"):
            await server.wait_closed()
        await ws.send("told")

    async with serving(foolish) as server, wsclient.connect(url(server)) as ws:
        assert await ws.recv() == "told"
    assert not logged()


async def test_a_server_that_was_not_entered_has_nothing_to_end() -> None:
    server = serve(echo)
    with pytest.raises(ConcurrencyError, match="async with"):
        server.close()
    with pytest.raises(ConcurrencyError, match="async with"):
        await server.wait_closed()
    assert server.addresses == []


async def test_a_server_is_entered_once() -> None:
    async with serving(echo) as server:
        with pytest.raises(ConcurrencyError, match="entered once"):
            await server.__aenter__()
        await still_serves(server)


def test_a_server_can_be_made_before_the_event_loop() -> None:
    assert isinstance(serve(echo), Server)


# -- at the call ------------------------------------------------------------------


async def old_handler(ws: Any, path: str) -> None:
    """As websockets called them before version 10."""


@pytest.mark.parametrize(
    ("arguments", "options", "remedy"),
    [
        ((None,), {}, r"handler is None; give a function of \(connection\)"),
        ((old_handler,), {}, "handler cannot be called with 1 arguments"),
        ((echo, 8080), {}, "host is 8080"),
        ((echo, b"localhost"), {}, "host is b'localhost'"),
        ((echo, "localhost", 65536), {}, "port is 65536; give 1 to 65535"),
        ((echo, "localhost", "80"), {}, "port is '80'"),
        ((echo, "localhost", True), {}, "port is True"),
        ((echo,), {"shutdown_timeout": float("nan")}, "shutdown_timeout"),
        ((echo,), {"close_timeout": -1}, "close_timeout"),
        ((echo,), {"open_timeout": "10"}, "open_timeout"),
        ((echo,), {"compression": "gzip"}, "deflate"),
        ((echo,), {"max_message_size": -1}, "max_message_size"),
        ((echo,), {"subprotocols": "chat"}, "write"),
    ],
)
def test_what_cannot_be_used_is_refused_at_the_call(
    arguments: Any, options: dict[str, Any], remedy: str
) -> None:
    with pytest.raises(ArgumentError, match=remedy):
        serve(*arguments, **options)


def test_the_source_of_the_server_never_names_a_backend() -> None:
    """It runs on both, and on what anyio may run on some day."""
    for path in Path(wsclient.__file__).parent.joinpath("server").glob("*.py"):
        assert "trio" not in path.read_text(encoding="utf-8").split()
