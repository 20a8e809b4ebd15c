"""``connect()``: one connection, one life."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

from ..attempt import Attempt
from ..connection import DICE, Connection, Dice, Timeouts, bytes_of
from ..errors import ConcurrencyError
from ..protocol import Deflate, Limits, deflate_of
from ..wire import Dial
from .opening import Headers, Opening

__all__ = ("Connecting", "connect")


class Connecting:
    """What :func:`connect` returns: enter it to connect, leave it to close."""

    __slots__ = ("_attempt", "_connection", "_name", "_opening")

    def __init__(
        self, opening: Opening, attempt: Attempt | None = None, name: str = "client"
    ) -> None:
        self._opening: Opening | None = opening
        self._attempt = attempt
        self._name = name
        self._connection: Connection | None = None

    async def __aenter__(self) -> Connection:
        opening, self._opening = self._opening, None
        if opening is None:
            raise ConcurrencyError("one connect() is one connection: call it again")
        attempt = self._attempt or opening.first()
        connection = await opening.open(attempt, self._name)
        self._connection = await connection.__aenter__()
        return connection

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._connection is not None
        await self._connection.__aexit__(exc_type, exc, traceback)


def connect(
    url: str,
    *,
    headers: Headers = (),
    subprotocols: Sequence[str] = (),
    origin: str | None = None,
    user_agent: str | None = "wsclient",
    compression: str | Deflate | None = "deflate",
    tls: Any = None,
    open_timeout: float | None = 10,
    close_timeout: float | None = 5,
    ping_interval: float | None = 20,
    ping_timeout: float | None = 20,
    write_timeout: float | None = 30,
    slow_timeout: float | None = None,
    max_message_size: int | None = 2**20,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    dial: Dial | None = None,
    random: Dice = DICE,
) -> Connecting:
    """
    Open one WebSocket connection: ``async with connect(url) as ws``.

    Leaving the context does the closing handshake: 1000, or 1001 if an exception
    leaves; cancelled, it ends at once. For a conversation that outlives its connections
    use :class:`wsclient.Client`.

    Args:
        url: ``ws://`` or ``wss://``; a user in it becomes Basic authorization.
        headers: extra request headers, as a mapping or as pairs.
        subprotocols: offered in this order.
        origin: the value of ``Origin``; browsers send one, others need not.
        user_agent: the value of ``User-Agent``; None sends none.
        compression: "deflate", :class:`Deflate` with settings, or None (RFC 7692).
        tls: an ``ssl.SSLContext`` for ``wss://``; None takes the system's defaults.
        open_timeout: seconds for DNS, TCP, TLS and upgrade together.
        close_timeout: seconds for all of closing.
        ping_interval: seconds between pings; None sends none.
        ping_timeout: seconds beyond ``ping_interval`` that the peer may be silent.
        write_timeout: seconds that a write may make no progress.
        slow_timeout: seconds that our full queue may stay full; None: for ever.
        max_message_size: bytes of one message received, decompressed; None: no limit.
        limits: everything else that is bounded.
        dial: opens the wire; for tests and unusual networks.
        random: a ``random.Random``; for tests that repeat themselves.

    Every timeout may be None: no limit.

    Raises:
        ArgumentError: at the call, for what cannot be used.
        ConnectError: on entering: a kind of it that says what failed and in which
            phase.

    """
    return Connecting(
        Opening(
            url,
            headers=headers,
            subprotocols=subprotocols,
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
                slow_timeout=slow_timeout,
            ),
            max_message_size=max_message_size,
            limits=limits,
            dial=dial,
            random=bytes_of(random),
            uniform=random.uniform,
        )
    )
