"""What on_connect and hello speak through, and what was received meanwhile."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Generic, TypeVar

import anyio
import anyio.lowlevel

from ..errors import ConcurrencyError, LocalProtocolError, ReceiveTimeout
from .checks import check_timeout
from .seam import Data, Link

__all__ = ("HandOver", "ItemTalk", "RawTalk", "Talk", "hook_of", "inside_hook_of")

T = TypeVar("T")


class _Hook:
    """Marks the tasks that run a hook of one client, and those they start."""

    __slots__ = ("outer", "owner", "running")

    def __init__(self, owner: object, outer: _Hook | None) -> None:
        self.owner = owner
        self.outer = outer
        self.running = True


_hook: ContextVar[_Hook | None] = ContextVar("wsclient_hook", default=None)


@contextmanager
def hook_of(owner: object) -> Iterator[None]:
    """Mark that ``on_connect`` or hello of this client is running here."""
    hook = _Hook(owner, _hook.get())
    token = _hook.set(hook)
    try:
        yield
    finally:
        # Tasks that the hook started and left behind carry the mark on.
        hook.running = False
        _hook.reset(token)


def inside_hook_of(owner: object) -> bool:
    """Whether the caller would wait for the hook that it runs in."""
    hook = _hook.get()
    while hook is not None:
        if hook.running and hook.owner is owner:
            return True
        hook = hook.outer
    return False


class HandOver:
    """Holds what arrives until routing starts; no bound pauses reading here."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.messages: deque[Data] = deque()
        self._wake: anyio.Event | None = None

    def sink(self, messages: Sequence[Data]) -> None:
        """Take what arrived together, inside the feed."""
        self.messages += messages
        self.ring()

    def ring(self) -> None:
        """Wake who is receiving."""
        if self._wake is not None:
            self._wake.set()

    async def receive(self) -> Data:
        """
        Return the next message; cancelling loses nothing.

        Raises:
            ConnectionClosed, ConnectionLost: it has ended and nothing is left.

        """
        while not self.messages:
            ended = self.link.ended
            if ended is not None:
                raise ended
            if self._wake is not None:
                raise ConcurrencyError("another task is receiving on this connection")
            self._wake = anyio.Event()
            try:
                await self._wake.wait()
            finally:
                self._wake = None
        return self.messages.popleft()

    async def send(self, data: Data) -> None:
        """
        Send one message ahead of everything queued.

        Raises:
            ConnectionClosed, ConnectionLost: the connection has ended.

        """
        link = self.link
        while not link.ready:
            await link.wait_ready()
        if not link.commit(data):
            await link.flush()


class Talk(ABC, Generic[T]):
    """One connection, for as long as one hook runs."""

    def __init__(self, hand_over: HandOver, generation: int) -> None:
        self._hand_over = hand_over
        self._generation = generation
        self._over = False

    @property
    def generation(self) -> int:
        """The number of this connection, from 1."""
        return self._generation

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol the opening handshake agreed on."""
        return self._hand_over.link.subprotocol

    @property
    def response_headers(self) -> Sequence[tuple[str, str]]:
        """The headers of the server's answer."""
        return self._hand_over.link.response_headers

    def finish(self) -> None:
        """The hook has returned."""
        self._over = True

    async def send(self, item: T) -> None:
        """
        Send one item, ahead of everything queued.

        Raises:
            MessageTypeError: nothing encodes such an item.
            ConnectionClosed, ConnectionLost: the connection has ended.
            LocalProtocolError: the hook has returned; use the client.

        """
        self._check()
        data = self._encode(item)
        await anyio.lowlevel.checkpoint()
        await self._hand_over.send(data)

    async def recv(self, timeout: float | None = None) -> T:
        """
        Return the next item, waiting at most ``timeout`` seconds for it.

        What is not taken here is routed later, in order. Cancelling loses nothing.

        Raises:
            ReceiveTimeout: none came in time.
            ConnectionClosed, ConnectionLost: the connection has ended.
            LocalProtocolError: the hook has returned; use the client.

        """
        self._check()
        seconds = check_timeout("timeout", timeout)
        await anyio.lowlevel.checkpoint()
        with anyio.move_on_after(seconds):
            return await self._receive()
        raise ReceiveTimeout(f"no message within {timeout} s; nothing is lost")

    def _check(self) -> None:
        if self._over:
            raise LocalProtocolError(
                "on_connect or hello has returned: use the client itself"
            )

    @abstractmethod
    def _encode(self, item: T) -> Data:
        """Make a message of an item."""

    @abstractmethod
    async def _receive(self) -> T:
        """Wait for the next item."""


class RawTalk(Talk[Data]):
    """What ``on_connect`` gets: messages as they are on the wire."""

    def _encode(self, item: Data) -> Data:
        return item

    async def _receive(self) -> Data:
        return await self._hand_over.receive()


class ItemTalk(Talk[T]):
    """What hello gets: items as the subprotocol encodes and decodes them."""

    def __init__(
        self,
        hand_over: HandOver,
        generation: int,
        encode: Callable[[T], Data],
        decode: Callable[[Data], Iterable[T]],
    ) -> None:
        super().__init__(hand_over, generation)
        self._encode_item = encode
        self._decode = decode
        self.items: deque[T] = deque()
        """Decoded and not taken."""

    def _encode(self, item: T) -> Data:
        return self._encode_item(item)

    async def _receive(self) -> T:
        while not self.items:
            self.items.extend(self._decode(await self._hand_over.receive()))
        return self.items.popleft()
