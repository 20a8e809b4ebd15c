"""
wsclient as the suite tests it: it sends back each message, of the same type.

::

    python -m tests.conformance.testee server trio ...
    python -m tests.conformance.testee client asyncio ...

"""

from __future__ import annotations

import argparse
import ssl
from functools import partial
from typing import Any

import anyio

import wsclient

# Case 9.3.1 sends a message in 65,536 fragments, the largest are of 16 MiB.
LIMITS = wsclient.Limits(max_fragments=2**17)
ENDS = (
    wsclient.ConnectError,
    wsclient.ConnectionClosed,
    wsclient.ConnectionLost,
    wsclient.NotSent,
    wsclient.MaybeSent,
)
PATIENCE = 60.0  # seconds for the suite to judge the last case; a hang guard

BACKENDS: dict[str, dict[str, Any]] = {
    "asyncio": {"backend": "asyncio"},
    "uvloop": {"backend": "asyncio", "backend_options": {"use_uvloop": True}},
    "trio": {"backend": "trio"},
}


async def echo(ws: wsclient.Connection) -> None:
    async for message in ws:
        await ws.send(message)


async def serve(tls: ssl.SSLContext | None) -> None:
    """Serve until killed; the port is said on stdout."""
    async with wsclient.serve(
        echo, "127.0.0.1", tls=tls, max_message_size=None, limits=LIMITS
    ) as server:
        print(server.addresses[0][1], flush=True)
        await server.wait_closed()


async def run_cases(
    url: str, agent: str, cases: list[str], tls: ssl.SSLContext | None
) -> None:
    """Run the cases of a fuzzing server, and have it write its report."""
    connect = partial(wsclient.connect, tls=tls, max_message_size=None, limits=LIMITS)
    for case in cases:
        try:
            async with connect(f"{url}/runCase?casetuple={case}&agent={agent}") as ws:
                await echo(ws)
        except ENDS:
            pass  # most cases provoke it; the suite judges how it was done
    last = f"casetuple={cases[-1]}&agent={agent}"
    async with connect(f"{url}/getCaseStatus?{last}") as ws:
        await ws.recv(timeout=PATIENCE)  # it is judged once TCP has ended there too
    async with connect(f"{url}/updateReports?agent={agent}") as ws:
        async for _ in ws:
            raise AssertionError("no message comes with the report")


def client_context(authority: str | None) -> ssl.SSLContext | None:
    return ssl.create_default_context(cafile=authority) if authority else None


def server_context(chain: str | None, key: str | None) -> ssl.SSLContext | None:
    if chain is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    return context


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.testee")
    roles = parser.add_subparsers(dest="role", required=True)
    server = roles.add_parser("server")
    server.add_argument("backend", choices=BACKENDS)
    server.add_argument("--chain")
    server.add_argument("--key")
    client = roles.add_parser("client")
    client.add_argument("backend", choices=BACKENDS)
    client.add_argument("--url", required=True)
    client.add_argument("--agent", required=True)
    client.add_argument("--cases", required=True, type=lambda text: text.split(","))
    client.add_argument("--authority")
    said = parser.parse_args()
    if said.role == "server":
        task = partial(serve, server_context(said.chain, said.key))
    else:
        tls = client_context(said.authority)
        task = partial(run_cases, said.url, said.agent, said.cases, tls)
    anyio.run(task, **BACKENDS[said.backend])


if __name__ == "__main__":
    main()
