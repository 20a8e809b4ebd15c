"""One attempt: what it asks for, within which time, and what becomes of it."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
import tenacity
import trustme

import wsclient
from wsclient import Attempt, GiveUp, Limits, Phase, Reason
from wsclient.testing.wires import wire_pair
from wsclient.transport.stream import StreamWire, WireStream
from wsclient.transport.tls import TLSWire, secure
from wsclient.wire import Reached, Wire

from .inv import anyio_backend
from .world import Loopback, Net, Peer, header

__all__ = ("anyio_backend",)


async def refused(world: Net | Loopback, **options: Any) -> wsclient.ConnectError:
    """Fail to connect, and tell how."""
    if isinstance(world, Net):
        options.setdefault("dial", world.dial)
    with pytest.raises(wsclient.ConnectError) as caught:
        async with wsclient.connect(options.pop("url", world.url()), **options):
            raise AssertionError("it cannot be open")
    assert caught.value.host in world.url()
    return caught.value


# -- the providers ----------------------------------------------------------------


def mapping(attempt: Attempt) -> dict[str, str]:
    return {"X-Token": "fresh"}


def pairs(attempt: Attempt) -> list[tuple[str, str]]:
    return [("X-Token", "fresh")]


async def later(attempt: Attempt) -> dict[str, str]:
    await anyio.sleep(1)
    return mapping(attempt)


class Token:
    """A callable need not be a function."""

    async def __call__(self, attempt: Attempt) -> dict[str, str]:
        return await later(attempt)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Token": "fresh"},
        [("X-Token", "fresh")],
        mapping,
        pairs,
        later,
        Token(),
    ],
)
async def test_headers_are_given_or_asked_for(headers: Any) -> None:
    async with (
        Net() as net,
        wsclient.connect(net.url(), headers=headers, dial=net.dial),
    ):
        assert header(await net.peer.request(), "X-Token") == "fresh"


async def test_an_iterator_of_headers_is_not_used_up_by_looking_at_it() -> None:
    headers: Any = iter([("X-Token", "fresh")])
    async with (
        Net() as net,
        wsclient.connect(net.url(), headers=headers, dial=net.dial),
    ):
        assert header(await net.peer.request(), "X-Token") == "fresh"


async def test_a_url_may_be_asked_for_too() -> None:
    async with Net() as net:

        async def url(attempt: Attempt) -> str:
            return net.url("/signed?at=1")

        async with wsclient.connect(url, dial=net.dial):  # type: ignore[arg-type]
            assert (await net.peer.request()).target == "/signed?at=1"


async def test_a_provider_is_told_which_attempt_it_is_for_and_by_when() -> None:
    told: list[Attempt] = []

    def note(attempt: Attempt) -> dict[str, str]:
        told.append(attempt)
        return {}

    async with Net() as net:
        now = anyio.current_time()
        async with wsclient.connect(
            net.url(), headers=note, open_timeout=7, dial=net.dial
        ):
            pass
        async with wsclient.connect(
            net.url(), headers=note, open_timeout=None, dial=net.dial
        ):
            pass
    assert told[0] == Attempt(
        generation=1, number=1, last_outcome=None, deadline=now + 7
    )
    assert told[1].deadline == float("inf")


class Expired(Exception):
    """The user's."""


def fails(attempt: Attempt) -> dict[str, str]:
    raise Expired("log in again")


async def fails_later(attempt: Attempt) -> dict[str, str]:
    await anyio.sleep(1)
    return fails(attempt)


def loses(attempt: Attempt) -> dict[str, str]:
    """Its own connection, to who knows whom."""
    raise wsclient.ConnectionLost(wsclient.Facts(reason=Reason.RESET, phase=Phase.OPEN))


@pytest.mark.parametrize(
    ("provider", "cause"),
    [
        (fails, Expired),
        (fails_later, Expired),
        (loses, wsclient.ConnectionLost),
    ],
)
async def test_what_a_provider_raises_is_a_failed_attempt(
    provider: Any, cause: type[Exception]
) -> None:
    async with Net() as net:
        error = await refused(net, headers=provider)
        assert not net.peers
    assert (error.reason, error.phase) == (Reason.LOCAL, Phase.PROVIDER)
    assert "the provider of headers raised" in str(error)
    assert isinstance(error.__cause__, cause)


async def test_a_provider_that_hangs_has_open_timeout() -> None:
    async def hangs(attempt: Attempt) -> dict[str, str]:
        await anyio.sleep_forever()
        raise AssertionError

    async with Net() as net:
        error = await refused(net, headers=hangs, open_timeout=7)
        assert anyio.current_time() == pytest.approx(7)
        assert not net.peers
    assert isinstance(error, wsclient.AttemptTimeout)
    assert error.phase is Phase.PROVIDER
    assert "not open within 7 s" in str(error)


