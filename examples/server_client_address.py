"""A server that tells each client from where it comes."""

from __future__ import annotations

import anyio

import wsclient


async def handler(ws: wsclient.Connection) -> None:
    host, port = ws.remote_address
    assert ws.request is not None
    # Behind a proxy of yours the address is the proxy's, and the client's is in a
    # header. Trust it only if nobody can reach this server but through the proxy.
    forwarded = dict(ws.request.headers).get("x-forwarded-for", "nobody")
    await ws.send(f"you are {host}, port {port}, forwarded for {forwarded}")


async def main(port: int = 8765) -> None:
    async with wsclient.serve(handler, "localhost", port) as server:
        await server.wait_closed()


if __name__ == "__main__":
    anyio.run(main)
