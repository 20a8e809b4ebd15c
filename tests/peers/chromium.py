"""Headless Chromium: its pages are visitors, its DevTools a server; ours drives it."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio

import wsclient

from .commands import HERE, Command
from .orders import Saw
from .processes import Peer, missing, wait_until

Json = dict[str, Any]

FLAGS = (
    "--headless",
    "--no-sandbox",  # only pages of ours, and root has none
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--no-zygote",
    "--ignore-certificate-errors",
)

# The events that pages are asked for; the number of each, below 0, asks for its domain.
EVENTS = (
    "Page.loadEventFired",
    "Network.webSocketFrameError",
    "Runtime.consoleAPICalled",
)


def enable(event: str) -> Json:
    """Say that the events of this one's domain are wanted."""
    number = -1 - EVENTS.index(event)
    return {"id": number, "method": f"{event.partition('.')[0]}.enable"}


def enabled(answer: Json) -> str | None:
    """Return the event that was asked for, if this answers :func:`enable`."""
    number = answer.get("id", 0)
    return EVENTS[-1 - number] if number < 0 else None


# DevTools names its events by "method".
TOPICS = wsclient.JsonTopics(key="method", subscribe=enable, ack=enabled)


def executable() -> str:
    names = "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"
    found = next(filter(None, map(shutil.which, names)), None)
    if not found:
        missing("there is no Chromium; Debian's chromium-headless-shell is all of it")
    return found


class Chromium:
    """One browser on a port of its own choice, through any number of lives."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._command: Command = [
            executable(),
            *FLAGS,
            f"--user-data-dir={folder / 'profile'}",
            "--remote-debugging-port=0",
            "about:blank",
        ]
        self._peer: Peer | None = None

    def start(self) -> None:
        """Start a life and return when its DevTools listen."""
        assert self._peer is None
        self._told.unlink(missing_ok=True)
        peer = self._peer = Peer(self._command, self._folder / "chromium.log")

        def up() -> bool:
            if peer.process.poll() is not None:
                raise peer.failure("ended before it listened")
            return self._told.exists() and len(self._told.read_text().split()) == 2

        wait_until(up, "Chromium to listen")

    @property
    def _told(self) -> Path:
        """Where it tells its port, and the path of its own endpoint."""
        return self._folder / "profile" / "DevToolsActivePort"

    @property
    def url(self) -> str:
        """The DevTools of the browser as a whole; each life has another."""
        port, path = self._told.read_text().split()
        return f"ws://127.0.0.1:{port}{path}"

    def url_of(self, target: str) -> str:
        """Return the DevTools of one page."""
        return f"{self.url.partition('/devtools')[0]}/devtools/page/{target}"

    def kill(self) -> None:
        """``kill -9``; idempotent."""
        if self._peer is not None:
            self._peer.kill()
            self._peer = None


@contextmanager
def browser(folder: Path) -> Iterator[Chromium]:
    """Make a browser, started; whatever becomes of it, nothing of it is left."""
    chromium = Chromium(folder)
    try:
        chromium.start()
        yield chromium
    finally:
        chromium.kill()


class DevTools:
    """One endpoint: calls and their answers, by number; events are subscriptions."""

    def __init__(self, client: wsclient.Client[Json]) -> None:
        self.client = client
        self._answers: dict[int, Json] = {}
        self._asked: dict[int, anyio.Event] = {}
        self._number = 0

    async def listen(self) -> None:
        """Hand out answers; whoever calls needs this to run."""
        async for answer in self.client:
            if answer.get("id") in self._asked:
                self._answers[answer["id"]] = answer
                self._asked.pop(answer["id"]).set()

    async def call(self, method: str, **params: Any) -> Json:
        """
        Call a method and return its result.

        Raises:
            LookupError: the answer is an error.

        """
        self._number += 1
        number, answered = self._number, anyio.Event()
        self._asked[number] = answered
        await self.client.send({"id": number, "method": method, "params": params})
        await answered.wait()
        answer = self._answers.pop(number)
        if "error" in answer:
            raise LookupError(f"{method}: {answer['error']}")
        result = answer["result"]
        assert isinstance(result, dict)
        return result


@asynccontextmanager
async def devtools(url: str) -> AsyncIterator[DevTools]:
    """Talk to an endpoint."""
    async with (
        wsclient.Client(url, subprotocol=TOPICS, max_message_size=64 << 20) as client,
        anyio.create_task_group() as group,
    ):
        tools = DevTools(client)
        group.start_soon(tools.listen)
        yield tools
        group.cancel_scope.cancel()


class Page:
    """One page, which runs what it is given and visits WebSocket servers."""

    def __init__(self, tools: DevTools, target: str) -> None:
        self.tools = tools
        self.target = target

    async def go(self, url: str) -> None:
        """Go to a URL and wait until it is loaded."""
        async with self.tools.client.subscribe("Page.loadEventFired") as loaded:
            await loaded.acknowledged()
            await self.tools.call("Page.navigate", url=url)
            await loaded.recv()

    async def evaluate(self, script: str) -> Any:
        """
        Return the value of an expression; a promise is awaited.

        Raises:
            LookupError: it threw.

        """
        result = await self.tools.call(
            "Runtime.evaluate",
            expression=script,
            awaitPromise=True,
            returnByValue=True,
        )
        if "exceptionDetails" in result:
            raise LookupError(result["exceptionDetails"])
        return result["result"].get("value")

    async def order(self, **orders: Any) -> Saw:
        """Visit a server: see ``visit.js``."""
        visit = (HERE / "visit.js").read_text(encoding="utf-8").rstrip(";\n")
        open_ = "({url, subprotocols}) => new WebSocket(url, subprotocols ?? [])"
        saw = await self.evaluate(f"({visit})({json.dumps(orders)}, {open_})")
        assert isinstance(saw, dict)
        return saw


@asynccontextmanager
async def page(chromium: Chromium) -> AsyncIterator[Page]:
    """Open an empty page, and close it in the end."""
    async with devtools(chromium.url) as whole:
        made = await whole.call("Target.createTarget", url="about:blank")
        target = made["targetId"]
        async with devtools(chromium.url_of(target)) as tools:
            yield Page(tools, target)
        close = {"method": "Target.closeTarget", "params": {"targetId": target}}
        # A test may have killed the browser: then there is nothing to close.
        await whole.client.send({"id": 0, **close}, when_down="drop")
