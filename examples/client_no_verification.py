"""A client that trusts one certificate, and one that trusts anything."""

from __future__ import annotations

import ssl

import anyio

import wsclient


async def main(url: str = "wss://localhost:8765", cafile: str = "ca.pem") -> None:
    # Right: verification stays on, and knows the authority that you made yourself.
    tls = ssl.create_default_context(cafile=cafile)
    async with wsclient.connect(url, tls=tls) as ws:
        print("verified:", await ws.recv())

    # Off: whoever sits between you and the server can read and change everything.
    tls = ssl.create_default_context()
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    async with wsclient.connect(url, tls=tls) as ws:
        print("unverified:", await ws.recv())


if __name__ == "__main__":
    anyio.run(main)
