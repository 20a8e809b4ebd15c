"""``Client``: a conversation that outlives its connections."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Generic, Literal

from ..connection import DICE, Dice, Timeouts, bytes_of
from ..errors import ArgumentError
from ..protocol import Deflate, Limits, deflate_of
from ..subprotocols import JsonTopics, Plain
from ..supervisor import (
    Attempt,
    Classify,
    FullJitter,
    OnConnect,
    Stop,
    Subprotocol,
    Supervisor,
    Wait,
    stop_never,
)
from ..wire import Dial
from .connect import Connecting
from .opening import URL, Headers, Opening, takes_one

if sys.version_info >= (3, 13):
    from typing import TypeVar
else:
    from typing_extensions import TypeVar

__all__ = ("Client",)

T = TypeVar("T", default=str | bytes)

numbers = count(1)


class Client(Supervisor[T], Generic[T]):
    """
    A WebSocket conversation that outlives its connections.

    Enter it with ``async with``; frameworks that enter and leave in different tasks use
    ``await task_group.start(client.run)``. When a connection drops, the client dials
    again with backoff, says hello, its subscriptions and what waits to be sent, and
    goes on; what may be missing in between is told as a ``Gap``.

    Args:
        url: ``ws://`` or ``wss://``, or an (async) callable of an ``Attempt``, asked
            for each attempt.
        headers: extra request headers, or an (async) callable likewise: the place for
            tokens that expire.
        on_connect: async callable of a conversation in raw messages, before anything
            else on each new connection: the place to log in.
        subprotocol: makes a subprotocol for each generation: what a message is, and
            where it goes. Default: ``Plain()``, text and bytes in one queue.
        subprotocols: names offered in the opening handshake, besides the subprotocol's.
        classify: judges outcomes before the subprotocol and the default do.
        wait: a tenacity ``wait`` object: the backoff.
        stop: a tenacity ``stop`` object: when to give up.
        first: "wait" returns from entering at the first OPEN and retries until then;
            "raise" raises any first failure; "background" returns at once.
        open_timeout: seconds for provider, DNS, TCP, TLS and upgrade together.
        prepare_timeout: seconds for ``on_connect``, hello and replay; None: as that.
        recv_timeout: seconds without a message until the connection is replaced.
        stable_after: seconds a connection must live, and be heard, to prove itself.
        ack_timeout: seconds for the server to acknowledge a subscription.
        slow_timeout: seconds our queues may hold up reading.
        max_retry_after: seconds a server may make us wait at most.
        close_timeout, ping_interval, ping_timeout, write_timeout, max_message_size,
            limits, compression, tls, origin, user_agent, dial, random: as for
            :func:`wsclient.connect`.

    Raises:
        ArgumentError: at the call, for what cannot be used.

    """

    def __init__(
        self,
        url: URL,
        *,
        headers: Headers = (),
        on_connect: OnConnect | None = None,
        subprotocol: Callable[[], Subprotocol[T]] | None = None,
        subprotocols: Sequence[str] = (),
        classify: Classify | None = None,
        wait: Wait | None = None,
        stop: Stop = stop_never,
        first: Literal["wait", "raise", "background"] = "wait",
        open_timeout: float | None = 10,
        prepare_timeout: float | None = None,
        recv_timeout: float | None = None,
        stable_after: float = 10,
        ack_timeout: float = 10,
        slow_timeout: float | None = 60,
        max_retry_after: float = 300,
        close_timeout: float | None = 5,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        write_timeout: float | None = 30,
        max_message_size: int | None = 2**20,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        compression: str | Deflate | None = "deflate",
        tls: Any = None,
        origin: str | None = None,
        user_agent: str | None = "wsclient",
        dial: Dial | None = None,
        random: Dice = DICE,
    ) -> None:
        factory: Any = subprotocol or Plain()
        offered = _names_of(factory)
        if isinstance(subprotocols, str):
            raise ArgumentError(f"subprotocols is a str: give [{subprotocols!r}]")
        offered += [name for name in subprotocols if name not in offered]
        self._opening = Opening(
            url,
            headers=headers,
            subprotocols=offered,
            origin=origin,
            user_agent=user_agent,
            tls=tls,
            deflate=deflate_of(compression),
            open_timeout=open_timeout,
            timeouts=Timeouts(
                close_timeout=close_timeout,
                ping_interval=ping_interval,
                ping_timeout=ping_timeout,
                write_timeout=write_timeout,
            ),
            max_message_size=max_message_size,
            limits=limits,
            dial=dial,
            random=bytes_of(random),
            uniform=random.uniform,
        )
        if callable(on_connect):
            what = "the conversation, as in: async def login(conversation): ..."
            takes_one("on_connect", on_connect, what)
        self._name = f"client #{next(numbers)}"
        super().__init__(
            self._attempt,
            factory,
            on_connect=on_connect,
            classify=classify,
            wait=wait or FullJitter(random=random),
            stop=stop,
            first=first,
            open_timeout=open_timeout,
            prepare_timeout=prepare_timeout,
            stable_after=stable_after,
            recv_timeout=recv_timeout,
            ack_timeout=ack_timeout,
            slow_timeout=slow_timeout,
            max_retry_after=max_retry_after,
            max_messages=limits.max_queue,
            max_bytes=limits.max_queue_bytes,
            max_total_bytes=limits.max_client_bytes,
            max_queued=limits.max_queued_sends,
            max_queued_bytes=limits.max_queue_bytes,
            has_provider=self._opening.has_provider,
            uniform=random.uniform,
            logger=_Named(logging.getLogger("wsclient.client"), {"name": self._name}),
        )

    def _attempt(self, attempt: Attempt) -> Connecting:
        name = f"{self._name} generation {attempt.generation}"
        return Connecting(self._opening, attempt, name)

    def __repr__(self) -> str:
        return f"<Client {self._name} {self.state} generation={self.generation}>"


def _names_of(factory: Any) -> list[str]:
    """Return the names that a subprotocol is offered by."""
    if factory is JsonTopics or factory is Plain:
        raise ArgumentError(f"subprotocol={factory.__name__}: call it, as in Plain()")
    if not callable(factory):
        raise ArgumentError(
            f"subprotocol={factory!r}: give something that makes a Subprotocol, such"
            " as JsonTopics() or a class"
        )
    names = getattr(factory, "names", None)  # a class tells without being called
    if names is None:
        made: Any = factory()
        names = made.names
    return list(names)


class _Named(logging.LoggerAdapter[logging.Logger]):
    """Says in each line which client it is about."""

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        return f"{(self.extra or {})['name']} {msg}", kwargs
