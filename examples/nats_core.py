"""
NATS core over WebSocket, as a subprotocol: subscriptions that outlive the server.

Run it against a broker with a websocket listener::

    python examples/nats_core.py ws://localhost:9222 trades 'news.*'

"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import anyio

from wsclient import Client, Conversation, GiveUp, Reply, Topic
from wsclient.subprotocols import Base


@dataclass(frozen=True, slots=True)
class Packet:
    """One line of the NATS protocol, with the payload that PUB and MSG carry."""

    verb: str
    words: tuple[str, ...] = ()
    payload: bytes | None = None


class NatsCore(Base[Packet]):
    """Each subscription's number is its sid, so routing is one look-up."""

    def __init__(self, options: Mapping[str, object] | None = None) -> None:
        self._connect = {"verbose": False, "lang": "python", **(options or {})}
        self._rest = b""  # what of a packet has come so far: frames are not packets

    def encode(self, item: Packet) -> bytes:
        head = " ".join((item.verb, *item.words)).encode()
        if item.payload is None:
            return head + b"\r\n"
        return b"%b %d\r\n%b\r\n" % (head, len(item.payload), item.payload)

    def decode(self, data: str | bytes) -> list[Packet]:
        self._rest += data.encode() if isinstance(data, str) else data
        packets, start = [], 0
        while (end := self._rest.find(b"\r\n", start)) >= 0:
            verb, *words = self._rest[start:end].decode().split(" ")
            payload, end = None, end + 2
            if verb == "MSG":  # MSG subject sid [reply-to] size
                last = end + int(words.pop())
                if len(self._rest) < last + 2:
                    break
                payload, end = self._rest[end:last], last + 2
            packets.append(Packet(verb, tuple(words), payload))
            start = end
        self._rest = self._rest[start:]
        return packets

    async def hello(self, conversation: Conversation[Packet]) -> None:
        await conversation.recv()  # INFO: the server speaks first
        await conversation.send(Packet("CONNECT", (json.dumps(self._connect),)))
        await conversation.send(Packet("PING"))  # its PONG says that we are let in
        while (answer := await conversation.recv()).verb != "PONG":
            if answer.verb == "-ERR":
                raise GiveUp(" ".join(answer.words))
            if answer.verb == "PING":
                await conversation.send(Packet("PONG"))

    def subscribe(self, topic: Topic) -> Iterable[Packet]:
        yield Packet("SUB", (str(topic.message), str(topic.number)))

    def unsubscribe(self, topic: Topic) -> Iterable[Packet]:
        yield Packet("UNSUB", (str(topic.number),))

    def route(self, item: Packet) -> int | Reply[Packet] | None:
        if item.verb == "PING":
            return Reply(Packet("PONG"))
        return int(item.words[1]) if item.verb == "MSG" else None


async def main(url: str, *subjects: str) -> None:
    async with Client(url, subprotocol=NatsCore) as client:

        async def follow(subject: str) -> None:
            async for packet in await client.subscribe(subject):
                print(packet.words[0], packet.payload)

        async with anyio.create_task_group() as group:
            for subject in subjects:
                group.start_soon(follow, subject)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], *sys.argv[2:])
