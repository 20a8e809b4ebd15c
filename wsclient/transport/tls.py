"""TLS as a wire over a wire."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import anyio
from anyio.streams.tls import TLSAttribute

from ..errors import CertificateError, ConnectError, Facts, Phase, Reason
from ..wire import Feed, Lost, Spawn, Timer, Wire
from .sockets import text_of

__all__ = ("TLSWire", "secure")

_RECORD = 16384  # bytes of plain text in a record at most (RFC 8446, 5.1)
_FULL = 131_072  # bytes of plain text that are fed at once, and a record
_AT_ONCE = 1_048_576  # bytes encrypted by one call, which can take no more than 2 GiB

# Where plain text lies between decrypting and feeding. Who decrypts takes one for as
# long: inside a feed another wire may be decrypting, in its thread or below this one.
_BUFFERS: list[memoryview] = []


def _nothing(_: object = None) -> None:
    """Stand where a callback was, after the end."""


class TLSWire:
    """
    TLS over any wire; TLS over itself too.

    Records are made whole in :meth:`write` and handed down whole, so that no
    cancellation can tear one. What a peer's close_notify ends is an EOF; an EOF
    without it is told as ``lost(ssl.SSLEOFError)``, for the connection above to
    judge.

    Args:
        inner: the wire below; from now on this one's.
        context: the settings.
        server_hostname: the name that is asked for and verified; client side only.
        server_side: whether this is the server.

    Raises:
        ValueError: the context wants a name and there is none, or it is none.

    """

    def __init__(
        self,
        inner: Wire,
        context: ssl.SSLContext,
        server_hostname: str | None = None,
        server_side: bool = False,
    ) -> None:
        self.pulled = inner.pulled
        self._inner = inner
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=server_side,
            server_hostname=server_hostname,
        )
        self._server_side = server_side
        self._feed: Feed = _nothing
        self._lost: Lost = _nothing
        self._drained: Callable[[], None] = _nothing
        self._started = False
        self._news = False  # what pump() or handshake() waits for has come
        self._behind = False  # a write returned False
        self._no_more = False  # EOF below
        self._failure: Exception | None = None  # lost below
        self._silent = False  # nothing will be fed any more
        self._half_closed = False  # by us; said when no record waits to be read
        self._decrypting = False
        self._over = False
        self._owed = bytearray()  # plain text that has to wait for the peer
        self._paid = anyio.Event()

    def __repr__(self) -> str:
        return f"<TLSWire over {self._inner!r}>"

    async def handshake(self) -> None:
        """
        Do the opening handshake, before :meth:`start`.

        However it does not succeed, the wire has ended then.

        Raises:
            ssl.SSLCertVerificationError: the peer's certificate was not accepted.
            OSError: ``ssl.SSLError``, an EOF, or a failure of the wire below.

        """
        self._inner.start(self._fed, self._lost_below, self._drained_below)
        try:
            while not self._shake():
                await self._inner.flush()
                while not (self._news or self._over):
                    await self._inner.pump()
            await self._inner.flush()
        except ssl.SSLError:
            self._push()  # the alert that says why
            self._end()
            self._inner.finish()
            await self._let_go()
            raise
        except BaseException:
            self.abort()
            await self._let_go()
            raise
        # Until start() says who takes it, nothing more is read.
        self._inner.pause()

    async def _let_go(self) -> None:
        """A wire over a foreign stream has nobody yet to close it for it."""
        with anyio.CancelScope(shield=True):
            await self._inner.aclose()

    def _shake(self) -> bool:
        """Go one step; return whether the handshake is done."""
        if self._over:
            raise ConnectionAbortedError("the wire was closed in its handshake")
        self._news = False
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._push()
            if isinstance(self._failure, OSError):
                raise self._failure from None
            if self._failure is not None:  # a foreign stream has errors of its own
                raise ConnectionAbortedError(text_of(self._failure)) from self._failure
            if self._no_more:
                raise _ragged() from None
            return False
        self._push()
        return True

    # The Wire.

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        tls = self._tls
        secured: list[tuple[Any, Callable[[], Any]]] = [
            (TLSAttribute.alpn_protocol, tls.selected_alpn_protocol),
            (TLSAttribute.channel_binding_tls_unique, tls.get_channel_binding),
            (TLSAttribute.cipher, tls.cipher),
            (TLSAttribute.peer_certificate, lambda: tls.getpeercert(False)),
            (TLSAttribute.peer_certificate_binary, lambda: tls.getpeercert(True)),
            (TLSAttribute.server_side, lambda: self._server_side),
            (TLSAttribute.shared_ciphers, tls.shared_ciphers),
            (TLSAttribute.ssl_object, lambda: tls),
            (TLSAttribute.standard_compatible, lambda: True),
            (TLSAttribute.tls_version, tls.version),
        ]
        return {**self._inner.extra_attributes, **dict(secured)}

    def start(self, feed: Feed, lost: Lost, drained: Callable[[], None]) -> None:
        """Begin; what came with the handshake's last record is fed within this call."""
        self._feed = feed
        self._lost = lost
        self._drained = drained
        self._started = True
        self._decrypt()
        if not self._silent:
            self._inner.resume()

    def adopt(self, spawn: Spawn) -> None:
        self._inner.adopt(spawn)

    def time(self) -> float:
        return self._inner.time()

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        return self._inner.call_at(when, callback)

    def write(self, data: bytes) -> bool:
        if self._over:
            return True
        if self._owed or self._failure is not None or not self._encrypt(data):
            if self._failure is None:
                self._owed += data
            self._behind = True
            return False
        taken = self._inner.write(self._outgoing.read())
        self._behind = not taken
        return taken

    async def flush(self) -> None:
        while self._owed and not self._over:
            await self._paid.wait()
        await self._inner.flush()
        self._tell()

    async def pump(self) -> None:
        self._news = False
        while not (self._news or self._silent):
            if self._failure is not None:
                self._tell()
                return
            await self._inner.pump()

    def drain(self, limit: int) -> None:
        self._inner.drain(limit)

    def pause(self) -> None:
        """Stop reading; what was read already, one read, is still fed."""
        self._inner.pause()

    def resume(self) -> None:
        self._inner.resume()

    def widen(self, wide: bool) -> None:
        self._inner.widen(wide)

    @property
    def buffered(self) -> int:
        return len(self._owed) + self._inner.buffered

    def shutdown(self) -> None:
        if not (self._over or self._half_closed):
            self._half_closed = True
            if not self._decrypting:
                self._half_close()

    def finish(self) -> None:
        if not self._over:
            self._say_end()
            self._inner.finish()

    def abort(self) -> None:
        if not self._over:
            self._end()
            self._inner.abort()

    async def aclose(self) -> None:
        if not self._over:
            self._silent = True
            self._feed = self._lost = self._drained = _nothing
            try:
                await self.flush()
            except BaseException:
                self.abort()
                raise
            self._say_end()
        await self._inner.aclose()

    # What the wire below calls.

    def _fed(self, chunk: memoryview | None) -> None:
        if chunk is None:
            self._no_more = True
        else:
            self._incoming.write(chunk)
        if self._started:
            self._decrypt()
        else:
            self._news = True

    def _lost_below(self, error: Exception) -> None:
        self._failure = error
        self._news = True
        if self._started:
            self._tell()

    def _drained_below(self) -> None:
        if self._behind and not self._owed:
            self._behind = False
            self._drained()

    # Within.

    def _encrypt(self, data: bytes) -> bool:
        """Make records of it; False: not before the peer has spoken, or never."""
        try:
            if len(data) <= _AT_ONCE:
                self._tls.write(data)
                return True
            with memoryview(data) as view:
                for begin in range(0, len(data), _AT_ONCE):
                    self._tls.write(view[begin : begin + _AT_ONCE])
        except ssl.SSLWantReadError:
            # TLS 1.2 renegotiates. That begins between two calls, never within one.
            self._push()
            return False
        except ssl.SSLError as error:
            self._failure = error
            if not self.pulled:
                self.call_at(self.time(), self._tell)
            self._inner.finish()
            return False
        return True

    def _push(self) -> bool:
        """Hand down the records that were made."""
        if self._outgoing.pending:
            return self._inner.write(self._outgoing.read())
        return True

    def _decrypt(self) -> None:
        """Feed all whole records; then what ended the wire, if anything did."""
        half_closed = self._half_closed
        self._decrypting = True
        buffer = _BUFFERS.pop() if _BUFFERS else memoryview(bytearray(_FULL + _RECORD))
        while not self._silent and self._feed_some(buffer):
            pass
        _BUFFERS.append(buffer)
        self._decrypting = False
        if self._half_closed and not half_closed:
            self._half_close()
        if self._owed:
            self._pay()
        if self._outgoing.pending:  # answers to key updates and renegotiations, alerts
            self._push()
        if self._no_more and not self._silent and self._failure is None:
            self._failure = _ragged()
        if self._failure is not None:
            self._tell()

    def _feed_some(self, buffer: memoryview) -> bool:
        """
        Feed the records there are, as many in one as the buffer holds; the rest is due.

        A feed costs more than a small record does.

        """
        read: Any = self._tls.read  # which returns a count where it is given a buffer
        incoming = self._incoming
        size = 0
        more = ended = False
        failure: ssl.SSLError | None = None
        try:
            while not more:
                count = read(_RECORD, buffer[size:])
                if not count:
                    ended = True
                    break
                size += count
                if not incoming.pending:
                    break
                more = size > _FULL
        except ssl.SSLWantReadError:
            pass  # what there is of the last record is kept within
        except ssl.SSLZeroReturnError:
            ended = True
        except ssl.SSLError as error:
            failure = error
        if size:
            self._news = True
            self._feed(buffer[:size])
        if ended and not self._silent:
            self._hear_end()
        if failure is not None:
            self._failure = failure
        return more

    def _hear_end(self) -> None:
        """The peer says close_notify; we may go on speaking (RFC 8446, 6.1)."""
        self._silent = self._news = True
        self._feed(None)

    def _pay(self) -> None:
        """Encrypt what had to wait."""
        if self._owed and not self._over and self._encrypt(bytes(self._owed)):
            self._owed.clear()
            self._paid.set()
            self._paid = anyio.Event()
            if self._push():
                self._drained_below()

    def _tell(self) -> None:
        error = self._failure
        if error is not None and not self._over:
            lost = _nothing if self._silent else self._lost
            self._news = True
            self._end()
            self._inner.finish()
            lost(error)

    def _say_end(self) -> None:
        self._close_notify()
        self._push()
        self._end()

    def _half_close(self) -> None:
        """Say close_notify, then FIN; all records there are have been read."""
        if not self._over:
            self._close_notify()
            if self._push():
                self._inner.shutdown()

    def _close_notify(self) -> None:
        """Say close_notify, not waiting for the peer's (RFC 8446, 6.1)."""
        with suppress(ssl.SSLError):  # it wants the peer's, or there is no session yet
            self._tls.unwrap()

    def _end(self) -> None:
        self._over = self._silent = True
        self._feed = self._lost = self._drained = _nothing
        self._owed.clear()
        self._paid.set()


