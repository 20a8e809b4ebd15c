"""A recording changes nothing, forgets nothing and betrays nothing."""

from __future__ import annotations

import ssl
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest
import trustme

import wsclient
from wsclient.protocol import CloseReceived, Role
from wsclient.testing import VIRTUAL_BACKENDS, Network, virtual_backend
from wsclient.testing.contract import WIRE_CHECKS, WireCheck
from wsclient.testing.peer import Peer
from wsclient.testing.recorder import recorded
from wsclient.testing.recording import Recording
from wsclient.testing.script import Script, ScriptedServer, rejects
from wsclient.testing.transcript import Body, End, Head, Raw, What
from wsclient.testing.wires import wire_pair
from wsclient.wire import Dial, Reached, Wire

Connecting = AbstractAsyncContextManager[wsclient.Connection]


@pytest.fixture(params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return virtual_backend(request.param)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feed.recording"


@pytest.fixture
def network() -> Network:
    return Network(latency=(0.02, 0.02))


def serving(network: Network, *scripts: Script, **options: Any) -> ScriptedServer:
    host = network.host("feed.test")
    options = {"port": 443 if options.get("tls") else 80} | options
    return ScriptedServer(*scripts, host="feed.test", listen=host.listen, **options)


def text_of(path: Path) -> str:
    return path.read_text("utf-8")


def connect(url: str, dial: Dial, **options: Any) -> Connecting:
    options = {"ping_interval": None, "random": Random(1)} | options
    return wsclient.connect(url, dial=dial, **options)


def said(path: Path, by: Role, number: int = 1) -> list[What]:
    """What one side said on a connection, heads left out."""
    events = Recording.load(path).connections[number - 1].events
    found = [each.what for each in events if each.by is by]
    return [what for what in found if not isinstance(what, Head)]


async def converses(peer: Peer) -> None:
    """Greet, answer each message twice, and close when told to."""
    await peer.accept()
    peer.send("welcome")
    while (message := await peer.recv()) != "close":
        peer.send(message, message)
    peer.close(4000, "as you wish")


async def converse(url: str, dial: Dial, **options: Any) -> list[tuple[float, Any]]:
    """Talk to it; return all that was heard, and when."""
    heard: list[tuple[float, Any]] = []
    async with connect(url, dial, **options) as ws:
        heard.append((anyio.current_time(), await ws.recv()))
        await ws.send("x" * 1000)
        await ws.send([b"in ", b"parts"])
        heard += [(anyio.current_time(), await ws.recv()) for _ in range(4)]
        await ws.ping()
        await ws.send("close")
        with pytest.raises(wsclient.ConnectionClosed) as closed:
            await ws.recv()
        heard.append((anyio.current_time(), str(closed.value)))
    return heard


# It changes nothing.


@pytest.mark.parametrize("check", WIRE_CHECKS, ids=lambda check: str(check.__name__))
async def test_a_recorded_wire_keeps_the_contract_of_wires(
    check: WireCheck, path: Path
) -> None:
    pair = wire_pair()

    async def dial(
        host: str, port: int, *, tls: object | None, reached: Reached
    ) -> Wire:
        return pair[port]

    wires = [
        await recorded(dial, path.with_suffix(f".{end}"))(
            "feed.test", end, tls=None, reached=lambda _: None
        )
        for end in (0, 1)
    ]
    await check(*wires)


async def test_a_conversation_is_the_same_with_and_without(
    path: Path, network: Network
) -> None:
    async def one(dial: Dial) -> tuple[Any, ...]:
        began = anyio.current_time()
        async with serving(network, converses, deflate=wsclient.Deflate()) as server:
            heard = await converse(server.url(), dial)
            await server.peer.until_gone()
        times = [(round(at - began, 6), what) for at, what in heard]
        events = [event for _, event in server.peer.events]
        return times, events, server.peer.ended

    assert await one(network.dial) == await one(recorded(network.dial, path))


async def test_a_recorded_wire_shows_what_the_wire_shows(
    path: Path, network: Network
) -> None:
    dial = recorded(network.dial, path)
    async with serving(network) as server, connect(server.url(), dial) as ws:
        assert ws.remote_address == (network.host("feed.test").address, 80)


async def test_a_dial_that_fails_fails_as_it_does(path: Path, network: Network) -> None:
    dial = recorded(network.dial, path)
    with pytest.raises(wsclient.ConnectError):
        async with connect("ws://nowhere.test", dial):
            pass
    assert Recording.load(path).connections == ()


# It forgets nothing.


@pytest.mark.parametrize("compression", [None, "deflate"])
async def test_all_that_is_said_is_in_the_file(
    path: Path, network: Network, compression: str | None
) -> None:
    async with serving(network, converses, deflate=wsclient.Deflate()) as server:
        dial = recorded(network.dial, path)
        await converse(server.url(), dial, compression=compression)
        await server.peer.until_gone()
    text = text_of(path)
    assert "ping 30303030 30303031\n" in text
    assert "pong 30303030 30303031\n" in text
    (connection,) = Recording.load(path).connections
    assert connection.messages(Role.CLIENT) == ["x" * 1000, b"in parts", "close"]
    assert connection.messages(Role.SERVER) == [
        *("welcome", "x" * 1000, "x" * 1000, b"in parts", b"in parts")
    ]
    closing = [CloseReceived(4000, "as you wish"), End("EOF")]
    assert said(path, Role.SERVER)[-2:] == closing
    assert said(path, Role.CLIENT)[-2:] == [CloseReceived(4000, ""), End("EOF")]
    times = [each.at for each in connection.events]
    assert times == sorted(times)
    assert times[0] == 0.0


async def test_below_tls_it_would_be_secret_and_above_it_is_text(
    path: Path, network: Network
) -> None:
    authority = trustme.CA()
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("feed.test").configure_cert(theirs)
    ours = ssl.create_default_context()
    authority.configure_trust(ours)
    async with serving(network, converses, tls=theirs) as server:
        await converse(server.url(), recorded(network.dial, path), tls=ours)
    (connection,) = Recording.load(path).connections
    assert connection.called.tls
    assert connection.messages(Role.CLIENT)[-1] == "close"


async def test_what_was_said_is_in_the_file_at_once(
    path: Path, network: Network
) -> None:
    dial = recorded(network.dial, path)
    async with (
        serving(network, converses) as server,
        connect(server.url(), dial) as ws,
    ):
        await ws.recv()
        assert said(path, Role.SERVER) == ["welcome"]
        await ws.send("now")
        assert said(path, Role.CLIENT) == ["now"]


@pytest.mark.parametrize(
    ("script", "end"),
    [("hang_up", End("EOF")), ("reset", End("reset"))],
)
async def test_how_the_server_ends_is_told(
    path: Path, network: Network, script: str, end: End
) -> None:
    async def ends(peer: Peer) -> None:
        await peer.accept()
        getattr(peer, script)()

    async with (
        serving(network, ends) as server,
        connect(server.url(), recorded(network.dial, path)) as ws,
    ):
        with pytest.raises(wsclient.ConnectionLost):
            await ws.recv()
    assert said(path, Role.SERVER) == [end]


async def test_an_abort_by_the_client_is_a_reset(path: Path, network: Network) -> None:
    dial = recorded(network.dial, path)
    async with serving(network):
        wire = await dial("feed.test", 80, tls=None, reached=lambda _: None)
        wire.write(b"GET / HT")
        wire.abort()
        wire.abort()
        wire.write(b"after the end")
        await wire.aclose()
    (connection,) = Recording.load(path).connections
    assert [each.what for each in connection.events] == [
        Head(("GET / HT",)),
        End("reset"),
    ]


async def test_closing_a_wire_that_is_cancelled_is_a_reset(
    path: Path, network: Network
) -> None:
    dial = recorded(network.dial, path)
    async with serving(network):
        wire = await dial("feed.test", 80, tls=None, reached=lambda _: None)
        network.links[-1].stall("up")
        wire.write(b"x" * 10**6)
        with anyio.move_on_after(1):
            await wire.aclose()
    assert said(path, Role.CLIENT) == [End("reset")]


async def test_a_refusal_is_kept_with_its_body(path: Path, network: Network) -> None:
    async with serving(network, rejects(503, retry_after=5, body=b"busy\n")) as server:
        with pytest.raises(wsclient.HandshakeRejected):
            async with connect(server.url(), recorded(network.dial, path)):
                pass
    assert "body 'busy\\n'\n" in text_of(path)
    assert said(path, Role.SERVER)[0] == Body(b"busy\n")


async def test_what_breaks_the_protocol_is_kept_as_it_is(
    path: Path, network: Network
) -> None:
    async def breaks(peer: Peer) -> None:
        await peer.accept()
        peer.send("good")
        peer.write(b"\x83\0")

    async with (
        serving(network, breaks) as server,
        connect(server.url(), recorded(network.dial, path)) as ws,
    ):
        assert await ws.recv() == "good"
        with pytest.raises(wsclient.ConnectionLost):
            await ws.recv()
    assert said(path, Role.SERVER)[:2] == ["good", Raw(b"\x83\0")]
    assert "# What follows breaks the rules: the opcode 0x3" in text_of(path)


async def test_connections_side_by_side_are_told_apart(
    path: Path, network: Network
) -> None:
    dial = recorded(network.dial, path)
    async with serving(network) as server, connect(server.url(), dial) as one:
        await anyio.sleep(1)
        async with connect(server.url(), dial) as two:
            for number in range(3):
                await one.send(f"one {number}")
                await two.send(f"two {number}")
    first, second = Recording.load(path).connections
    assert first.messages(Role.CLIENT) == ["one 0", "one 1", "one 2"]
    assert second.messages(Role.CLIENT) == ["two 0", "two 1", "two 2"]
    assert second.called.at - first.called.at == pytest.approx(1.08)


async def test_the_same_conversation_gives_the_same_file(
    path: Path, network: Network
) -> None:
    texts = []
    for seed in (1, 2):
        async with serving(network, converses) as server:
            dial = recorded(network.dial, path)
            await converse(server.url(), dial, random=Random(seed))
        texts.append(text_of(path))
    assert texts[0] == texts[1]


def put_a_directory_there(path: Path) -> None:
    path.unlink()
    path.mkdir()


async def test_a_disk_that_fails_ends_the_recording_only(
    path: Path, network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    dial = recorded(network.dial, path)
    put_a_directory_there(path)
    async with serving(network, converses) as server:
        assert len(await converse(server.url(), dial)) == 6
    (record,) = [each for each in caplog.records if each.name == "wsclient.testing"]
    assert str(path) in record.getMessage()


def test_a_path_that_cannot_be_written_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no such"):
        recorded(wsclient.transport.dial, tmp_path / "no such" / "directory")


# It betrays nothing.


async def test_no_secret_is_in_the_file(path: Path, network: Network) -> None:
    async def accepts(peer: Peer) -> None:
        await peer.accept(headers=[("Set-Cookie", "id=s3cret")])

    headers = {
        "Cookie": "id=s3cret",
        "Proxy-Authorization": "Basic s3cret",
        "X-Api-Key": "s3cret",
        "Referer": "https://me:s3cret@feed.test/?page=s3cret",
        "X-Plain": "shown",
    }
    async with serving(network, accepts) as server:
        url = server.url("/live?token=s3cret&v=2&s3cret").replace("//", "//me:s3cret@")
        dial = recorded(network.dial, path, hide=["x-api-key"], show=["v"])
        async with connect(url, dial, headers=headers):
            pass
    text = text_of(path)
    assert "s3cret" not in text
    assert "Basic" not in text
    assert "|GET /live?token=***&v=2&*** HTTP/1.1\n" in text
    assert "|Referer: https://***@feed.test/?page=***\n" in text
    for line in ("Authorization", "Proxy-Authorization", "X-Api-Key", "Set-Cookie"):
        assert f"|{line}: ***\n" in text
    assert "|X-Plain: shown\n" in text


async def test_a_right_answer_to_the_nonce_is_chance_and_a_wrong_one_is_told(
    path: Path, network: Network
) -> None:
    head = b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"

    async def lies(peer: Peer) -> None:
        await peer.request()
        peer.write(head + b"Sec-WebSocket-Accept: bGllcw==\r\n\r\n")

    dial = recorded(network.dial, path)
    async with serving(network, lies) as server:
        with pytest.raises(wsclient.ConnectError):
            async with connect(server.url(), dial):
                pass
        async with connect(server.url(), dial):
            pass
    text = text_of(path)
    assert text.count("|Sec-WebSocket-Key: ***\n") == 2
    assert text.count("|Sec-WebSocket-Accept: bGllcw==\n") == 1
    assert text.count("|Sec-WebSocket-Accept: ***\n") == 1


async def test_messages_are_written_as_redact_gives_them(
    path: Path, network: Network
) -> None:
    def redact(said: str | bytes) -> str | bytes:
        return "(text)" if isinstance(said, str) or said == b"s3cret" else said

    dial = recorded(network.dial, path, redact=redact)
    async with serving(network, converses, rejects(503, body=b"s3cret")) as server:
        await converse(server.url(), dial)
        with pytest.raises(wsclient.HandshakeRejected):
            async with connect(server.url(), dial):
                pass
    (first, _) = Recording.load(path).connections
    assert first.messages(Role.CLIENT) == ["(text)", b"in parts", "(text)"]
    assert said(path, Role.SERVER, 2)[0] == Body(b"(text)")


async def test_half_a_message_that_redact_cannot_see_is_not_written(
    path: Path, network: Network
) -> None:
    async def breaks_off(peer: Peer) -> None:
        await peer.accept()
        peer.write(b"\x81\6s3c")
        peer.hang_up()

    for redact in (None, lambda said: said):
        async with (
            serving(network, breaks_off) as server,
            connect(server.url(), recorded(network.dial, path, redact=redact)) as ws,
        ):
            with pytest.raises(wsclient.ConnectionLost):
                await ws.recv()
        half: list[What] = [] if redact else [Raw(b"\x81\6s3c")]
        assert said(path, Role.SERVER) == [*half, End("EOF")]
