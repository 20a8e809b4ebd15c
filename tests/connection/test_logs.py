"""The log at DEBUG: what goes in and out, cut short, and nothing secret."""

from __future__ import annotations

import logging

import anyio
import pytest

from wsclient.connection import Timeouts
from wsclient.protocol import Role

from .peer import connected


async def test_the_log_tells_what_goes_in_and_out_cut_short(
    pushed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "wsclient.connection")
    pinging = Timeouts(ping_interval=10, ping_timeout=None)
    async with connected(pushed, timeouts=pinging) as (ws, peer), ws:
        peer.send("x" * 1000, b"in", b"y" * 1000)
        peer.ping(b"?")
        for _ in range(3):
            await ws.recv()
        await ws.send("out")
        await ws.send(memoryview(b"more"))
        await ws.send_many(["one of many", b"and another"])
        await anyio.sleep(11)
    text = caplog.text
    assert "test < Response" in text
    assert f"test < '{'x' * 75}'... (1000 in all)" in text
    assert "test < b'in'" in text
    assert "test < Ping(payload=b'?')" in text
    assert "test > 'out'" in text
    assert "test > 'one of many'" in text
    assert "test > b'and another'" in text
    assert "test % ping" in text
    assert "test = " in text
    assert "x" * 76 not in text


async def test_the_log_keeps_the_secrets_of_the_handshake(
    pushed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "wsclient.connection")
    async with connected(pushed, role=Role.SERVER) as (ws, _), ws:
        pass
    assert "test < Request" in caplog.text
    assert "example.com/" not in caplog.text
    assert "sec-websocket-key" not in caplog.text


async def test_without_debugging_nothing_is_logged(
    pushed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wsclient.connection")
    async with connected(pushed) as (ws, peer), ws:
        peer.send("in")
        await ws.recv()
        await ws.send("out")
    assert caplog.text == ""


async def test_an_unsolicited_pong_changes_nothing(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.write(peer.endpoint.pong(b"here I am"))
        peer.send("message")
        assert await ws.recv() == "message"
        assert ws.latency is None


async def test_parts_are_cut_short_too(
    pushed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "wsclient.connection")
    async with connected(pushed) as (ws, peer), ws:
        peer.send("x" * 1000)
        async with ws.recv_streaming() as parts:
            assert [part async for part in parts] == ["x" * 1000]
    assert f"test < the last part '{'x' * 75}'... (1000 in all)" in caplog.text
    assert "x" * 76 not in caplog.text
