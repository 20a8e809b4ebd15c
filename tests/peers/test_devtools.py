"""Chromium's DevTools as a server that nobody here wrote."""

from __future__ import annotations

import base64
import json
import urllib.request
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import pytest

import wsclient

from .chromium import TOPICS, Chromium, page
from .processes import PATIENCE

pytestmark = pytest.mark.real


def version(authority: str) -> Any:
    """What the browser says of itself over plain HTTP."""
    url = f"http://{authority}/json/version"
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        return json.load(answer)


async def test_the_address_it_gives_over_http_is_a_server_to_talk_to(
    chromium: Chromium,
) -> None:
    told = await anyio.to_thread.run_sync(version, urlsplit(chromium.url).netloc)
    with anyio.fail_after(30):
        async with wsclient.connect(told["webSocketDebuggerUrl"]) as ws:
            await ws.send(json.dumps({"id": 7, "method": "Target.getTargets"}))
            answer = json.loads(await ws.recv())
    assert answer["id"] == 7
    assert "page" in {target["type"] for target in answer["result"]["targetInfos"]}


async def test_an_origin_it_was_not_told_of_is_refused_with_the_reason(
    chromium: Chromium,
) -> None:
    with anyio.fail_after(30):
        with pytest.raises(wsclient.HandshakeRejected) as caught:
            async with wsclient.connect(chromium.url, origin="https://a.example"):
                raise AssertionError("any page could read the user's others")
    assert caught.value.status == 403
    assert b"--remote-allow-origins" in caught.value.body


async def test_what_it_does_not_know_is_an_error_and_no_end(
    chromium: Chromium,
) -> None:
    with anyio.fail_after(30):
        async with page(chromium) as opened:
            with pytest.raises(LookupError, match="-32601"):
                await opened.tools.call("Page.makeCoffee")
            with pytest.raises(LookupError, match="ReferenceError"):
                await opened.evaluate("coffee")
            assert await opened.evaluate("6 * 7") == 42
            assert opened.tools.client.generation == 1


async def test_events_come_in_order_between_the_answers(chromium: Chromium) -> None:
    with anyio.fail_after(30):
        async with (
            page(chromium) as opened,
            opened.tools.client.subscribe("Runtime.consoleAPICalled") as said,
        ):
            await said.acknowledged()
            for n in range(300):
                assert await opened.evaluate(f"console.log({n}), {n}") == n
            events = [await said.recv() for _ in range(300)]
    values = [event["params"]["args"][0]["value"] for event in events]
    assert values == list(range(300))


async def test_messages_of_megabytes_go_both_ways(chromium: Chromium) -> None:
    size = 1 << 20
    text = "é" * size + "x" * (2 * size)
    with anyio.fail_after(30):
        async with page(chromium) as opened:
            assert await opened.evaluate(f"'{text}'.length") == len(text)
            got = await opened.evaluate(f"'é'.repeat({size}) + 'x'.repeat({2 * size})")
    assert got == text


async def test_a_screenshot_comes_as_one_message(chromium: Chromium) -> None:
    with anyio.fail_after(30):
        async with page(chromium) as opened:
            await opened.evaluate("document.body.textContent = 'here I am'")
            shot = await opened.tools.call("Page.captureScreenshot")
    assert base64.b64decode(shot["data"]).startswith(b"\x89PNG\r\n")


async def test_an_answer_over_our_limit_ends_this_connection_alone(
    chromium: Chromium,
) -> None:
    call = {
        "id": 1,
        "method": "Runtime.evaluate",
        "params": {"expression": "'x'.repeat(3 << 20)"},
    }
    with anyio.fail_after(30):
        async with page(chromium) as opened:
            async with wsclient.connect(chromium.url_of(opened.target)) as ws:
                await ws.send(json.dumps(call))
                with pytest.raises(wsclient.ConnectionLost) as caught:
                    await ws.recv()
            assert await opened.evaluate("'still here'") == "still here"
    assert caught.value.reason == "PROTOCOL_ERROR"
    assert str(caught.value.sent).startswith("1009")


async def test_a_page_that_is_closed_says_so_and_hangs_up(chromium: Chromium) -> None:
    with anyio.fail_after(30):
        async with (
            page(chromium) as opened,
            wsclient.connect(chromium.url_of(opened.target)) as ws,
        ):
            await opened.tools.call("Page.close")
            assert json.loads(await ws.recv())["method"] == "Inspector.detached"
            with pytest.raises(wsclient.ConnectionLost) as caught:
                await ws.recv()
    assert caught.value.reason == "EOF"  # it says no Close


async def test_a_client_finds_a_browser_that_was_killed_at_its_new_address(
    chromium: Chromium,
) -> None:
    """Each life of a browser has another address, so each attempt asks for it."""
    asked: list[wsclient.Attempt] = []

    def address(attempt: wsclient.Attempt) -> str:
        asked.append(attempt)
        return chromium.url

    with anyio.fail_after(30):
        async with wsclient.Client(
            address,
            subprotocol=TOPICS,
            wait=wsclient.FullJitter(base=0.02, cap=0.1),
        ) as client:
            first = chromium.url
            chromium.kill()
            await anyio.to_thread.run_sync(chromium.start)
            while client.generation == 1:
                await client.wait_open()
            await client.send({"id": 1, "method": "Browser.getVersion"})
            answer = await client.recv()
    assert answer["result"]["protocolVersion"]
    assert chromium.url != first
    assert asked[1].last_outcome is not None