async def test_what_a_provider_takes_is_missing_later() -> None:
    async def slow(attempt: Attempt) -> dict[str, str]:
        await anyio.sleep(6)
        return {}

    async with Net(mute) as net:
        error = await refused(net, headers=slow, open_timeout=7)
        assert anyio.current_time() == pytest.approx(7)
    assert error.phase is Phase.UPGRADE


async def test_a_provider_that_gives_up_is_heard() -> None:
    def gives_up(attempt: Attempt) -> dict[str, str]:
        raise GiveUp("the account is closed")

    async with Net() as net:
        with pytest.raises(GiveUp, match="the account is closed"):
            async with wsclient.connect(net.url(), headers=gives_up, dial=net.dial):
                raise AssertionError("it cannot be open")
        assert not net.peers


@pytest.mark.parametrize(
    ("answer", "remedy"),
    [
        (None, "headers are a mapping, or pairs"),
        ("X-Token: 1", "headers are a mapping, or pairs"),
        (["X-Token: 1"], "a header is a pair of str"),
        ({"X-Token": 5}, "a header is a pair of str"),
        ({"X-Token": "secret\n"}, "the value of X-Token has a CR or LF in it"),
        ({"Upgrade": "tomato"}, "Upgrade is the handshake's own"),
    ],
)
async def test_headers_that_cannot_be_sent_are_told_by_name(
    answer: Any, remedy: str
) -> None:
    async with Net() as net:
        with pytest.raises(wsclient.ArgumentError, match=remedy) as caught:
            async with wsclient.connect(
                net.url(), headers=lambda attempt: answer, dial=net.dial
            ):
                raise AssertionError("it cannot be open")
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("answer", [None, 5, "http://server.test/", "ws://a/#b"])
async def test_a_url_that_is_none_is_told_by_name(answer: Any) -> None:
    provider: Any = lambda attempt: answer  # noqa: E731
    async with Net() as net:
        with pytest.raises(wsclient.InvalidURI):
            async with wsclient.connect(provider, dial=net.dial):
                raise AssertionError("it cannot be open")
        assert not net.peers


async def test_a_provider_cannot_take_tls_away() -> None:
    async with Net() as net:
        provider: Any = lambda attempt: net.url()  # noqa: E731
        with pytest.raises(wsclient.ArgumentError, match="write wss://"):
            async with wsclient.connect(
                provider, tls=ssl.create_default_context(), dial=net.dial
            ):
                raise AssertionError("it would be plain")
        assert not net.peers


# -- time -------------------------------------------------------------------------


async def mute(peer: Peer) -> None:
    await peer.until_gone()


async def test_s4_an_upgrade_that_is_never_answered_ends_at_open_timeout() -> None:
    async with Net(mute) as net:
        error = await refused(net, open_timeout=7)
        assert anyio.current_time() == pytest.approx(7)
    assert isinstance(error, wsclient.AttemptTimeout)
    assert isinstance(error, TimeoutError)
    assert (error.reason, error.phase) == (Reason.OPEN_TIMEOUT, Phase.UPGRADE)


