"""What goes wrong before a connection is open: timeouts, refusals, providers, names."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import anyio
import pytest
import trustme

import wsclient
from wsclient import Attempt, Outcome, Phase, Reason

from .authority import Authority, authority, issued
from .inv import anyio_backend, inv
from .world import Loopback, Net, Peer, header
from .worlds import NETS, WORLDS

__all__ = ("anyio_backend", "authority", "inv")


def waits(seconds: float) -> Callable[[object], float]:
    """A backoff that is always the same."""
    return lambda state: seconds


def gaps(times: list[float]) -> list[float]:
    """The seconds between one and the next."""
    return [after - before for before, after in pairwise(times)]


async def says_nothing(peer: Peer) -> None:
    """Accept TCP and never answer."""
    peer.polite = False


# S4: TCP is accepted, the upgrade never answered.


@NETS
async def test_s04_an_upgrade_that_is_never_answered_ends_at_open_timeout(
    net_of: type[Net],
) -> None:
    async with net_of(says_nothing) as net:
        with pytest.raises(wsclient.AttemptTimeout) as caught:
            async with net.client(open_timeout=7, first="raise"):
                raise AssertionError("it cannot be open")
        assert anyio.current_time() - net.dials[0] == pytest.approx(7)
        await net.peer.until_gone()
    assert caught.value.phase == Phase.UPGRADE
    assert caught.value.reason == Reason.OPEN_TIMEOUT
    assert net.peer.endpoint.request is not None


@NETS
async def test_s04_an_upgrade_that_is_never_answered_is_retried(
    net_of: type[Net],
) -> None:
    async with (
        net_of(says_nothing, says_nothing) as net,
        net.client(open_timeout=7, wait=waits(2)),
    ):
        assert len(net.peers) == 3
    assert gaps(net.dials) == pytest.approx([9, 9])


@pytest.mark.real
async def test_s04_a_mute_server_on_a_socket_is_left_at_open_timeout() -> None:
    async with Loopback(says_nothing) as server:
        with pytest.raises(wsclient.AttemptTimeout) as caught:
            async with server.client(open_timeout=0.1, first="raise"):
                raise AssertionError("it cannot be open")
        await server.peer.until_gone()
    assert caught.value.phase == Phase.UPGRADE


# S6: TLS that stops before, or in the midst of, its handshake.


@pytest.mark.real
async def test_s06_a_server_that_says_no_server_hello_is_left_at_open_timeout(
    authority: Authority,
) -> None:
    async with Loopback(says_nothing, raw=True) as server:
        client = server.client(
            server.url().replace("ws://127.0.0.1", "wss://localhost"),
            tls=authority.client,
            open_timeout=0.1,
            first="raise",
        )
        with pytest.raises(wsclient.AttemptTimeout) as caught:
            async with client:
                raise AssertionError("it cannot be open")
        assert caught.value.phase == Phase.TLS
        await server.peer.until_gone()


def server_hello(context: ssl.SSLContext, client_hello: bytes) -> bytes:
    """Return the first record of the server's answer (RFC 8446, 5.1)."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(client_hello)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    answer = outgoing.read()
    return answer[: 5 + int.from_bytes(answer[3:5])]


@pytest.mark.real
async def test_s06_a_server_that_stops_after_its_server_hello_is_left_at_open_timeout(
    authority: Authority,
) -> None:
    said: list[bytes] = []

    async def says_hello(peer: Peer) -> None:
        await peer.until(lambda: peer.raw)
        assert peer.raw is not None
        said.append(server_hello(authority.server, bytes(peer.raw)))
        peer.wire.write(said[0])

    async with Loopback(says_hello, raw=True) as server:
        client = server.client(
            server.url().replace("ws://127.0.0.1", "wss://localhost"),
            tls=authority.client,
            open_timeout=0.2,
            first="raise",
        )
        with pytest.raises(wsclient.AttemptTimeout) as caught:
            async with client:
                raise AssertionError("it cannot be open")
        await server.peer.until_gone()
    assert said[0][0] == 22, "a handshake record"
    assert caught.value.phase == Phase.TLS


# S18: certificates that prove nothing.


def expired() -> Authority:
    """A server whose certificate is of the last century, and who trusts its issuer."""
    made = Authority()
    authority = trustme.CA()
    made.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    last = datetime(1999, 12, 31, tzinfo=UTC)
    old = authority.issue_cert("server.test", not_before=last, not_after=last)
    old.configure_cert(made.server)
    authority.configure_trust(made.client)
    return made