def _ragged() -> ssl.SSLEOFError:
    return ssl.SSLEOFError(
        ssl.SSLErrorNumber.SSL_ERROR_EOF, "the peer hung up without close_notify"
    )


async def secure(wire: Wire, context: object, *, host: str, dialled: str) -> Wire:
    """
    Do the TLS handshake of a client; whatever goes wrong, the wire has ended then.

    Args:
        wire: what to speak over.
        context: an ``ssl.SSLContext``.
        host: the name or address to ask for and to verify.
        dialled: host and port as errors tell them.

    Raises:
        CertificateError: the server's certificate was not accepted.
        ConnectError: the handshake failed otherwise.

    """
    assert isinstance(context, ssl.SSLContext), "tls is an ssl.SSLContext or None"
    try:
        # A final dot is the DNS's; certificates do not have it (RFC 6066, section 3).
        secured = TLSWire(wire, context, server_hostname=host.rstrip("."))
        await secured.handshake()
    except ssl.SSLCertVerificationError as error:
        detail = f"the certificate of {host} was not accepted: {error.verify_message}"
        raise CertificateError(_tls_facts(dialled, detail)) from error
    except (OSError, ValueError) as error:
        wire.abort()  # it may have failed before the handshake
        detail = f"the TLS handshake with {host} failed: {text_of(error)}"
        raise ConnectError(_tls_facts(dialled, detail)) from error
    return secured


def _tls_facts(dialled: str, detail: str) -> Facts:
    return Facts(reason=Reason.TLS, phase=Phase.TLS, host=dialled, detail=detail)
