"""A server that speaks plain HTTP and WebSocket on one port."""

from __future__ import annotations

import anyio

import wsclient

PAGE = """<!doctype html><title>echo</title><script>
const ws = new WebSocket(location.href.replace("http", "ws"));
ws.onopen = () => ws.send("hello");
ws.onmessage = (event) => document.body.append(event.data);
</script>"""


def process_request(
    connection: wsclient.Connection, request: wsclient.Request
) -> wsclient.HTTPResponse | None:
    if request.upgrade:
        return None  # a WebSocket
    if request.target == "/health":
        return wsclient.HTTPResponse(200, "fine\n")
    return wsclient.HTTPResponse(200, PAGE, {"Content-Type": "text/html"})


async def handler(ws: wsclient.Connection) -> None:
    async for message in ws:
        await ws.send(message)


async def main(port: int = 8765) -> None:
    async with wsclient.serve(
        handler, "localhost", port, process_request=process_request
    ) as server:
        await server.wait_closed()


if __name__ == "__main__":
    anyio.run(main)
