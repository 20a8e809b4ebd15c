"""One attempt: ask the providers, dial, do the opening handshake, in one budget."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import anyio

from ..connection import Connection, Timeouts
from ..errors import (
    ArgumentError,
    AttemptTimeout,
    ConnectError,
    Facts,
    GiveUp,
    Phase,
    Reason,
    WebSocketError,
    seconds,
)
from ..protocol import (
    URI,
    Deflate,
    Endpoint,
    Limits,
    Role,
    check_header,
    check_subprotocol,
    parse_uri,
)
from ..supervisor.seam import Attempt
from ..wire import Dial, Wire

__all__ = ("HeaderValues", "Headers", "Opening", "URL")

T = TypeVar("T")

HeaderValues = Mapping[str, str] | Sequence[tuple[str, str]]
Headers = HeaderValues | Callable[[Attempt], HeaderValues | Awaitable[HeaderValues]]
"""Extra request headers, or who is asked for them at each attempt."""

URL = str | Callable[[Attempt], str | Awaitable[str]]
"""A ``ws://`` or ``wss://`` URL, or who is asked for it at each attempt."""


class Opening:
    """
    All that is needed to open a connection, checked once, used for each attempt.

    Raises:
        ArgumentError: an argument cannot be used; the text says which and why.

    """

    def __init__(
        self,
        url: URL,
        *,
        headers: Headers,
        subprotocols: Sequence[str],
        origin: str | None,
        user_agent: str | None,
        tls: Any,
        deflate: Deflate | None,
        open_timeout: float | None,
        timeouts: Timeouts,
        max_message_size: int | None,
        limits: Limits,
        dial: Dial | None,
        random: Callable[[int], bytes],
        uniform: Callable[[float, float], float],
    ) -> None:
        self._url = _checked_provider("url", url)
        self._headers = _checked_provider("headers", headers)
        if isinstance(url, str) and not parse_uri(url).secure and tls is not None:
            raise ArgumentError("tls is given for a ws:// URL; write wss://")
        if not callable(headers):
            _pairs(headers)
        for name in subprotocols:
            check_subprotocol(name)
        if origin is not None:
            check_header("Origin", origin)
        if user_agent is not None:
            check_header("User-Agent", user_agent)
        self._origin = origin
        self._user_agent = user_agent
        self._tls = tls
        self._open_timeout = seconds("open_timeout", open_timeout)
        self._dial = dial
        self._new_endpoint = partial(
            Endpoint,
            Role.CLIENT,
            max_message_size=max_message_size,
            limits=limits,
            deflate=deflate,
            random=random,
            subprotocols=tuple(subprotocols),
        )
        self._new_connection = partial(
            Connection, timeouts=timeouts, limits=limits, uniform=uniform
        )

    @property
    def has_provider(self) -> bool:
        """Whether the URL or the headers may be others at the next attempt."""
        return callable(self._url) or callable(self._headers)

    def first(self) -> Attempt:
        """Return the attempt of a connection that nobody supervises."""
        deadline = anyio.current_time() + (self._open_timeout or float("inf"))
        return Attempt(generation=1, number=1, last_outcome=None, deadline=deadline)

    async def open(self, attempt: Attempt, name: str) -> Connection:
        """
        Return a connection whose opening handshake is complete, not yet entered.

        Cancelled, it leaves nothing open.

        Raises:
            AttemptTimeout: ``open_timeout`` has passed; the phase says where.
            ConnectError: this attempt failed; its kind says how.
            GiveUp: a provider says that it is of no use.

        """
        run = _Run()
        with anyio.move_on_after(self._open_timeout) as scope:
            try:
                return await self._open(attempt, name, run)
            except BaseException:
                if run.wire is not None:
                    run.wire.abort()
                raise
        assert scope.cancelled_caught
        raise AttemptTimeout(
            Facts(
                reason=Reason.OPEN_TIMEOUT,
                phase=run.phase,
                host=run.host,
                detail=f"not open within {self._open_timeout} s",
            )
        )

    async def _open(self, attempt: Attempt, name: str, run: _Run) -> Connection:
        uri = parse_uri(await self._ask("url", self._url, attempt))
        headers = _pairs(await self._ask("headers", self._headers, attempt))
        run.host = uri.authority
        wire = run.wire = await self._dial_to(uri, run)
        run.phase = Phase.UPGRADE
        endpoint = self._new_endpoint()
        connection = self._new_connection(wire, endpoint, host=uri.authority, name=name)
        request = endpoint.connect(
            uri, headers=headers, origin=self._origin, user_agent=self._user_agent
        )
        await connection.open(request)
        return connection

    async def _dial_to(self, uri: URI, run: _Run) -> Wire:
        if self._dial is None:
            from ..transport import dial  # lazily: a network of one's own needs no ssl

            self._dial = dial
        tls = None
        if uri.secure:
            if self._tls is None:
                from ssl import create_default_context

                self._tls = create_default_context()
            tls = self._tls
        return await self._dial(uri.host, uri.port, tls=tls, reached=run.reached)

    async def _ask(
        self,
        name: str,
        value: T | Callable[[Attempt], T | Awaitable[T]],
        attempt: Attempt,
    ) -> T:
        """Return the value, or what its provider says for this attempt."""
        if not callable(value):
            return value
        try:
            answer = value(attempt)
            if inspect.isawaitable(answer):
                return await answer
            return answer
        except (GiveUp, WebSocketError):
            raise
        except Exception as exc:
            facts = Facts(
                reason=Reason.LOCAL,
                phase=Phase.PROVIDER,
                detail=f"the provider of {name} raised {exc!r}",
            )
            raise ConnectError(facts) from exc


class _Run:
    """How far one attempt has come."""

    def __init__(self) -> None:
        self.phase = Phase.PROVIDER
        self.host = ""
        self.wire: Wire | None = None

    def reached(self, phase: str) -> None:
        """Take a phase from who dials."""
        self.phase = Phase(phase)


def _checked_provider(name: str, value: T) -> T:
    """Refuse a provider that does not take exactly one attempt."""
    if callable(value):
        try:
            inspect.signature(value).bind(None)
        except TypeError:
            raise ArgumentError(
                f"{name} is a callable that does not take one argument; it is called"
                " with an Attempt, as in: async def fresh_token(attempt): ..."
            ) from None
    return value


def _pairs(headers: object) -> list[tuple[str, str]]:
    """Return headers as checked pairs."""
    if isinstance(headers, Mapping):
        headers = headers.items()
    if not isinstance(headers, Iterable) or isinstance(headers, str | bytes):
        raise ArgumentError("headers are a mapping, or pairs of name and value")
    pairs: list[tuple[str, str]] = []
    for pair in headers:
        match pair:
            case (str(name), str(value)):
                check_header(name, value)
                pairs.append((name, value))
            case _:
                raise ArgumentError(f"a header is a pair of str, not {pair!r}")
    return pairs
