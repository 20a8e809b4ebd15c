"""``wsclient connect`` as it is used: in a pipe and at a terminal, against servers."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from signal import Signals

import anyio
import pytest
import trustme
from anyio.abc import SocketStream

from wsclient import Connection, HTTPResponse, Request
from wsclient.cli import main

from .talks import done, echo, echoing, running, serving, terminal

pytestmark = pytest.mark.real


@pytest.fixture
def backend(anyio_backend_name: str) -> tuple[str, str]:
    """The command runs on the event loop that the test runs on."""
    return "--backend", anyio_backend_name


Backend = tuple[str, str]

PATIENT = ("--wait", "inf")  # the server closes


# In a pipe.


async def test_lines_are_sent_and_answers_printed_and_nothing_else(
    backend: Backend,
) -> None:
    async with serving() as server:
        run = await done(server.url, *backend, said="one\n\ntwo: \u20ac".encode())
    assert (run.status, run.out) == (0, "one\n\ntwo: \u20ac\n")
    assert run.err == (
        f"= connected to {server.url} (compression)\n"
        "= closed by us: 1000, normal closure\n"
    )
    [end] = server.ends
    assert end
    assert end.received
    assert end.received.code == 1000


async def test_many_lines_keep_their_order(backend: Backend) -> None:
    lines = "".join(f"{number}\n" for number in range(20_000))
    async with serving(echoing(20_000)) as server:
        run = await done(server.url, *backend, *PATIENT, said=lines.encode())
    assert (run.status, run.out) == (0, lines)


async def test_answers_have_the_time_that_is_given_them(backend: Backend) -> None:
    """A server that has something to say long after the input has ended."""

    async def thinks(ws: Connection) -> None:
        question = await ws.recv()
        with anyio.move_on_after(0.2):
            await ws.recv()  # nothing more comes, no Close frame either
        await ws.send(f"{question!r}? 42")
        await ws.close()

    async with serving(thinks) as server:
        run = await done(server.url, *backend, *PATIENT, said=b"life\n")
    assert (run.status, run.out) == (0, "'life'? 42\n")
    assert run.err.endswith("= closed by the server: 1000, normal closure\n")


async def test_nothing_is_waited_for_if_nothing_shall(backend: Backend) -> None:
    async def mute(ws: Connection) -> None:
        async for _ in ws:
            pass

    async with serving(mute) as server:
        run = await done(server.url, *backend, "--wait", "0", said=b"x\n")
    assert (run.status, run.out) == (0, "")


async def test_the_end_does_not_wait_for_the_input(backend: Backend) -> None:
    """The thread that reads it hangs in its read when everybody else has left."""

    async def bye(ws: Connection) -> None:
        await ws.close(1001, "for today")

    async with serving(bye) as server, running(server.url, *backend) as program:
        assert await program.ends() == 0
    assert "= closed by the server: 1001, going away: for today\n" in program.err


async def test_binary_messages_are_hexadecimal_and_can_be_sent(
    backend: Backend,
) -> None:
    async with serving(echoing(2)) as server:
        run = await done(
            server.url, *backend, *PATIENT, "--binary", said=b"\xff\x00\nab\r\n"
        )
    assert (run.status, run.out) == (0, "ff00\n6162\n")


async def test_what_is_not_utf_8_is_not_sent(backend: Backend) -> None:
    async with serving(echoing(2)) as server:
        run = await done(server.url, *backend, *PATIENT, said=b"good\n\xff\ntoo\n")
    assert (run.status, run.out) == (1, "good\ntoo\n")
    assert "! a line was not sent: it is not UTF-8; --binary sends any" in run.err


@pytest.mark.parametrize(
    ("code", "status", "meaning"),
    [
        (1000, 0, "normal closure"),
        (1001, 0, "going away"),
        (1011, 1, "internal error"),
        (4001, 1, "private to the application"),
    ],
)
async def test_the_servers_close_code_is_told_and_is_the_status(
    backend: Backend, code: int, status: int, meaning: str
) -> None:
    async def leaves(ws: Connection) -> None:
        await ws.recv()
        await ws.close(code, "so\nit is")

    async with serving(leaves) as server:
        run = await done(server.url, *backend, *PATIENT, said=b"x\n")
    assert run.status == status
    assert f"= closed by the server: {code}, {meaning}: so\\nit is\n" in run.err


async def test_slash_commands_ping_and_close(backend: Backend) -> None:
    said = b"/ping\n/close 1006\n/close now\nx\n/close 4000 as agreed\n"
    async with serving() as server:
        run = await done(server.url, *backend, "--slash", said=said)
    assert run.status == 0
    assert "% pong after " in run.err
    assert "! the close code 1006 may not be sent" in run.err
    assert "! invalid literal for int()" in run.err
    assert "= closed by us: 4000, private to the application: as agreed\n" in run.err
    [end] = server.ends
    assert end
    assert str(end.received) == "4000 as agreed"


async def test_close_needs_no_code_and_without_slash_is_a_message(
    backend: Backend,
) -> None:
    async with serving(echoing(1)) as server:
        run = await done(server.url, *backend, *PATIENT, said=b"/close\n")
        assert (run.status, run.out) == (0, "/close\n")
        run = await done(server.url, *backend, "--slash", said=b"/close\n\n/closed\n")
        assert (run.status, run.out) == (0, "")
    assert "= closed by us: 1000, normal closure\n" in run.err


async def test_a_reader_that_has_enough_ends_it_quietly(backend: Backend) -> None:
    ours, theirs = os.pipe()
    async with (
        serving() as server,
        running(server.url, *backend, stdout=theirs) as program,
    ):
        os.close(theirs)
        await program.hears(b"one\n")
        await anyio.wait_readable(ours)
        assert os.read(ours, 100) == b"one\n"
        os.close(ours)
        await program.hears(b"two\n")
        assert await program.ends() == 141
    [end] = server.ends
    assert end
    assert end.received
    assert end.received.code == 1001
    assert program.err == f"= connected to {server.url} (compression)\n"


async def test_verbose_tells_frames(backend: Backend) -> None:
    async def pings(ws: Connection) -> None:
        await ws.ping()
        await echoing(1)(ws)

    async with serving(pings) as server:
        run = await done(server.url, *backend, *PATIENT, "--verbose", said=b"Hello\n")
    assert (run.status, run.out) == (0, "Hello\n")
    assert "log: client < Ping(payload=" in run.err
    assert "log: client > 'Hello'\n" in run.err
    assert "log: client < 'Hello'\n" in run.err


# The opening handshake.


async def test_what_is_offered_and_sent_reaches_the_server(backend: Backend) -> None:
    async with serving(subprotocols=["chat"]) as server:
        run = await done(
            *(server.url, *backend, "--no-compression"),
            *("--header", "X-Token: a:b", "--origin", "https://example.com"),
            *("--subprotocol", "soap", "--subprotocol", "chat", "--wait", "0"),
        )
    assert run.status == 0
    [request] = server.requests
    assert ("x-token", "a:b") in request.headers
    assert request.origin == "https://example.com"
    assert request.subprotocols == ("soap", "chat")
    assert "sec-websocket-extensions" not in dict(request.headers)
    assert f"= connected to {server.url} (subprotocol chat)\n" in run.err


async def test_nobody_there_is_one_line_with_the_remedy(backend: Backend) -> None:
    async with serving() as server:
        pass
    run = await done(server.url, *backend, said=b"x\n")
    assert (run.status, run.out) == (1, "")
    [line] = run.err.splitlines()
    assert line.startswith("! no connection to 127.0.0.1:")
    assert line.endswith("check that the server is up and the port is right")


async def test_a_refusal_is_told_in_the_servers_words(backend: Backend) -> None:
    async def elsewhere(ws: Connection, request: Request) -> HTTPResponse:
        headers = [("Location", "wss://example.com/"), ("Content-Type", "text/plain")]
        return HTTPResponse(301, b"moved,\r\n  for good\x1b[2J", headers)

    async with serving(process_request=elsewhere) as server:
        run = await done(server.url, *backend)
    assert run.status == 1
    first, *others = run.err.splitlines()
    assert "301" in first
    assert others == [
        "! it points to wss://example.com/",
        "! it says: moved, for good\\x1b[2J",
    ]


async def test_certificates_of_other_authorities_need_a_word(
    backend: Backend, tmp_path: Path
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    async with serving(echoing(1), tls=context) as server:
        run = await done(server.url, *backend, *PATIENT, said=b"x\n")
        assert (run.status, run.out) == (1, "")
        first, hint = run.err.splitlines()
        assert "[TLS in phase TLS" in first
        assert hint == "! --cafile FILE trusts other authorities, --insecure everybody"

        words = (server.url, *backend, *PATIENT, "--cafile", str(file))
        run = await done(*words, said=b"x\n")
        assert (run.status, run.out) == (0, "x\n")

        run = await done(server.url, *backend, *PATIENT, "--insecure", said=b"x\n")
        assert (run.status, run.out) == (0, "x\n")
        assert run.err.startswith("! --insecure: whoever answers is trusted\n")


async def test_a_message_that_is_too_big_names_the_option(backend: Backend) -> None:
    words = ("--max-message-size", "4")
    async with serving() as server:
        run = await done(server.url, *backend, *words, said=b"Hell\nHello\n")
    assert (run.status, run.out) == (1, "Hell\n")
    *_, first, hint = run.err.splitlines()
    assert "PROTOCOL_ERROR" in first
    assert hint == "! --max-message-size BYTES lets larger ones in, 0 any"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["localhost:80"], "the URL must begin with ws:// or wss://"),
        (["ws://localhost/", "-H", "Upgrade: x"], "the handshake's own"),
        (["ws://localhost/", "-k"], "tls is given, but ws://localhost/ has none"),
        (
            ["wss://localhost/", "--cafile", "/no/such"],
            "--cafile /no/such: No such file",
        ),
        (["ws://localhost/", "-r", "-s", "a b"], "'a b' cannot be the name"),
    ],
)
def test_what_cannot_be_used_is_told_before_anything_is_done(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["connect", *words]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("wsclient connect: ")
    assert says in line


# When the connection breaks.


async def breaks_off(stream: SocketStream) -> None:
    """Open a connection of WebSocket, then end that of TCP."""
    async with stream:
        head = b""
        while b"\r\n\r\n" not in head:
            head += await stream.receive()
        await stream.send(answer_to(head))


def answer_to(head: bytes) -> bytes:
    from wsclient.protocol import Endpoint, Role

    server = Endpoint(Role.SERVER)
    server.receive_data(head)
    return server.accept()


async def test_a_connection_that_breaks_off_is_a_failure(backend: Backend) -> None:
    with anyio.fail_after(60):
        async with (
            await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
            anyio.create_task_group() as group,
        ):
            group.start_soon(listener.serve, breaks_off)
            port = listener.extra(anyio.abc.SocketAttribute.local_port)
            url = f"ws://127.0.0.1:{port}/"
            run = await done(url, *backend, *PATIENT)
            group.cancel_scope.cancel()
    assert run.status == 1
    connected, lost = run.err.splitlines()
    assert connected == f"= connected to {url}"
    assert lost.startswith("! the peer hung up unannounced [EOF in phase OPEN")


async def test_with_reconnect_it_goes_on(backend: Backend) -> None:
    async def first_fails(ws: Connection) -> None:
        if len(server.requests) == 1:
            await ws.recv()
            await ws.close(1011)
        else:
            await echo(ws)

    async with (
        serving(first_fails) as server,
        running(server.url, *backend, "--reconnect", "--wait", "0") as program,
    ):
        await program.says("generation 1\n")
        await program.hears(b"lost\n")
        await program.says("generation 2\n")
        await program.hears(b"Hello\n")
        assert await program.prints() == "Hello\n"
        await program.hears_no_more()
        assert await program.ends() == 0
    told = program.err.splitlines()
    assert told[0] == f"= connected to {server.url}, generation 1"
    assert told[1].startswith(
        "! the peer closed with 1011 [PEER_CLOSED, close code 1011"
    )
    assert "next attempt in " in told[1]
    assert any("s without a connection: messages may be missing" in a for a in told)
    assert told[-1] == "= closed by us"
    assert [end.received.code for end in server.ends if end and end.received][1] == 1000


async def test_with_reconnect_it_gives_up_what_is_of_no_use(backend: Backend) -> None:
    async def nowhere(ws: Connection, request: Request) -> HTTPResponse:
        return HTTPResponse(404, b"no such place")

    async with serving(process_request=nowhere) as server:
        run = await done(server.url, *backend, "--reconnect", *PATIENT)
    assert run.status == 1
    assert "gave up after 1 attempt" in run.err
    assert run.err.endswith("! it says: no such place\n")


# Signals.


@pytest.mark.parametrize("number", [Signals.SIGINT, Signals.SIGTERM])
@pytest.mark.parametrize("more", [(), ("--reconnect",)])
async def test_an_interrupt_leaves_politely(
    backend: Backend, number: Signals, more: tuple[str, ...]
) -> None:
    async with serving() as server, running(server.url, *backend, *more) as program:
        await program.says("= connected")
        program.signal(number)
        assert await program.ends() == 128 + number
    assert program.err.splitlines()[-1].startswith("= closed by us")
    [end] = server.ends
    assert end
    assert end.received
    assert end.received.code == 1000


async def test_an_interrupt_ends_an_attempt(backend: Backend) -> None:
    """The server takes the connection and never answers."""
    with anyio.fail_after(60):
        async with (
            await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
            anyio.create_task_group() as group,
        ):
            asked = anyio.Event()

            async def silent(stream: SocketStream) -> None:
                async with stream:
                    await stream.receive()
                    asked.set()
                    await anyio.sleep_forever()

            group.start_soon(listener.serve, silent)
            port = listener.extra(anyio.abc.SocketAttribute.local_port)
            async with running(f"ws://127.0.0.1:{port}/", *backend) as program:
                await asked.wait()
                program.signal(Signals.SIGINT)
                assert await program.ends() == 130
            group.cancel_scope.cancel()
    assert program.err == ""


async def test_a_second_interrupt_does_not_wait_for_the_server(
    backend: Backend,
) -> None:
    """The server takes our Close frame and answers nothing."""
    with anyio.fail_after(60):
        async with (
            await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
            anyio.create_task_group() as group,
        ):
            closing = anyio.Event()

            async def stubborn(stream: SocketStream) -> None:
                async with stream:
                    await stream.send(answer_to(await stream.receive()))
                    await stream.receive()
                    closing.set()
                    await anyio.sleep_forever()

            group.start_soon(listener.serve, stubborn)
            port = listener.extra(anyio.abc.SocketAttribute.local_port)
            async with running(f"ws://127.0.0.1:{port}/", *backend) as program:
                await program.says("= connected")
                program.signal(Signals.SIGINT)
                await closing.wait()
                program.signal(Signals.SIGINT)
                assert await program.ends() == 130
            group.cancel_scope.cancel()


# At a terminal.


async def test_a_dialogue_has_a_prompt_and_ends_with_ctrl_d(backend: Backend) -> None:
    async with serving() as server, terminal(server.url, *backend) as screen:
        await screen.shows(f"= connected to {server.url} (compression)", ">")
        screen.type("Hello\n")
        await screen.shows("> Hello", "< Hello", ">")
        screen.type("\x04")
        assert await screen.ends() == 0
    assert screen.display.text == [
        f"= connected to {server.url} (compression)",
        "> Hello",
        "< Hello",
        "= closed by us: 1000, normal closure",
    ]


async def test_what_comes_while_one_types_does_not_garble_it(backend: Backend) -> None:
    typing = anyio.Event()

    async def interrupts(ws: Connection) -> None:
        await typing.wait()
        await ws.send("\x1b[31mfirst\nsecond")
        await ws.send(bytes(3))
        await echo(ws)

    async with serving(interrupts) as server, terminal(server.url, *backend) as screen:
        await screen.shows(f"= connected to {server.url} (compression)", ">")
        screen.type("half a li")
        await screen.shows("> half a li")
        typing.set()
        rows = ("< \\x1b[31mfirst", "second", "< (3 bytes) 00 00 00")
        await screen.shows(*rows, "> half a li")
        screen.type("ne\n")
        await screen.shows(*rows, "> half a line", "< half a line", ">")
        screen.type("\x04")
        assert await screen.ends() == 0


async def test_a_line_that_the_terminal_has_cut_is_not_sent(backend: Backend) -> None:
    async with serving() as server, terminal(server.url, *backend) as screen:
        await screen.shows(f"= connected to {server.url} (compression)", ">")
        screen.type("x" * 5000)
        screen.type("\n")
        cut = "! a line was not sent: terminals cut it here; send it from a file"
        await screen.shows(cut, ">")
        screen.type("short\n")
        await screen.shows(cut, "> short", "< short", ">")
        screen.type("\x04")
        assert await screen.ends() == 1


async def test_ctrl_c_leaves(backend: Backend) -> None:
    async with serving() as server, terminal(server.url, *backend) as screen:
        await screen.shows(f"= connected to {server.url} (compression)", ">")
        screen.type("\x03")
        assert await screen.ends() == 130
    assert "= closed by us: 1000, normal closure" in screen.display.text
    [end] = server.ends
    assert end
    assert end.received
    assert end.received.code == 1000


async def test_when_the_server_leaves_so_does_the_prompt(backend: Backend) -> None:
    async def leaves(ws: Connection) -> None:
        await ws.recv()
        await ws.close(1001)

    async with serving(leaves) as server, terminal(server.url, *backend) as screen:
        await screen.shows(f"= connected to {server.url} (compression)", ">")
        screen.type("x\n")
        assert await screen.ends() == 0
    assert screen.display.text[-2:] == [
        "> x",
        "= closed by the server: 1001, going away",
    ]