@pytest.mark.parametrize("why", ["expired", "Hostname mismatch", "issuer certificate"])
async def test_s18_a_certificate_that_proves_nothing_is_fatal_at_once(why: str) -> None:
    made = expired() if why == "expired" else issued()
    trusting = made.stranger if why == "issuer certificate" else made.client
    host = "elsewhere.test" if why == "Hostname mismatch" else "server.test"
    async with Net(tls=made.server, host=host) as net:
        with pytest.raises(wsclient.GaveUp) as caught:
            async with net.client(tls=trusting):
                raise AssertionError("it cannot be open")
        assert len(net.dials) == 1
        await net.peer.until_gone()
    cause = caught.value.__cause__
    assert isinstance(cause, wsclient.CertificateError)
    assert (cause.reason, cause.phase) == (Reason.TLS, Phase.TLS)
    assert why in str(cause)
    assert host in str(cause)
    assert net.peer.endpoint.request is None, "it was told nothing"


# S8: the request is read, then FIN.


async def hangs_up_on_the_request(peer: Peer) -> None:
    await peer.request()
    peer.hang_up()


@WORLDS
async def test_s08_a_server_that_hangs_up_on_the_request_is_told_as_eof(
    world: type[Net] | type[Loopback],
) -> None:
    async with world(hangs_up_on_the_request) as server:
        with pytest.raises(wsclient.ConnectError) as caught:
            async with server.client(first="raise"):
                raise AssertionError("it cannot be open")
    assert caught.value.reason == Reason.EOF
    assert caught.value.phase == Phase.UPGRADE


@WORLDS
async def test_s08_a_server_that_hangs_up_on_the_request_is_dialled_again(
    world: type[Net] | type[Loopback],
) -> None:
    async with world(*[hangs_up_on_the_request] * 3) as server:
        async with server.client(wait=waits(0.01)):
            assert len(server.peers) == 4
        await server.peer.until_gone()
    assert [peer.close_code for peer in server.peers] == [None, None, None, 1000]


# S10: 101, then Close(1008) at once, for ever.


async def violates_policy(peer: Peer) -> None:
    await peer.accept()
    peer.close(1008, "bad key")


async def test_s10_accept_then_close_1008_is_fatal_where_nothing_ever_worked() -> None:
    async with Net(default=violates_policy) as net:
        with pytest.raises(wsclient.GaveUp) as caught:
            async with net.client() as client:
                await client.recv()
    assert len(net.peers) == 1
    cause = caught.value.__cause__
    assert isinstance(cause, wsclient.ConnectionClosed)
    assert cause.received == wsclient.Close(1008, "bad key")
    assert "bad key" in str(caught.value)


@NETS
async def test_s10_accept_then_close_1008_for_ever_backs_off(net_of: type[Net]) -> None:
    """Each 101 succeeds; none of them is a proof of life."""

    def hopeful(outcome: Outcome) -> wsclient.Retry:
        return wsclient.Retry()

    async with net_of(default=violates_policy) as net:
        async with net.client(classify=hopeful, first="background") as client:
            await anyio.sleep(600)
            assert client.state != wsclient.State.FAILED
        dials = net.dials
    assert all(b - a >= 59.9 for a, b in zip(dials, dials[6:], strict=False))
    assert len(dials) > 20, "it goes on for ever"


async def test_s10_accept_then_close_1008_comes_back_slowly_once_it_has_worked() -> (
    None
):
    async def works_once(peer: Peer) -> None:
        await peer.accept()
        await anyio.sleep(11)
        peer.close(1008, "revoked")

    async with (
        Net(works_once, default=violates_policy) as net,
        net.client(stable_after=5, first="background"),
    ):
        await anyio.sleep(3600)
    assert all(gap >= 30 for gap in gaps(net.dials[1:]))
    assert len(net.dials) > 3600 // 60


# S13: the token has expired, the provider brings another.


class Tokens:
    """A provider of tokens, and what it was told."""

    def __init__(self, *tokens: str) -> None:
        self._tokens = iter(tokens)
        self.asked: list[Attempt] = []

    async def __call__(self, attempt: Attempt) -> dict[str, str]:
        self.asked.append(attempt)
        await anyio.sleep(0.001)
        return {"Authorization": f"Bearer {next(self._tokens)}"}


def only(token: str) -> Callable[[Peer], Any]:
    """A server that lets in who brings this token."""

    async def check(peer: Peer) -> None:
        request = await peer.request()
        if header(request, "authorization") == f"Bearer {token}":
            await peer.accept()
        else:
            await peer.reject(401, body=b"expired")

    return check


async def drops_when_told(peer: Peer) -> None:
    await peer.accept()
    await peer.recv()
    peer.hang_up()


