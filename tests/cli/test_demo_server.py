"""The demo's server: it keeps books before it speaks, and drops in every way."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

import wsclient
from wsclient import Reason
from wsclient.cli.demo_server import Ledger, generation_of
from wsclient.cli.host import Host
from wsclient.cli.ledger import Heard, Message, Opened, read_ledger
from wsclient.cli.schedule import CHANNELS, GENERATION, TROUBLES, Trouble
from wsclient.protocol import Request

from .servers import SERVER

pytestmark = pytest.mark.real


@asynccontextmanager
async def hosted(directory: Path, backend: str) -> AsyncIterator[Host]:
    with anyio.fail_after(60):
        host = Host(
            SERVER,
            directory,
            seed=1,
            backend=backend,
            subscribed=lambda name, generation: None,
        )
        async with host:
            await host.start()
            yield host


def test_the_generation_is_what_the_header_says() -> None:
    said = Request(target="/", headers=(("demo-generation", "7"),))
    assert generation_of(said) == 7
    assert generation_of(Request(target="/", headers=())) == 0


def test_a_line_is_in_the_file_when_the_call_returns(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "server-001.jsonl")
    try:
        ledger.note(Opened("1.1", 1))
        assert read_ledger(tmp_path) == [Opened("1.1", 1)]
    finally:
        ledger.close()


async def subscribe(ws: wsclient.Connection) -> list[Message]:
    """Subscribe to everything; return when every channel has had a message."""
    for channel in CHANNELS:
        await ws.send(json.dumps({"channel": channel}))
    received: list[Message] = []
    while {message.channel for message in received} < set(CHANNELS):
        received.append(Message(**json.loads(await ws.recv())))
    return received


async def receive_all(ws: wsclient.Connection, got: list[Message]) -> Reason:
    """Receive until the connection ends; return why it did."""
    try:
        while True:
            got.append(Message(**json.loads(await ws.recv())))
    except (wsclient.ConnectionClosed, wsclient.ConnectionLost) as end:
        return end.reason


@pytest.mark.parametrize(
    "trouble",
    [trouble for trouble in TROUBLES if trouble.drop != "kill" and not trouble.then],
    ids=lambda trouble: trouble.drop,
)
async def test_every_drop_is_what_it_is_called_and_the_books_are_right(
    tmp_path: Path, anyio_backend_name: str, trouble: Trouble
) -> None:
    async with hosted(tmp_path, anyio_backend_name) as host:
        url = f"ws://127.0.0.1:{host.port}/"
        async with wsclient.connect(
            url, headers={GENERATION: "5"}, ping_interval=0.5, ping_timeout=1
        ) as ws:
            got = await subscribe(ws)
            assert await host.ask("1.1", trouble)
            reason = await receive_all(ws, got)
        assert reason in trouble.reasons
        assert not await host.ask("1.9", trouble)
    lines = read_ledger(tmp_path)
    assert lines[0] == Opened("1.1", 5)
    heard = [line.channel for line in lines if isinstance(line, Heard)]
    assert heard == list(CHANNELS)
    written = [line for line in lines if isinstance(line, Message)]
    assert written[: len(got)] == got


async def test_who_comes_after_a_refusing_drop_gets_503_and_when_to_come_again(
    tmp_path: Path, anyio_backend_name: str
) -> None:
    refuse = next(trouble for trouble in TROUBLES if trouble.then == "refuse")
    async with hosted(tmp_path, anyio_backend_name) as host:
        url = f"ws://127.0.0.1:{host.port}/"
        async with wsclient.connect(url) as ws:
            assert await host.ask("1.1", refuse)
            with pytest.raises(wsclient.ConnectionLost) as lost:
                await ws.recv()
            assert lost.value.reason is Reason.EOF
        for _ in range(refuse.times):
            with pytest.raises(wsclient.HandshakeRejected) as rejected:
                await wsclient.connect(url).__aenter__()
            assert rejected.value.status == 503
            assert ("retry-after", "1") in rejected.value.headers
        async with wsclient.connect(url):
            pass


async def test_a_message_is_in_the_ledger_before_it_is_received(
    tmp_path: Path, anyio_backend_name: str
) -> None:
    """So a process killed at any moment has sent nothing that its ledger lacks."""
    async with hosted(tmp_path, anyio_backend_name) as host:
        url = f"ws://127.0.0.1:{host.port}/"
        async with wsclient.connect(url) as ws:
            await ws.send(json.dumps({"channel": CHANNELS[0]}))
            for _ in range(20):
                message = Message(**json.loads(await ws.recv()))
                assert message in read_ledger(tmp_path)
            await host.kill()
