"""A server that writes down what it hears and from which connection: host, port."""

from __future__ import annotations

import itertools
import sys

import anyio

import wsclient


async def main(host: str, port: int) -> None:
    numbers = itertools.count(1)

    async def handler(connection: wsclient.Connection) -> None:
        number = next(numbers)
        print(number, "opened", flush=True)
        try:
            async for message in connection:
                line = f"{number} heard {str(message)[:20]}"
                print(line, flush=True)
                await connection.send(line)
        finally:
            print(number, "closed", flush=True)

    async with wsclient.serve(
        handler, host, port, max_message_size=None, ping_interval=0.2, ping_timeout=0.5
    ):
        print("listening", flush=True)
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], int(sys.argv[2]))
