"""A program that dials a name nobody resolves, and leaves: backend."""

from __future__ import annotations

import sys

import anyio

import wsclient

URL = "ws://server.invalid.example:8080/"


async def main() -> None:
    try:
        async with wsclient.Client(URL, open_timeout=0.2, first="raise"):
            print("it cannot be open")
    except wsclient.AttemptTimeout as error:
        print(f"{error.reason} in phase {error.phase}")
    with anyio.move_on_after(0.2) as scope:
        async with wsclient.Client(URL, open_timeout=1000):
            print("it cannot be open")
    if scope.cancelled_caught:
        print("cancelled")


if __name__ == "__main__":
    anyio.run(main, backend=sys.argv[1])
    print("left")
