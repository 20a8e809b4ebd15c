"""TLS over every wire, and over itself."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import anyio
import pytest
import trustme
from anyio.streams.tls import TLSAttribute

from wsclient.errors import CertificateError, ConnectError, Phase, Reason
from wsclient.testing.contract import WIRE_CHECKS, WireCheck
from wsclient.testing.tap import lend
from wsclient.testing.wires import SimulatedWire, wire_pair
from wsclient.transport.backend import wire_of
from wsclient.transport.dial import dial
from wsclient.transport.stream import StreamWire, WireStream
from wsclient.transport.tls import TLSWire, secure
from wsclient.wire import Wire

from .conftest import HANG, Certificates, Connected, virtual


async def secured(
    left: Wire, right: Wire, certificates: Certificates, *, times: int = 1
) -> tuple[TLSWire, TLSWire]:
    """Do the handshakes of both sides, one after the other ``times`` deep."""
    for _ in range(times):
        left = TLSWire(left, certificates.client, server_hostname="localhost")
        right = TLSWire(right, certificates.server, server_side=True)
        async with anyio.create_task_group() as group:
            group.start_soon(left.handshake)
            group.start_soon(right.handshake)
    assert isinstance(left, TLSWire)
    assert isinstance(right, TLSWire)
    return left, right


checks = pytest.mark.parametrize(
    "check", WIRE_CHECKS, ids=lambda check: str(check.__name__)
)


@pytest.mark.real
@checks
async def test_the_contract_is_kept_over_sockets(
    check: WireCheck, connected: Connected, certificates: Certificates
) -> None:
    near, far = connected()
    with anyio.fail_after(HANG):
        pair = await secured(await wire_of(near), await wire_of(far), certificates)
        await check(*pair)


@virtual
@checks
async def test_the_contract_is_kept_over_simulated_wires(
    check: WireCheck, certificates: Certificates
) -> None:
    left, right = wire_pair(latency=0.005)
    await check(*await secured(left, right, certificates))


@virtual
@checks
async def test_the_contract_is_kept_by_tls_within_tls(
    check: WireCheck, certificates: Certificates
) -> None:
    left, right = wire_pair()
    await check(*await secured(left, right, certificates, times=2))


@pytest.mark.parametrize("anyio_backend", ["virtual-asyncio"], indirect=True)
@checks
async def test_the_contract_is_kept_over_simulated_pushed_wires(
    check: WireCheck, certificates: Certificates
) -> None:
    left, right = wire_pair(pushed=True)
    await check(*await secured(left, right, certificates))


class Ear:
    """Writes down what a wire tells."""

    def __init__(self, wire: Wire) -> None:
        self.told: list[Any] = []
        wire.start(
            lambda chunk: self.told.append(None if chunk is None else bytes(chunk)),
            self.told.append,
            lambda: None,
        )


@virtual
async def test_an_eof_without_close_notify_is_told_as_a_loss(
    certificates: Certificates,
) -> None:
    left, right = wire_pair()
    client, server = await secured(left, right, certificates)
    ear = Ear(client)
    server.write(b"the beginning of")
    await server.flush()
    right.finish()
    while len(ear.told) < 2:
        await client.pump()
    assert ear.told[0] == b"the beginning of"
    assert isinstance(ear.told[1], ssl.SSLEOFError)
    server.abort()


@virtual
async def test_after_the_peers_close_notify_we_may_still_speak(
    certificates: Certificates,
) -> None:
    """RFC 8446, 6.1: each direction ends by itself."""
    left, right = wire_pair()
    client, server = await secured(left, right, certificates)
    ear = Ear(client)
    server._say_end()  # what finish() does before it hangs up
    while not ear.told:
        await client.pump()
    said = len(left.out.sent)
    assert client.write(b"goodbye")
    assert len(left.out.sent) > said + len(b"goodbye")
    assert ear.told == [None]
    client.abort()
    right.abort()


@virtual
async def test_a_record_of_garbage_is_a_loss_and_the_peer_is_told_why(
    certificates: Certificates,
) -> None:
    left, right = wire_pair()
    client, server = await secured(left, right, certificates)
    ear, other = Ear(client), Ear(server)
    right.out.send(b"\x17\x03\x03\x00\x20" + bytes(32))
    while not ear.told:
        await client.pump()
    assert isinstance(ear.told[0], ssl.SSLError)
    while not other.told:
        await server.pump()
    assert "alert" in str(other.told[0]).lower()


@virtual
async def test_what_came_with_the_handshakes_last_record_is_fed_by_start(
    certificates: Certificates,
) -> None:
    left, right = wire_pair()
    client = TLSWire(left, certificates.client, server_hostname="localhost")
    server = TLSWire(right, certificates.server, server_side=True)

    async def speak_at_once() -> None:
        await client.handshake()
        client.write(b"GET /")
        await client.flush()

    async with anyio.create_task_group() as group:
        # The server reads the client's Finished together with what follows it.
        right.into.latency = 0.1
        group.start_soon(speak_at_once)
        await server.handshake()
    ear = Ear(server)
    while not ear.told:
        await server.pump()
    assert ear.told == [b"GET /"]
    client.abort()
    server.abort()


@virtual
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_both_versions_speak_and_say_their_attributes(
    version: ssl.TLSVersion, certificates: Certificates
) -> None:
    certificates = Certificates()
    certificates.client.maximum_version = version
    client, server = await secured(*wire_pair(), certificates)
    ear = Ear(client)
    server.write(b"x" * 100_000)
    async with anyio.create_task_group() as group:
        group.start_soon(server.flush)
        while sum(map(len, ear.told)) < 100_000:
            await client.pump()
    attributes = client.extra_attributes
    assert attributes[TLSAttribute.tls_version]() == version.name.replace("_", ".")
    assert attributes[TLSAttribute.server_side]() is False
    assert attributes[TLSAttribute.alpn_protocol]() is None
    assert attributes[TLSAttribute.peer_certificate]()["subjectAltName"]
    client.abort()
    server.abort()


def _hang_up(pipe: SimulatedWire) -> None:
    pipe.finish()


def _reset(pipe: SimulatedWire) -> None:
    pipe.out.reset()


def _speak_http(pipe: SimulatedWire) -> None:
    pipe.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@virtual
@pytest.mark.parametrize("fault", [_hang_up, _reset, _speak_http])
async def test_a_handshake_that_fails_names_its_phase_and_closes_the_wire(
    fault: Callable[[SimulatedWire], None], certificates: Certificates
) -> None:
    left, right = wire_pair(latency=0.1)
    fault(right)
    with pytest.raises(ConnectError) as caught:
        await secure(left, certificates.client, host="localhost", dialled="localhost:1")
    assert (caught.value.reason, caught.value.phase) == (Reason.TLS, Phase.TLS)
    assert caught.value.host == "localhost:1"
    assert caught.value.__cause__ is not None
    assert left.write(b"over"), "the wire has ended"
    right.abort()


@virtual
@pytest.mark.parametrize("fault", [_hang_up, _reset, _speak_http])
async def test_a_handshake_that_fails_over_a_foreign_stream_closes_that_too(
    fault: Callable[[SimulatedWire], None], certificates: Certificates
) -> None:
    left, right = wire_pair(latency=0.1)
    stream = WireStream(left)
    fault(right)
    with pytest.raises(ConnectError) as caught:
        await secure(
            StreamWire(stream),
            certificates.client,
            host="localhost",
            dialled="localhost:1",
        )
    assert (caught.value.reason, caught.value.phase) == (Reason.TLS, Phase.TLS)
    with pytest.raises(anyio.ClosedResourceError):
        await stream.receive()
    right.abort()


@virtual
@pytest.mark.parametrize(
    ("host", "trusted", "words"),
    [
        ("elsewhere.example", True, "elsewhere.example"),
        ("localhost", False, "unable to get local issuer certificate"),
    ],
)
async def test_a_certificate_that_is_not_accepted_is_told_by_name(
    host: str, trusted: bool, words: str, certificates: Certificates
) -> None:
    left, right = wire_pair()
    server = TLSWire(right, certificates.server, server_side=True)
    refused: list[Exception] = []

    async def serve() -> None:
        try:
            await server.handshake()
        except OSError as error:
            refused.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(serve)
        context = certificates.client if trusted else certificates.stranger
        with pytest.raises(CertificateError, match=words) as caught:
            await secure(left, context, host=host, dialled=f"{host}:443")
    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
    assert caught.value.reason is Reason.TLS
    assert "alert" in str(refused[0]).lower(), "the server learns why"


@virtual
async def test_a_final_dot_is_not_part_of_the_name_in_a_certificate(
    certificates: Certificates,
) -> None:
    left, right = wire_pair()
    server = TLSWire(right, certificates.server, server_side=True)
    async with anyio.create_task_group() as group:
        group.start_soon(server.handshake)
        client = await secure(
            left, certificates.client, host="localhost.", dialled="localhost.:443"
        )
    client.abort()
    server.abort()


@virtual
async def test_a_handshake_that_is_aborted_from_beside_ends() -> None:
    left, right = wire_pair()
    client = TLSWire(left, ssl.create_default_context(), server_hostname="localhost")
    async with anyio.create_task_group() as group:

        async def shake() -> None:
            with pytest.raises(ConnectionAbortedError):
                await client.handshake()

        group.start_soon(shake)
        await anyio.wait_all_tasks_blocked()
        client.abort()
    right.abort()


@virtual
async def test_a_name_that_cannot_be_asked_for_is_told_and_closes_the_wire() -> None:
    left, right = wire_pair()
    with pytest.raises(ConnectError, match="handshake with"):
        await secure(left, ssl.create_default_context(), host=".x", dialled=".x:443")
    assert left.write(b"over"), "the wire has ended"
    right.abort()


@virtual
async def test_a_cancelled_handshake_closes_the_wire(
    certificates: Certificates,
) -> None:
    left, right = wire_pair()
    with anyio.move_on_after(5) as scope:
        await secure(left, certificates.client, host="localhost", dialled="x")
    assert scope.cancelled_caught
    ear = Ear(right)
    while None not in ear.told:
        await right.pump()
    right.abort()


@pytest.fixture
def renegotiating(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """OpenSSL's own server: a line ``r`` on its input makes it renegotiate."""
    if shutil.which("openssl") is None and "WSCLIENT_REQUIRE_PEERS" not in os.environ:
        pytest.skip("openssl is not installed")
    issued = trustme.CA().issue_cert("localhost")
    pem = tmp_path / "server.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(str(pem))
    options = ["-accept", "127.0.0.1:0", "-naccept", "1", "-tls1_2", "-cert", str(pem)]
    with subprocess.Popen(
        ["openssl", "s_server", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as server:
        yield server
        server.kill()


def _read_until(output: IO[bytes], word: bytes) -> bytes:
    for line in output:
        if word in line:
            return line
    raise EOFError(f"the server never said {word!r}")


@pytest.mark.real
async def test_what_is_written_while_the_peer_renegotiates_goes_after_it(
    renegotiating: subprocess.Popen[bytes],
) -> None:
    """TLS 1.2 (RFC 5246, 7.4.1.1): nothing may be sent until the peer has spoken."""
    assert renegotiating.stdin is not None
    assert renegotiating.stdout is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    port = int(_read_until(renegotiating.stdout, b"ACCEPT").rsplit(b":", 1)[1])
    with anyio.fail_after(HANG):
        wire = await dial("127.0.0.1", port, tls=context, reached=lambda phase: None)
        assert isinstance(wire, TLSWire)
        drained: list[bool] = []
        wire.start(lambda chunk: None, print, lambda: drained.append(True))
        async with anyio.create_task_group() as group:
            wire.adopt(lend(group))
            renegotiating.stdin.write(b"r\n")
            renegotiating.stdin.flush()
            await wire._inner.pump()  # HelloRequest: nothing that is fed above
            assert not wire.write(b"after ")
            assert not wire.write(b"all\n")
            assert wire.buffered >= len(b"after all\n")
            group.start_soon(wire.pump)
            await wire.flush()
            assert drained == [True]
            assert wire.buffered == 0
            # A server that were hung up on before it has looked would print nothing.
            await anyio.to_thread.run_sync(
                _read_until, renegotiating.stdout, b"after all", abandon_on_cancel=True
            )
            group.cancel_scope.cancel()
        wire.finish()
