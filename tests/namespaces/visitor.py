"""A program that dials a name nobody resolves, and leaves: backend, how."""

from __future__ import annotations

import sys

import anyio

import wsclient

URL = "ws://server.invalid.example:8080/"


async def main(how: str) -> None:
    if how == "raises":
        try:
            async with wsclient.Client(URL, open_timeout=0.3, first="raise"):
                print("it cannot be open")
        except wsclient.AttemptTimeout as error:
            print(f"{error.reason} in phase {error.phase}")
    else:
        with anyio.move_on_after(0.3):
            async with wsclient.Client(URL, open_timeout=1000):
                print("it cannot be open")
    print("left")


if __name__ == "__main__":
    anyio.run(main, sys.argv[2], backend=sys.argv[1])