@pytest.mark.parametrize("early", [b"", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_s5_a_byte_every_second_does_not_buy_more_time(early: bytes) -> None:
    async def drip(peer: Peer) -> None:
        await peer.request()
        for byte in early * 1000 or peer.endpoint.accept():
            peer.wire.write(bytes([byte]))
            await anyio.sleep(1)

    async with Net(drip) as net:
        error = await refused(net, open_timeout=7)
        assert anyio.current_time() == pytest.approx(7)
    assert (error.reason, error.phase) == (Reason.OPEN_TIMEOUT, Phase.UPGRADE)


async def test_without_open_timeout_a_server_may_take_its_time() -> None:
    async def slow(peer: Peer) -> None:
        await anyio.sleep(600)
        await peer.accept()
        await peer.until_gone()

    async with (
        Net(slow) as net,
        wsclient.connect(
            net.url(), dial=net.dial, open_timeout=None, ping_interval=None
        ),
    ):
        assert anyio.current_time() > 600


@pytest.mark.parametrize("phase", [Phase.DNS, Phase.TCP, Phase.TLS])
async def test_a_timeout_names_the_phase_in_which_it_came(phase: Phase) -> None:
    async def dial(host: str, port: int, *, tls: object, reached: Reached) -> Wire:
        reached(phase)
        await anyio.sleep_forever()
        raise AssertionError

    async with Net() as net:
        error = await refused(net, open_timeout=7, dial=dial)
    assert isinstance(error, wsclient.AttemptTimeout)
    assert error.phase is phase


# -- the answer -------------------------------------------------------------------


async def test_s8_a_server_that_hangs_up_on_the_request_is_told_as_eof() -> None:
    async def hang_up(peer: Peer) -> None:
        await peer.request()
        peer.hang_up()

    async with Net(hang_up) as net:
        error = await refused(net)
    assert (error.reason, error.phase) == (Reason.EOF, Phase.UPGRADE)


async def test_a_server_that_breaks_off_at_the_request_is_told_as_reset() -> None:
    async def reset(peer: Peer) -> None:
        await peer.request()
        peer.reset()

    async with Net(reset) as net:
        error = await refused(net)
    assert (error.reason, error.phase) == (Reason.RESET, Phase.UPGRADE)
    assert isinstance(error.__cause__, OSError)


@pytest.mark.parametrize("status", [200, 301, 401, 403, 404, 429, 503, 599])
async def test_a_refusal_is_told_with_status_headers_and_body(status: int) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.reject(status, [("Retry-After", "7"), ("X-One", "1")], b"because")

    async with Net(refuse) as net:
        error = await refused(net)
    assert isinstance(error, wsclient.HandshakeRejected)
    assert error.reason is Reason.REJECTED
    assert error.initiator is wsclient.Initiator.PEER
    assert error.status == status
    assert dict(error.headers)["retry-after"] == "7"
    assert error.body == b"because"
    assert f"HTTP {status}" in str(error)


HEAD = b"HTTP/1.1 403 Forbidden\r\nX-Why: because\r\n"


def says(*parts: bytes, pause: float = 0) -> Callable[[Peer], Awaitable[None]]:
    """Answer the request with these bytes, then stay until the client has gone."""

    async def script(peer: Peer) -> None:
        await peer.request()
        for part in parts:
            if peer.ended:
                break
            peer.wire.write(part)
            await anyio.sleep(pause)
        await peer.until_gone()

    return script


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 10000000\r\n\r\n" + b"x" * 10_000_000,
        b"\r\n" + b"x" * 10_000_000,
        b"Transfer-Encoding: chunked\r\n\r\n" + b"5\r\nxxxxx\r\n" * 100_000,
    ],
    ids=["10 MB", "no length", "chunked"],
)
async def test_s52_of_a_huge_body_as_much_is_kept_as_the_limits_let_in(
    body: bytes,
) -> None:
    async with Net(says(HEAD + body), capacity=1 << 24) as net:
        error = await refused(net, limits=Limits(max_body_size=1000))
        assert anyio.current_time() < 1
    assert isinstance(error, wsclient.HandshakeRejected)
    assert error.body == b"x" * 1000


@pytest.mark.parametrize(
    ("head", "part"),
    [
        (b"Content-Length: 10000000\r\n\r\n", b"xxxxx"),
        (b"\r\n", b"xxxxx"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nxxxxx\r\n"),
    ],
    ids=["a length it does not reach", "no length", "chunked"],
)
async def test_s52_a_body_that_never_ends_is_a_refusal_all_the_same(
    head: bytes, part: bytes
) -> None:
    async with Net(says(HEAD + head, *[part] * 100, pause=1)) as net:
        error = await refused(net, open_timeout=7.5)
        assert anyio.current_time() == pytest.approx(7.5)
    assert isinstance(error, wsclient.HandshakeRejected)
    assert (error.status, error.reason) == (403, Reason.REJECTED)
    assert error.phase is Phase.UPGRADE
    assert error.initiator is wsclient.Initiator.PEER
    assert dict(error.headers)["x-why"] == "because"
    assert error.body == b"x" * len(error.body)
    assert len(error.body) in (30, 35)


UPGRADED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        UPGRADED + b"Sec-WebSocket-Accept: wrong\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
    ],
    ids=["no HTTP", "bare", "not our key", "a thousand headers"],
)
async def test_an_answer_that_breaks_the_rules_is_told_as_that(answer: bytes) -> None:
    async with Net(says(answer)) as net:
        error = await refused(net)
    assert (error.reason, error.phase) == (Reason.PROTOCOL_ERROR, Phase.UPGRADE)


async def test_a_subprotocol_that_was_not_offered_is_refused() -> None:
    async def insist(peer: Peer) -> None:
        await peer.request()
        answer = peer.endpoint.accept().removesuffix(b"\r\n")
        peer.wire.write(answer + b"Sec-WebSocket-Protocol: other\r\n\r\n")
        await peer.until_gone()

    async with Net(insist) as net:
        error = await refused(net, subprotocols=["mine"])
    assert error.reason is Reason.PROTOCOL_ERROR
    assert "'other' was not offered" in str(error)


# -- dialling ---------------------------------------------------------------------


