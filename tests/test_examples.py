"""Every example does what it says, and the FAQ points to all of them."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import io
import json
import os
import re
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import trustme

import wsclient

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
FAQ = ROOT / "docs" / "faq.md"
HANG = 30

CaptureFixture = pytest.CaptureFixture[str]


def example(name: str) -> ModuleType:
    """Import an example anew."""
    path = ROOT / f"examples/{name}.py"
    spec = importlib.util.spec_from_file_location(f"examples.{name}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert isinstance(port, int)
        return port


@asynccontextmanager
async def running(main: Callable[..., Any]) -> AsyncIterator[str]:
    """An example that serves; ended by cancelling it, as Ctrl+C would."""
    port = free_port()
    with anyio.fail_after(HANG):
        async with anyio.create_task_group() as group:
            group.start_soon(main, port)
            await until_listening(port)
            yield f"ws://localhost:{port}"
            group.cancel_scope.cancel()


async def until_listening(port: int) -> None:
    while True:
        await anyio.lowlevel.checkpoint()
        with contextlib.suppress(OSError):
            await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
            return


@asynccontextmanager
async def serving(handler: Any, **options: Any) -> AsyncIterator[str]:
    """What an example that is a client needs."""
    with anyio.fail_after(HANG):
        async with wsclient.serve(handler, "localhost", 0, **options) as server:
            scheme = "wss" if "tls" in options else "ws"
            yield f"{scheme}://localhost:{server.addresses[0][1]}"


async def echo(ws: wsclient.Connection) -> None:
    async for message in ws:
        await ws.send(message)


# -- servers ----------------------------------------------------------------------


async def test_server_many_messages() -> None:
    async with (
        running(example("server_many_messages").main) as url,
        wsclient.connect(url) as ws,
    ):
        for message in ("one", b"two", "three"):
            await ws.send(message)
            assert await ws.recv() == message


async def test_server_many_clients() -> None:
    module = example("server_many_clients")
    answers: list[str | bytes] = []

    async def visit() -> None:
        async with wsclient.connect(url) as ws:
            await ws.send("100")
            answers.append(await ws.recv())

    async with running(module.main) as url, wsclient.connect(url) as waiting:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(visit)
        await waiting.ping()
    assert answers == ["25 primes below 100"] * 5


async def test_server_headers_and_cookies() -> None:
    async with running(example("server_headers_and_cookies").main) as url:
        async with wsclient.connect(
            url, headers={"Cookie": "theme=dark; session=s1"}, user_agent="me"
        ) as ws:
            assert await ws.recv() == "session s1 with me"
            assert ("set-cookie", "visited=yes") in ws.response_headers
        with pytest.raises(wsclient.HandshakeRejected) as caught:
            async with wsclient.connect(url):
                raise AssertionError("nobody has logged in")
        assert caught.value.status == 401
        assert caught.value.body == b"Log in first.\n"


async def test_server_client_address() -> None:
    async with (
        running(example("server_client_address").main) as url,
        wsclient.connect(url, headers={"X-Forwarded-For": "192.0.2.7"}) as ws,
    ):
        host, port = ws.local_address
        told = f"you are {host}, port {port}, forwarded for 192.0.2.7"
        assert await ws.recv() == told


@pytest.mark.parametrize("host", ["localhost", None])
async def test_server_addresses(host: str | None, capsys: CaptureFixture) -> None:
    with anyio.fail_after(HANG):
        async with anyio.create_task_group() as group:
            group.start_soon(example("server_addresses").main, host)
            told = ""
            while "listening on" not in told:
                await anyio.lowlevel.checkpoint()
                told += capsys.readouterr().out
            port = told.split()[-1]
            async with wsclient.connect(f"ws://127.0.0.1:{port}") as ws:
                assert await ws.recv() == f"you found me at ('127.0.0.1', {port})"
            group.cancel_scope.cancel()


async def test_server_closing(capsys: CaptureFixture) -> None:
    port = free_port()
    with anyio.fail_after(HANG):
        async with anyio.create_task_group() as group:
            group.start_soon(example("server_closing").main, port)
            await until_listening(port)
            async with wsclient.connect(f"ws://localhost:{port}") as ws:
                await ws.send("hello")
                assert await ws.recv() == "hello"
                os.kill(os.getpid(), signal.SIGTERM)
                with pytest.raises(wsclient.ConnectionClosed) as caught:
                    await ws.recv()
                assert caught.value.code == 1001
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "serving"
    assert told[1:3] == ["closing 1 connections", f"goodbye {ws.remote_address[0]}"]
    assert told[3] == "closed"


async def test_server_http() -> None:
    async def get(target: str) -> bytes:
        host, port = url.removeprefix("ws://").split(":")
        async with await anyio.connect_tcp(host, int(port)) as stream:
            request = f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"
            await stream.send(request.encode())
            data = b""
            with contextlib.suppress(anyio.EndOfStream):
                while True:
                    data += await stream.receive()
            return data

    async with running(example("server_http").main) as url:
        assert (await get("/health")).endswith(b"\r\n\r\nfine\n")
        page = await get("/")
        assert b"\r\nContent-Type: text/html\r\n" in page
        assert page.endswith(b"</script>")
        async with wsclient.connect(url) as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"


# -- clients ----------------------------------------------------------------------


async def test_client_closing(capsys: CaptureFixture) -> None:
    async with serving(echo) as url:
        await example("client_closing").main(url)
    received, first, second = capsys.readouterr().out.splitlines()
    assert received == "received hello"
    assert "received 1000, sent 1000" in first
    assert "sent 4000 another code, with a reason" in second


async def test_client_reconnecting(capsys: CaptureFixture) -> None:
    lives = iter(range(3))
    asked: list[str | bytes] = []

    async def unsteady(ws: wsclient.Connection) -> None:
        asked.append(await ws.recv())
        life = next(lives)
        await ws.send(f"news {life}" if life < 2 else "that is all")

    async with serving(unsteady) as url:
        await example("client_reconnecting").main(url, 0.01)
    assert capsys.readouterr().out.splitlines() == [
        "connection 1: 'news 0'",
        "connection 2: 'news 1'",
        "connection 3: 'that is all'",
    ]
    assert asked == ["send me the news"] * 3


async def test_client_no_verification(tmp_path: Path, capsys: CaptureFixture) -> None:
    authority = trustme.CA()
    cafile = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(cafile))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)

    async def greet(ws: wsclient.Connection) -> None:
        await ws.send("hello")

    async with serving(greet, tls=tls) as url:
        await example("client_no_verification").main(url, str(cafile))
    assert capsys.readouterr().out == "verified: hello\nunverified: hello\n"


# -- both -------------------------------------------------------------------------


async def test_two_things_at_once(capsys: CaptureFixture) -> None:
    reports: list[str | bytes] = []

    async def both(ws: wsclient.Connection) -> None:
        for number in range(3):
            reports.append(await ws.recv())
            await ws.send(f"order {number}")
        await ws.wait_ended()

    async with serving(both) as url:
        await example("two_things_at_once").main(url, 0.05)
    assert reports == ["report 0", "report 1", "report 2"]
    told = capsys.readouterr().out.splitlines()
    assert told == [f"heard order {number}" for number in range(3)]


async def test_topics() -> None:
    def news(data: str) -> str:
        return json.dumps({"channel": "news", "data": data})

    async with (
        running(example("topics").main) as url,
        wsclient.connect(url) as reader,
        wsclient.connect(url) as other,
        wsclient.connect(url) as writer,
        wsclient.Client(url, subprotocol=wsclient.JsonTopics()) as client,
        client.subscribe({"channel": "news"}) as feed,
    ):
        await reader.send('{"channel": "news"}')
        await other.send('{"channel": "sports"}')
        # Each has been heard when its ping is answered behind it.
        for ws in (reader, other):
            await ws.ping()
        await client.wait_open()
        await writer.send(news("first"))
        assert await reader.recv() == news("first")
        await writer.send(news("second"))
        async for message in feed:
            assert message["data"] in ("first", "second")
            if message["data"] == "second":
                break
        assert await reader.recv() == news("second")
        await other.send(json.dumps({"channel": "sports", "data": "goal"}))
        assert json.loads(await other.recv())["data"] == "goal"


async def test_code_1006(capsys: CaptureFixture) -> None:
    async def vanish(ws: wsclient.Connection) -> None:
        await ws.send("hello")
        ws.end(wsclient.Reason.LIVENESS)  # aborts: no Close frame

    async def refuse(ws: wsclient.Connection) -> None:
        await ws.close(4003, "not you")

    async with serving(vanish) as url:
        await example("code_1006").main(url)
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "received hello"
    assert re.fullmatch(
        "1006 is nothing the peer said. What is known: (EOF|RESET)", told[1]
    )
    async with serving(refuse) as url:
        await example("code_1006").main(url)
    assert capsys.readouterr().out == "closed with 4003 4003 not you\n"


async def test_callbacks(capsys: CaptureFixture) -> None:
    async def greet(ws: wsclient.Connection) -> None:
        await ws.send("hello")
        await ws.send("bye")
        await ws.wait_ended()

    async with serving(greet) as url:
        await example("callbacks").main(url)
    told = capsys.readouterr().out.splitlines()
    assert [line for line in told if line.startswith("message")] == [
        "message hello",
        "message bye",
    ]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
async def test_without_async(backend: str, capsys: CaptureFixture) -> None:
    module = example("without_async")
    async with serving(echo) as url:
        await anyio.to_thread.run_sync(module.main, url, backend)
    assert capsys.readouterr().out == "received hello\n"


async def test_recv_timeout(capsys: CaptureFixture) -> None:
    async def shy(ws: wsclient.Connection) -> None:
        await ws.send(f"you said {await ws.recv()!r}")

    async with serving(shy) as url:
        await example("recv_timeout").main(url, 0.05)
    told = capsys.readouterr().out.splitlines()
    assert told == ["nothing yet", "received you said 'hello?'"]


async def test_large_messages(tmp_path: Path, capsys: CaptureFixture) -> None:
    file = tmp_path / "large"
    file.write_bytes(bytes(range(256)) * 20_000)  # five times max_message_size
    with anyio.fail_after(HANG):
        await example("large_messages").main(file)
    assert capsys.readouterr().out.strip() == sha256(file.read_bytes()).hexdigest()


async def test_floods(capsys: CaptureFixture) -> None:
    with anyio.fail_after(HANG):
        await example("floods").main()
    assert capsys.readouterr().out == f"{sum(range(100_000))}\n"


async def test_keeping_idle_open(capsys: CaptureFixture) -> None:
    async with serving(echo, ping_interval=None) as url:
        await example("keeping_idle_open").main(url, 0.05, 0.3)
    told = capsys.readouterr().out
    assert told == "received still here\nanswered pings: True\n"


async def test_pings(capsys: CaptureFixture) -> None:
    with anyio.fail_after(HANG):
        await example("pings").main()
    assert re.fullmatch(r"answered after \d+\.\d ms\n", capsys.readouterr().out)


# -- the files and the FAQ --------------------------------------------------------


def test_importing_an_example_does_nothing() -> None:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        for path in EXAMPLES:
            assert callable(example(path.stem).main), path
    assert not out.getvalue()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.stem))
def test_an_example_is_short_and_says_what_it_shows(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))
    most = 100 if path.stem == "nats_core" else 42
    assert text.count("\n") <= most


def test_every_example_of_the_faq_is_tested() -> None:
    tested = {name for name in globals() if name.startswith("test_")}
    names = {path.stem for path in EXAMPLES} - {"nats_core"}
    assert {f"test_{name}" for name in names} <= tested


def test_the_faq_links_every_example_and_no_other() -> None:
    text = FAQ.read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(\.\./examples/(\w+)\.py\)", text))
    assert linked == {path.stem for path in EXAMPLES} - {"nats_core"}


def test_every_question_is_answered_in_a_few_sentences_and_a_link() -> None:
    text = FAQ.read_text(encoding="utf-8")
    questions = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    assert len(questions) == 22
    for question in questions:
        heading, _, answer = question.partition("\n")
        answer = answer.partition("\n## ")[0]
        assert 20 <= len(answer.split()) <= 200, heading
        assert "examples/" in answer or "Python 2" in heading, heading
        assert "you" in answer.lower(), heading


def test_what_the_faq_quotes_stands_in_the_example() -> None:
    """A block of code is a part of an example of its answer, word for word."""
    text = FAQ.read_text(encoding="utf-8")
    for answer in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        linked = re.findall(r"\]\(\.\./(examples/[\w/]+\.py)\)", answer)
        sources = [(ROOT / path).read_text(encoding="utf-8") for path in linked]
        for block in re.findall(r"```python\n(.*?)```", answer, flags=re.DOTALL):
            assert any(block in source for source in sources), block
