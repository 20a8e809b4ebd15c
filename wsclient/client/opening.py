"""One attempt: ask the providers, dial, do the opening handshake, in one budget."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import anyio

from ..attempt import Attempt
from ..connection import Connection, Timeouts
from ..errors import (
    ArgumentError,
    AttemptTimeout,
    ConnectError,
    Facts,
    GiveUp,
    HandshakeRejected,
    Initiator,
    Phase,
    Reason,
    seconds,
)
from ..protocol import (
    URI,
    Deflate,
    Endpoint,
    Limits,
    Rejection,
    Role,
    check_header,
    parse_uri,
)
from ..wire import Dial, Wire

__all__ = ("URL", "HeaderValues", "Headers", "Opening", "takes_one")

T = TypeVar("T")

_SOME = parse_uri("ws://localhost/")
"""Stands for a URL that nobody has told yet."""

_Written = tuple[URI, Endpoint, bytes]
"""Where a request goes, the endpoint that takes its answer, and itself."""

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
        # Each is known now, or somebody is asked for it at each attempt.
        self._url = _provider("url", url) if callable(url) else parse_uri(url)
        self._headers = (
            _provider("headers", headers) if callable(headers) else _pairs(headers)
        )
        self._origin = origin
        self._user_agent = user_agent
        self._tls = _checked_tls(tls)
        self._default_tls: object | None = None
        self._open_timeout = seconds("open_timeout", open_timeout)
        if dial is not None and not callable(dial):
            raise ArgumentError(f"dial is {dial!r}; give an async function, see Dial")
        if not isinstance(limits, Limits):
            raise ArgumentError(f"limits is {limits!r}; give Limits(...)")
        self._dial = dial
        self._new_endpoint = partial(
            Endpoint,
            Role.CLIENT,
            max_message_size=max_message_size,
            hold_oversized=True,
            limits=limits,
            deflate=deflate,
            random=random,
            subprotocols=subprotocols,
        )
        self._new_connection = partial(
            Connection, timeouts=timeouts, limits=limits, uniform=uniform
        )
        self._first: _Written | None = self._rehearse()

    def _rehearse(self) -> _Written | None:
        """
        Write a request at the call, which tells what is wrong with one.

        It is that of the first attempt, unless a provider has a say in it.

        """
        if callable(self._url):
            uri = _SOME
        else:
            uri = self._url
            self._check_tls_is_used(uri)
        written = self._write(uri, () if callable(self._headers) else self._headers)
        return None if self.has_provider else written

    def _write(self, uri: URI, headers: Sequence[tuple[str, str]]) -> _Written:
        endpoint = self._new_endpoint()
        request = endpoint.connect(
            uri, headers=headers, origin=self._origin, user_agent=self._user_agent
        )
        return uri, endpoint, request

    def _check_tls_is_used(self, uri: URI) -> None:
        if self._tls is not None and not uri.secure:
            raise ArgumentError(f"tls is given, but {uri} has none: write wss://")

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
                    with anyio.CancelScope(shield=True):
                        await run.wire.aclose()  # a foreign stream cannot do it at once
                raise
        assert scope.cancelled_caught
        detail = f"not open within {self._open_timeout:g} s"
        raise run.rejection() or AttemptTimeout(run.facts(Reason.OPEN_TIMEOUT, detail))

    async def _open(self, attempt: Attempt, name: str, run: _Run) -> Connection:
        uri, endpoint, request = self._first or await self._asked(attempt)
        self._first = None
        run.host = uri.authority
        wire = run.wire = await self._dial_to(uri, run)
        run.phase = Phase.UPGRADE
        run.endpoint = endpoint
        # Now: with the last record of the TLS handshake more may have come.
        connection = self._new_connection(wire, endpoint, host=uri.authority, name=name)
        await connection.open(request)
        return connection

    async def _asked(self, attempt: Attempt) -> _Written:
        """Write the request of an attempt, whose providers are asked now."""
        uri, headers = self._url, self._headers
        if callable(uri):
            uri = parse_uri(await self._ask("url", uri, attempt))
            self._check_tls_is_used(uri)
        if callable(headers):
            headers = _pairs(await self._ask("headers", headers, attempt))
        return self._write(uri, headers)

    async def _dial_to(self, uri: URI, run: _Run) -> Wire:
        if self._dial is None:
            from ..transport import dial  # lazily: a network of one's own needs no ssl

            self._dial = dial
        tls = self._tls
        if uri.secure and tls is None:
            if self._default_tls is None:
                from ssl import create_default_context

                self._default_tls = create_default_context()
            tls = self._default_tls
        try:
            return await self._dial(uri.host, uri.port, tls=tls, reached=run.reached)
        except ConnectError:
            raise
        except OSError as exc:  # a dial of the user's may not know
            detail = f"dialling failed: {exc}"
            raise ConnectError(run.facts(Reason.REFUSED, detail)) from exc

    async def _ask(
        self,
        name: str,
        provider: Callable[[Attempt], T | Awaitable[T]],
        attempt: Attempt,
    ) -> T:
        """Return what a provider says for this attempt."""
        try:
            answer: Any = provider(attempt)
            given: T = await answer if inspect.isawaitable(answer) else answer
            return given
        except GiveUp:
            raise
        except Exception as exc:
            detail = f"the provider of {name} raised {exc!r}"
            facts = Facts(reason=Reason.LOCAL, phase=Phase.PROVIDER, detail=detail)
            raise ConnectError(facts) from exc


class _Run:
    """How far one attempt has come."""

    def __init__(self) -> None:
        self.phase = Phase.PROVIDER
        self.host = ""
        self.wire: Wire | None = None
        self.endpoint: Endpoint | None = None

    def facts(
        self, reason: Reason, detail: str, initiator: Initiator = Initiator.NOBODY
    ) -> Facts:
        """Say how far it came."""
        return Facts(
            reason=reason,
            phase=self.phase,
            host=self.host,
            initiator=initiator,
            detail=detail,
        )

    def rejection(self) -> HandshakeRejected | None:
        """Return the refusal whose body never ended, if there is one, with its part."""
        match self.endpoint.receive_eof() if self.endpoint else ():
            case [Rejection(status=status, headers=headers, body=body)]:
                text = f"the server refused the upgrade with HTTP {status}"
                facts = self.facts(Reason.REJECTED, text, Initiator.PEER)
                return HandshakeRejected(
                    facts, status=status, headers=headers, body=body
                )
        return None

    def reached(self, phase: str) -> None:
        """Take a phase from who dials."""
        self.phase = Phase(phase)


def _provider(name: str, function: Callable[[Attempt], T]) -> Callable[[Attempt], T]:
    """Refuse a provider that does not take exactly one attempt."""
    takes_one(name, function, "an Attempt, as in: async def fresh_token(attempt): ...")
    return function


def takes_one(name: str, function: Callable[..., object], what: str) -> None:
    """
    Refuse a function that does not take exactly one argument.

    Raises:
        ArgumentError: it does not; ``what`` says what it is called with.

    """
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        raise ArgumentError(
            f"{name} is a callable that does not take one argument; it is called with"
            f" {what}"
        ) from None
    except ValueError:
        pass  # a callable in C that does not tell


def _checked_tls(tls: object) -> object:
    """Refuse what is no context for a client."""
    if tls is None:
        return None
    from ssl import PROTOCOL_TLS_SERVER, SSLContext  # lazily: plain needs no ssl

    if not isinstance(tls, SSLContext):
        raise ArgumentError(
            f"tls is {tls!r}; give an ssl.SSLContext, or None for the system's defaults"
        )
    if tls.protocol is PROTOCOL_TLS_SERVER:
        raise ArgumentError(
            "tls is a context for servers; make it with ssl.create_default_context()"
        )
    return tls


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