async def test_a_dial_of_ones_own_is_told_host_and_port() -> None:
    asked: list[tuple[str, int, object]] = []

    async def dial(host: str, port: int, *, tls: object, reached: Reached) -> Wire:
        asked.append((host, port, tls))
        raise ConnectionRefusedError("nobody there")

    context = ssl.create_default_context()
    for url, tls in (("ws://a.test/x", None), ("wss://[::1]:8443", context)):
        with pytest.raises(wsclient.ConnectError):
            async with wsclient.connect(url, tls=tls, dial=dial):
                raise AssertionError("it cannot be open")
    assert asked == [("a.test", 80, None), ("::1", 8443, context)]


async def test_what_a_dial_of_ones_own_raises_is_told_as_ours() -> None:
    async def dial(host: str, port: int, *, tls: object, reached: Reached) -> Wire:
        reached(Phase.PROXY)
        raise ConnectionRefusedError("nobody there")

    async with Net() as net:
        error = await refused(net, dial=dial)
    assert (error.reason, error.phase) == (Reason.REFUSED, Phase.PROXY)
    assert "nobody there" in str(error)
    assert isinstance(error.__cause__, ConnectionRefusedError)


async def test_over_a_stream_of_another_library_nothing_is_left_open_either() -> None:
    """What such a stream is asked to end at once only ends in a task."""
    streams: list[WireStream] = []

    async with Net(mute) as net:

        async def dial(host: str, port: int, *, tls: object, reached: Reached) -> Wire:
            stream = WireStream(await net.dial(host, port, tls=tls, reached=reached))
            streams.append(stream)
            return StreamWire(stream)

        error = await refused(net, dial=dial)
        assert error.reason is Reason.OPEN_TIMEOUT
    [stream] = streams
    with pytest.raises(anyio.ClosedResourceError):
        await stream.receive()


async def test_a_server_that_breaks_off_at_the_end_of_tls_handshake_is_told_as_reset(
    authority: trustme.CA,
) -> None:
    """That is heard before the request could be written."""
    server = identity(authority, "server.test")
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    left, right = wire_pair(latency=0.01)

    async def dial(host: str, port: int, *, tls: object, reached: Reached) -> Wire:
        return await secure(left, tls, host=host, dialled=host)

    async def break_off() -> None:
        with anyio.move_on_after(0.025):  # when all its part has been said
            await TLSWire(right, server, server_side=True).handshake()

    async def stall() -> None:
        await anyio.sleep(0.015)
        left.out.stall()  # the client's last word has to wait

    async with anyio.create_task_group() as group:
        group.start_soon(break_off)
        group.start_soon(stall)
        with pytest.raises(wsclient.ConnectError) as caught:
            async with wsclient.connect("wss://server.test", tls=trusting, dial=dial):
                raise AssertionError("it cannot be open")
    assert (caught.value.reason, caught.value.phase) == (Reason.RESET, Phase.UPGRADE)


async def test_wss_is_never_plain_even_without_a_context() -> None:
    contexts: list[object] = []

    async def dial(host: str, port: int, *, tls: object, reached: Reached) -> Wire:
        contexts.append(tls)
        raise ConnectionRefusedError

    with pytest.raises(wsclient.ConnectError):
        async with wsclient.connect("wss://a.test", dial=dial):
            raise AssertionError("it cannot be open")
    client = wsclient.Client(
        "wss://a.test",
        dial=dial,
        wait=lambda state: 0.0,
        stop=tenacity.stop_after_attempt(2),
    )
    with pytest.raises(wsclient.GaveUp):
        async with client:
            raise AssertionError("it cannot be open")
    assert len(contexts) == 3
    assert contexts[1] is contexts[2], "made once: reading the system's takes long"
    for context in contexts:
        assert isinstance(context, ssl.SSLContext)
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname


# -- certificates -----------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def identity(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


@pytest.mark.real
async def test_s18_a_certificate_of_nobody_we_trust_is_refused(
    authority: trustme.CA,
) -> None:
    async with Loopback(tls=identity(authority, "localhost")) as world:
        error = await refused(world)
    assert isinstance(error, wsclient.CertificateError)
    assert (error.reason, error.phase) == (Reason.TLS, Phase.TLS)
    assert "the certificate of localhost was not accepted" in str(error)
    assert "unable to get local issuer certificate" in str(error)
    assert isinstance(error.__cause__, ssl.SSLCertVerificationError)


@pytest.mark.real
async def test_s18_a_certificate_for_another_host_is_refused(
    authority: trustme.CA,
) -> None:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with Loopback(tls=identity(authority, "other.test")) as world:
        error = await refused(world, tls=trusting)
    assert isinstance(error, wsclient.CertificateError)
    assert "the certificate of localhost was not accepted" in str(error)
    assert "Hostname mismatch" in str(error)
