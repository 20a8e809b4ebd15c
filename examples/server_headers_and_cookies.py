"""A server that reads HTTP headers and cookies, and turns strangers away."""

from __future__ import annotations

import anyio

import wsclient


def process_request(
    connection: wsclient.Connection, request: wsclient.Request
) -> wsclient.HTTPResponse | None:
    """Decide before the connection opens; None lets the client in."""
    if "session" not in wsclient.cookies(request):
        return wsclient.HTTPResponse(401, "Log in first.\n")
    return None


async def handler(ws: wsclient.Connection) -> None:
    assert ws.request is not None
    headers = dict(ws.request.headers)  # the names are in lower case
    session = wsclient.cookies(ws.request)["session"]
    await ws.send(f"session {session} with {headers['user-agent']}")


async def main(port: int = 8765) -> None:
    async with wsclient.serve(
        handler,
        "localhost",
        port,
        process_request=process_request,
        headers={"Set-Cookie": "visited=yes"},  # goes into each 101
    ) as server:
        await server.wait_closed()


if __name__ == "__main__":
    anyio.run(main)