@WORLDS
async def test_s13_a_401_on_reconnecting_is_answered_with_a_fresh_token(
    world: type[Net] | type[Loopback],
) -> None:
    tokens = Tokens("old", "old", "new")
    async with world(drops_when_told, default=only("new")) as server:
        async with server.client(headers=tokens, wait=waits(0.01)) as client:
            await client.send("drop me")
            await server.until_accepted(3)
            await client.wait_open()
        await server.peer.until_gone()
    sent = [
        header(peer.endpoint.request, "authorization")
        for peer in server.peers
        if peer.endpoint.request
    ]
    assert sent == ["Bearer old", "Bearer old", "Bearer new"]
    assert [attempt.generation for attempt in tokens.asked] == [1, 2, 2]
    told = tokens.asked[2].last_outcome
    assert told is not None
    assert (told.status, told.refused_401_in_a_row) == (401, 1)


async def test_s13_two_refused_tokens_in_a_row_are_fatal() -> None:
    tokens = Tokens("old", "older", "never asked")
    async with Net(default=only("new")) as net:
        with pytest.raises(wsclient.GaveUp) as caught:
            async with net.client(headers=tokens):
                raise AssertionError("it cannot be open")
    assert isinstance(caught.value.__cause__, wsclient.HandshakeRejected)
    assert caught.value.__cause__.status == 401
    assert caught.value.__cause__.body == b"expired"
    assert len(net.peers) == len(tokens.asked) == 2


async def test_s13_a_401_is_fatal_at_once_where_the_token_cannot_change() -> None:
    async with Net(default=only("new")) as net:
        with pytest.raises(wsclient.GaveUp):
            async with net.client(headers={"Authorization": "Bearer old"}):
                raise AssertionError("it cannot be open")
    assert len(net.peers) == 1


# S14: the provider raises, hangs, or is late.


async def test_s14_a_provider_that_raises_is_a_failed_attempt() -> None:
    asked: list[float] = []

    def provider(attempt: Attempt) -> dict[str, str]:
        asked.append(anyio.current_time())
        if len(asked) < 3:
            raise RuntimeError("the token server is down")
        return {"X-Token": "fresh"}

    async with Net() as net, net.client(headers=provider, wait=waits(4)):
        pass
    assert len(net.dials) == 1
    assert gaps(asked) == [4, 4]
    request = net.peer.endpoint.request
    assert request is not None
    assert header(request, "x-token") == "fresh"


async def test_s14_what_a_provider_raised_is_the_cause_and_says_whose_it_is() -> None:
    async with Net() as net:
        with pytest.raises(wsclient.ConnectError, match="provider of url") as caught:
            async with net.client(lambda attempt: str(1 // 0), first="raise"):
                raise AssertionError("it cannot be open")
    assert caught.value.phase == Phase.PROVIDER
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert not net.dials


async def test_s14_a_provider_that_hangs_is_bounded_by_open_timeout() -> None:
    asked: list[float] = []

    async def provider(attempt: Attempt) -> str:
        asked.append(anyio.current_time())
        assert attempt.deadline == pytest.approx(anyio.current_time() + 5)
        if len(asked) < 3:
            await anyio.sleep_forever()
        return "ws://server.test/fresh"

    async with (
        Net() as net,
        net.client(provider, open_timeout=5, wait=waits(1)) as client,
    ):
        history = client.attempts
    assert gaps(asked) == [6, 6]
    assert len(history) == 2
    assert net.peer.endpoint.request is not None
    assert net.peer.endpoint.request.target == "/fresh"


async def test_s14_a_provider_that_hangs_is_told_by_its_phase() -> None:
    async with Net() as net:
        with pytest.raises(wsclient.AttemptTimeout) as caught:
            async with net.client(
                lambda attempt: anyio.sleep_forever(),
                open_timeout=5,
                first="raise",
            ):
                raise AssertionError("it cannot be open")
    assert caught.value.phase == Phase.PROVIDER


async def test_s14_what_a_late_provider_leaves_of_the_budget_is_all_there_is() -> None:
    """One budget: 4 s of 5 went to the provider, so the upgrade has one."""

    async def provider(attempt: Attempt) -> str:
        await anyio.sleep(4)
        return "ws://server.test/"

    async with Net(says_nothing) as net:
        begin = anyio.current_time()
        with pytest.raises(wsclient.AttemptTimeout) as caught:
            async with net.client(provider, open_timeout=5, first="raise"):
                raise AssertionError("it cannot be open")
        assert anyio.current_time() - begin == pytest.approx(5)
    assert caught.value.phase == Phase.UPGRADE


async def test_s14_a_provider_that_gives_up_ends_the_client() -> None:
    class SignedOut(wsclient.GiveUp):
        pass

    def provider(attempt: Attempt) -> dict[str, str]:
        raise SignedOut("the user has signed out")

    async with Net() as net:
        with pytest.raises(wsclient.GaveUp, match="signed out") as caught:
            async with net.client(headers=provider):
                raise AssertionError("it cannot be open")
    assert isinstance(caught.value.__cause__, SignedOut)
    assert not net.dials
