"""
Writes the seeds of the corpus: what each one says stands here, its name is its story.

``python -m tests.fuzz.seeds`` writes ``corpus/TARGET/NAME``. Files that are called
``found-...`` are not from here: a run found them, each broke something once.

"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

from wsclient.protocol import Role

from .shared import ACCEPT, CHOICES, Setup, frame

CORPUS = Path(__file__).resolve().parent / "corpus"

_, NARROW = CHOICES["limits"]
_, DEFLATE, BARE, TIGHT, WIDE = CHOICES["deflate"]
ONE_BY_ONE: dict[str, Any] = {"first": 1, "then": 1}
IN_HALVES: dict[str, Any] = {"first": 9, "then": 256}


def to_client(*parts: bytes, **options: Any) -> bytes:
    """What a server sends, behind the options."""
    return Setup(role=Role.CLIENT, **options).pack() + b"".join(parts)


def to_server(*parts: bytes, **options: Any) -> bytes:
    """What a client sends, behind the options."""
    return Setup(role=Role.SERVER, **options).pack() + b"".join(parts)


def text(payload: bytes, **options: Any) -> bytes:
    """A text frame of a server."""
    return frame(1, payload, to=Role.CLIENT, **options)


def more(payload: bytes, **options: Any) -> bytes:
    """A continuation of a server's."""
    return frame(0, payload, to=Role.CLIENT, **options)


def control(opcode: int, payload: bytes = b"", **options: Any) -> bytes:
    """A control frame of a server."""
    return frame(opcode, payload, to=Role.CLIENT, **options)


def masked(opcode: int, payload: bytes = b"", **options: Any) -> bytes:
    """A frame of a client."""
    return frame(opcode, payload, to=Role.SERVER, **options)


# RFC 6455, section 5.7, and RFC 7692, section 7.2.3.
HELLO = bytes.fromhex("8105 48656c6c6f")
HELLO_MASKED = bytes.fromhex("8185 37fa213d 7f9f4d5158")
HELLO_IN_TWO = bytes.fromhex("0103 48656c 8002 6c6f")
HELLO_COMPRESSED = bytes.fromhex("f248cdc9c90700")
AGAIN = bytes.fromhex("f200110000")  # the same with what stood before
STORED = bytes.fromhex("000500faff48656c6c6f00")
FINAL = bytes.fromhex("f348cdc9c9070000")
TWO_BLOCKS = bytes.fromhex("f248050000 00ffff cac9c90700")
LONG = text(b"x" * 200)

FRAMES = {
    "hello": to_client(HELLO),
    "hello-masked": to_server(HELLO_MASKED),
    "hello-in-two-frames": to_client(HELLO_IN_TWO),
    "hello-byte-by-byte": to_server(HELLO_MASKED, **ONE_BY_ONE),
    "hello-compressed-in-two-frames": to_client(
        frame(1, HELLO_COMPRESSED[:3], to=Role.CLIENT, fin=False, rsv1=True),
        more(HELLO_COMPRESSED[3:]),
        deflate=DEFLATE,
        peers_deflate=DEFLATE,
    ),
    "hello-compressed-unasked": to_client(text(HELLO_COMPRESSED, rsv1=True)),
    "a-compressed-ping": to_client(
        control(9, rsv1=True), deflate=DEFLATE, peers_deflate=DEFLATE
    ),
    "every-kind-of-message": to_server(
        masked(2, b"\x00\xff"), masked(1, "é€😀".encode()), masked(1), masked(2)
    ),
    "pings-inside-a-message": to_client(
        text(b"a", fin=False),
        *(control(9, b"1"), control(10, b"2"), more(b"b", fin=False)),
        *(control(9, b""), more(b"")),
        **IN_HALVES,
    ),
    "largest-ping-and-a-larger-one": to_server(
        masked(9, b"x" * 125), masked(9, b"x" * 126)
    ),
    "lengths-around-125": to_client(
        *(text(b"x" * size) for size in (125, 126, 127)), **IN_HALVES
    ),
    "lengths-not-in-the-fewest-bytes": to_client(b"\x81\x7e\x00\x05hello"),
    "length-of-125-in-three-bytes": to_client(b"\x81\x7e\x00\x7d" + b"x" * 125),
    "length-of-65535-in-nine-bytes": to_server(b"\x82\xff" + bytes(6) + b"\xff\xff"),
    "length-that-is-negative": to_client(b"\x82\x7f" + b"\xff" * 8),
    "length-that-never-comes": to_server(b"\x82\xff" + b"\x00\x00\x00\x7f" * 3),
    "one-byte-more-than-the-limit": to_client(
        text(b"x" * 16), text(b"y" * 17), size=16
    ),
    "too-much-in-fragments": to_client(
        text(b"x" * 10, fin=False), more(b"x" * 7), size=16, **ONE_BY_ONE
    ),
    "too-many-fragments": to_client(
        text(b"", fin=False), *[more(b"", fin=False)] * 3, limits=NARROW
    ),
    "too-many-pings-inside-a-message": to_server(
        masked(2, b"x", fin=False), *[masked(9, b"?")] * 3, limits=NARROW
    ),
    "no-utf-8-in-a-fragment-that-goes-on": to_client(
        text(b"ok \xf4\x90", fin=False), **ONE_BY_ONE
    ),
    "half-a-surrogate": to_client(text(b"\xed\xa0", fin=False), more(b"\x80")),
    "half-a-surrogate-that-goes-on": to_client(text(b"\xed\xa0", fin=False)),
    "a-character-cut-in-two": to_client(
        text(b"\xf0\x9f", fin=False), control(9), more(b"\x98\x80"), **ONE_BY_ONE
    ),
    "a-character-that-never-ends": to_server(masked(1, b"abc\xe2\x82")),
    "close-with-a-reason": to_client(control(8, b"\x0f\xa0bye"), HELLO),
    "close-without-a-code": to_server(masked(8)),
    "close-with-half-a-code": to_client(control(8, b"\x03")),
    "close-with-a-code-that-may-not-be": to_client(control(8, b"\x03\xed")),
    "close-with-a-reason-that-is-no-utf-8": to_client(control(8, b"\x03\xe8\xff")),
    "close-in-two-frames": to_client(control(8, b"\x03\xe8", fin=False)),
    "ping-and-close-are-answered": to_server(masked(9, b"?"), masked(8, b"\x03\xe9")),
    "messages-after-our-close": to_client(
        HELLO, control(9), control(8, b"\x03\xe8"), story="closing"
    ),
    "a-violation-after-our-close": to_client(HELLO, b"\x83\x00", story="closing"),
    "a-continuation-of-nothing": to_client(HELLO, more(b"x")),
    "a-message-inside-a-message": to_client(text(b"a", fin=False), HELLO),
    "reserved-bits-and-opcodes": to_client(b"\xb1\x00\x83\x00"),
    "not-masked-as-a-client-must": to_server(HELLO),
    "masked-as-a-server-must-not": to_client(HELLO_MASKED),
    "told-in-parts": to_client(
        text(b"one ", fin=False),
        more(b"\xe2", fin=False),
        more(b"\x82\xac"),
        LONG,
        story="told",
        **ONE_BY_ONE,
    ),
    "told-in-parts-beyond-the-limit": to_client(LONG, LONG, size=125, story="told"),
    "told-and-then-kept": to_client(
        text("€uro ".encode(), fin=False),
        more(b"and more"),
        HELLO,
        story="kept",
        **IN_HALVES,
    ),
    "told-and-then-dropped": to_server(
        masked(2, b"x" * 50, fin=False),
        masked(9),
        masked(0, b"y" * 50),
        masked(1, b"next"),
        story="dropped",
        **IN_HALVES,
    ),
    "dropped-beyond-the-limit": to_server(
        masked(2, b"x" * 10, fin=False),
        *[masked(0, b"y" * 10, fin=False)] * 2,
        masked(0),
        story="dropped",
        size=16,
        **IN_HALVES,
    ),
    "stopped-at-what-is-too-large": to_client(
        text(b"x" * 10, fin=False),
        control(9),
        more(b"y" * 7),
        HELLO,
        size=16,
        story="held",
        **IN_HALVES,
    ),
    "told-what-is-too-large": to_server(
        masked(1, b"x" * 20),
        masked(9),
        masked(2, b"y" * 10, fin=False),
        masked(0, b"z" * 10),
        masked(1, b"small"),
        size=16,
        story="spared",
        **IN_HALVES,
    ),
    "dropped-and-no-utf-8": to_client(
        text(b"a" * 20 + b"\xff" * 9), story="dropped", **IN_HALVES
    ),
}


def bomb(size: int, *, times: int = 1) -> bytes:
    """Zeros, compressed over and over as a raw stream without its tail."""
    data = bytes(size)
    for _ in range(times):
        data = deflated(data)
    return data


def deflated(data: bytes, *, bits: int = 15) -> bytes:
    """Compress a message (RFC 7692, 7.2.1)."""
    compressor = zlib.compressobj(wbits=-bits)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def fragment(payload: bytes, *, fin: bool = True, text: bool = False) -> bytes:
    """A fragment as the target reads it: flags, length, payload."""
    return bytes([fin | text << 1]) + len(payload).to_bytes(2, "big") + payload


FAR = deflated(bytes(range(256)) * 2 + b"\x01" * 300 + bytes(range(256)) * 8)

COMPRESSED = {
    "hello-and-again": to_client(
        fragment(HELLO_COMPRESSED, text=True), fragment(AGAIN, text=True), **ONE_BY_ONE
    ),
    "again-without-context": to_server(
        fragment(HELLO_COMPRESSED), fragment(AGAIN), deflate=TIGHT, peers_deflate=TIGHT
    ),
    "stored": to_client(fragment(STORED, text=True)),
    "final-block": to_client(fragment(FINAL, text=True), fragment(FINAL)),
    "two-blocks-in-fragments": to_server(
        fragment(TWO_BLOCKS[:4], fin=False, text=True), fragment(TWO_BLOCKS[4:])
    ),
    "nothing-in-many-fragments": to_client(
        *[fragment(b"", fin=False)] * 2, fragment(b""), fragment(b"\x00")
    ),
    "as-many-streams-as-may-be": to_client(fragment(b"\x03\x00" * 64)),
    "one-stream-too-many": to_client(fragment(b"\x03\x00" * 65)),
    "far-too-many-streams": to_client(fragment(b"\x03\x00" * 70)),
    "a-bomb": to_client(fragment(bomb(300_000)), size=1000),
    "a-bomb-in-fragments": to_server(
        fragment(bomb(300_000)[:100], fin=False),
        fragment(bomb(300_000)[100:]),
        size=125,
        **ONE_BY_ONE,
    ),
    "a-bomb-in-a-bomb": to_client(fragment(bomb(1_000_000, times=2)), size=16),
    "a-bomb-without-a-limit": to_client(fragment(bomb(200_000)), size=None),
    "a-bomb-told-in-parts": to_client(
        fragment(bomb(300_000)), size=16, story="told", **IN_HALVES
    ),
    "a-bomb-that-stops-reading": to_client(
        fragment(bomb(100_000)), size=125, story="held", **IN_HALVES
    ),
    "a-bomb-that-is-spared": to_client(
        fragment(bomb(100_000)),
        fragment(HELLO_COMPRESSED),
        size=125,
        story="spared",
        **IN_HALVES,
    ),
    "a-bomb-told-and-then-kept": to_client(
        fragment(bomb(300_000), text=True), story="kept", first=256, then=256
    ),
    "a-bomb-told-and-then-dropped": to_server(
        fragment(bomb(300_000)), size=70_000, story="dropped", first=256, then=256
    ),
    "exactly-the-limit": to_client(fragment(bomb(1000)), size=1000, **IN_HALVES),
    "one-byte-more": to_client(fragment(bomb(1001)), size=1000, **IN_HALVES),
    "corrupt-behind-a-bomb": to_client(fragment(bomb(5000) + b"\xff\xff"), size=1000),
    "no-utf-8": to_client(fragment(deflated(b"a\xff"), fin=False, text=True)),
    "half-a-character": to_client(
        fragment(deflated(b"\xe2\x82"), text=True), **ONE_BY_ONE
    ),
    "beyond-the-window": to_server(
        fragment(FAR), deflate=TIGHT, peers_deflate=TIGHT, **IN_HALVES
    ),
    "windows-of-every-size": to_client(
        fragment(FAR), fragment(FAR), deflate=BARE, peers_deflate=WIDE
    ),
    "block-of-a-kind-that-is-none": to_client(fragment(b"\x07")),
    "cut-off-inside-a-block": to_client(fragment(HELLO_COMPRESSED[:3])),
}


def lines(*lines: str, body: bytes = b"") -> bytes:
    """A head and what follows it."""
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def agreeing(*more: str, body: bytes = b"", status: str = "101 OK") -> bytes:
    """A 101 that answers our key."""
    return lines(
        f"HTTP/1.1 {status}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {ACCEPT}",
        *more,
        body=body,
    )


def extension(*parameters: str) -> str:
    """The header that offers compression or agrees to it."""
    return "Sec-WebSocket-Extensions: " + "; ".join(("permessage-deflate", *parameters))


EARLY_HINTS = lines("HTTP/1.1 103 Early Hints", "Link: </style.css>")

ANSWERS = {
    "agreed": to_client(agreeing()),
    "agreed-byte-by-byte-and-hello": to_client(agreeing(body=HELLO), **ONE_BY_ONE),
    "agreed-and-a-violation": to_client(agreeing(body=HELLO + b"\x83\x00")),
    "agreed-in-small-letters": to_client(
        agreeing().replace(b"Upgrade", b"upgrade").replace(b"Sec-WebSocket", b"SEC-WEB")
    ),
    "agreed-in-bare-line-feeds": to_client(agreeing().replace(b"\r\n", b"\n")),
    "agreed-on-a-subprotocol": to_client(
        agreeing("Sec-WebSocket-Protocol: chat"), subprotocols=("superchat", "chat")
    ),
    "a-subprotocol-nobody-offered": to_client(
        agreeing("Sec-WebSocket-Protocol: mqtt"), subprotocols=("chat",)
    ),
    "agreed-on-compression": to_client(
        agreeing(
            extension("server_max_window_bits=10", "client_max_window_bits=9"),
            body=text(HELLO_COMPRESSED, rsv1=True),
        ),
        deflate=DEFLATE,
        **IN_HALVES,
    ),
    "agreed-on-a-window-of-8": to_client(
        agreeing(extension("server_max_window_bits=8", "client_max_window_bits=8")),
        deflate=DEFLATE,
    ),
    "agreed-without-context": to_client(
        agreeing(
            extension(
                "server_no_context_takeover",
                "client_no_context_takeover",
                "server_max_window_bits=9",
            )
        ),
        deflate=TIGHT,
    ),
    "compression-nobody-offered": to_client(agreeing(extension())),
    "more-than-was-offered": to_client(
        agreeing(extension("server_no_context_takeover", "server_max_window_bits=10")),
        deflate=TIGHT,
    ),
    "a-limit-that-was-not-offered": to_client(
        agreeing(extension("client_max_window_bits=10")), deflate=BARE
    ),
    "an-extension-nobody-knows": to_client(
        agreeing("Sec-WebSocket-Extensions: x-webkit-deflate-frame"), deflate=DEFLATE
    ),
    "the-answer-to-another-key": to_client(
        agreeing().replace(ACCEPT.encode(), b"AAAA" + ACCEPT[4:].encode())
    ),
    "no-answer-to-our-key": to_client(
        lines("HTTP/1.1 101 OK", "Upgrade: websocket", "Connection: Upgrade")
    ),
    "two-answers-to-our-key": to_client(
        agreeing(f"Sec-WebSocket-Accept: {ACCEPT}"),
    ),
    "an-upgrade-to-something-else": to_client(
        agreeing().replace(b"websocket", b"h2c", 1)
    ),
    "http-1.0": to_client(agreeing().replace(b"1.1", b"1.0", 1)),
    "heads-before-the-head": to_client(
        lines("HTTP/1.1 100 Continue"), EARLY_HINTS, agreeing()
    ),
    "heads-without-end": to_client(EARLY_HINTS * 20, limits=NARROW),
    "header-upon-header": to_client(
        agreeing(*(f"X-{i}: y" for i in range(9))), limits=NARROW, **ONE_BY_ONE
    ),
    "as-many-headers-as-may-be": to_client(
        agreeing(*(f"X-{i}: y" for i in range(5))), limits=NARROW
    ),
    "one-header-too-many": to_client(
        agreeing(*(f"X-{i}: y" for i in range(6))), limits=NARROW
    ),
    "a-header-too-long": to_client(agreeing("X: " + "y" * 300), limits=NARROW),
    "a-header-that-never-ends": to_client(
        b"HTTP/1.1 101 OK\r\nX: " + b"y" * 700, limits=NARROW, **IN_HALVES
    ),
    "spaces-without-end": to_client(
        agreeing("X:" + " " * 600 + "y"), limits=NARROW, **IN_HALVES
    ),
    "a-line-that-goes-on": to_client(agreeing("X: a", " b"), **ONE_BY_ONE),
    "rejected-with-a-body": to_client(
        lines("HTTP/1.1 403 Forbidden", "Content-Length: 7", body=b"go away")
    ),
    "rejected-with-too-large-a-body": to_client(
        lines("HTTP/1.1 503 Busy", "Content-Length: 90", body=b"x" * 90),
        limits=NARROW,
        **IN_HALVES,
    ),
    "rejected-in-chunks": to_client(
        lines("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"),
        b"5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nX: y\r\n\r\n",
        **ONE_BY_ONE,
    ),
    "rejected-in-bad-chunks": to_client(
        lines("HTTP/1.1 200 OK", "Transfer-Encoding: chunked"),
        b"5\r\nhello\r\nzz\r\n",
    ),
    "rejected-up-to-the-end": to_client(
        lines("HTTP/1.1 401 Unauthorized", "WWW-Authenticate: Basic", body=b"who?"),
        story="eof",
    ),
    "rejected-and-cut-off": to_client(
        lines("HTTP/1.1 500 Oops", "Content-Length: 50", body=b"sor"), story="eof"
    ),
    "sent-elsewhere": to_client(
        lines("HTTP/1.1 302 Found", "Location: ws://h/", "Content-Length: 0")
    ),
    "nothing-at-all": to_client(story="eof"),
    "an-alert-of-tls": to_client(b"\x15\x03\x01\x00\x02\x02\x28"),
    "another-protocol": to_client(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "no-status": to_client(b"HTTP/1.1 \r\n\r\n"),
}

KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="


def asking(
    *more: str,
    start: str = "GET /chat?room=1 HTTP/1.1",
    key: str = KEY,
    version: str = "13",
    body: bytes = b"",
) -> bytes:
    """A request for a WebSocket."""
    return lines(
        start,
        "Host: example.com",
        "Upgrade: websocket",
        "Connection: keep-alive, Upgrade",
        key,
        f"Sec-WebSocket-Version: {version}",
        *more,
        body=body,
    )


def plainly(start: str, *more: str, body: bytes = b"", **options: Any) -> bytes:
    """A request for something else."""
    return to_server(lines(start, "Host: h", *more, body=body), **options)


REQUESTS = {
    "asked": to_server(asking()),
    "asked-byte-by-byte": to_server(asking("Origin: https://h"), **ONE_BY_ONE),
    "asked-as-a-browser-does": to_server(
        asking(
            "Origin: https://example.com",
            "User-Agent: Mozilla/5.0",
            "Cookie: a=b; c=d",
            "Sec-WebSocket-Protocol: chat, superchat",
            extension("client_max_window_bits"),
        ),
        deflate=DEFLATE,
        subprotocols=("superchat", "chat"),
    ),
    "asked-with-every-parameter": to_server(
        asking(
            extension(
                "server_no_context_takeover",
                "client_no_context_takeover",
                "server_max_window_bits=10",
                'client_max_window_bits="11"',
            )
        ),
        deflate=BARE,
    ),
    "asked-with-a-second-choice": to_server(
        asking(
            extension("server_max_window_bits=7"),
            extension("client_max_window_bits=8"),
            extension(),
        ),
        deflate=WIDE,
    ),
    "asked-for-a-window-of-8": to_server(
        asking(extension("server_max_window_bits=8")), deflate=TIGHT
    ),
    "asked-and-did-not-wait": to_server(
        asking(body=HELLO_MASKED + masked(9)), **IN_HALVES
    ),
    "asked-and-did-not-wait-at-all": to_server(
        asking(body=masked(2, b"x" * 700)), limits=NARROW, **IN_HALVES
    ),
    "asked-and-rejected": to_server(asking(body=HELLO_MASKED), story="rejected"),
    "asked-in-bare-line-feeds": to_server(asking().replace(b"\r\n", b"\n")),
    "asked-with-a-bad-extension": to_server(
        asking("Sec-WebSocket-Extensions: a;;b"), deflate=DEFLATE
    ),
    "asked-with-a-bad-subprotocol": to_server(asking('Sec-WebSocket-Protocol: "a"')),
    "asked-for-another-version": to_server(asking(version="8")),
    "a-key-that-is-none": to_server(asking(key="Sec-WebSocket-Key: eHh4")),
    "two-keys": to_server(asking(KEY)),
    "no-upgrade": plainly("GET / HTTP/1.1", "Connection: close"),
    "an-upgrade-to-something-else": plainly(
        "GET / HTTP/1.1", "Upgrade: h2c", "Connection: Upgrade"
    ),
    "plain-http": plainly("GET /health HTTP/1.1", story="plain", **ONE_BY_ONE),
    "plain-http-of-which-only-the-head": plainly(
        "HEAD /health HTTP/1.1", story="plain"
    ),
    "a-head-where-none-is-wanted": plainly("HEAD / HTTP/1.1"),
    "a-body": plainly(
        "GET / HTTP/1.1", "Content-Length: 5", body=b"hello", story="plain"
    ),
    "a-body-in-chunks": plainly(
        "GET / HTTP/1.1", "Transfer-Encoding: chunked", body=b"0\r\n\r\n", story="plain"
    ),
    "two-lengths": plainly(
        "GET / HTTP/1.1", "Content-Length: 0", "Content-Length: 5", story="plain"
    ),
    "posted": plainly("POST / HTTP/1.1", "Content-Length: 0", story="plain"),
    "http-1.0": to_server(asking(start="GET / HTTP/1.0")),
    "http-2": to_server(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "a-target-that-is-no-path": to_server(asking(start="GET http://h/ HTTP/1.1")),
    "as-many-headers-as-may-be": to_server(
        asking(*(f"X-{i}: y" for i in range(3))), limits=NARROW
    ),
    "one-header-too-many": to_server(
        asking(*(f"X-{i}: y" for i in range(4))), limits=NARROW
    ),
    "a-target-too-long": to_server(
        asking(start=f"GET /{'x' * 300} HTTP/1.1"), limits=NARROW
    ),
    "header-upon-header": to_server(
        asking(*(f"X-{i}: y" for i in range(9))), limits=NARROW, **ONE_BY_ONE
    ),
    "spaces-without-end": to_server(
        asking("X:" + " " * 600 + "y"), limits=NARROW, **IN_HALVES
    ),
    "a-line-that-goes-on": to_server(asking("X: a", " b"), **ONE_BY_ONE),
    "a-space-before-the-colon": to_server(asking("X : a")),
    "no-host": to_server(lines("GET / HTTP/1.1", "Upgrade: websocket")),
    "two-hosts": to_server(asking("Host: other")),
    "a-hello-of-tls": to_server(bytes.fromhex("16030100a5010000a10303")),
    "a-name-that-is-no-latin-1": to_server("GET /é HTTP/1.1\r\n\r\n".encode()),
}


def values(*lines: str, settings: int = 1) -> bytes:
    """Lines of header values, behind the choice of settings."""
    return bytes([settings]) + "\n".join(lines).encode()


HEADERS = {
    "a-list-of-tokens": values("chat, superchat", " ,mqtt,, "),
    "what-a-browser-offers": values("permessage-deflate; client_max_window_bits"),
    "every-parameter": values(
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
        'server_max_window_bits="10";client_max_window_bits = 11',
        settings=2,
    ),
    "a-second-choice": values(
        "permessage-deflate; server_max_window_bits=7", "permessage-deflate", settings=3
    ),
    "a-parameter-twice": values(
        "permessage-deflate; client_max_window_bits; client_max_window_bits=9"
    ),
    "a-size-with-a-zero-before-it": values(
        "permessage-deflate; server_max_window_bits=09", settings=4
    ),
    "capital-letters": values("PerMessage-Deflate; Server_Max_Window_Bits=9"),
    "a-window-larger-than-offered": values(
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=10",
        settings=3,
    ),
    "a-limit-that-was-not-offered": values(
        "permessage-deflate; client_max_window_bits=10", settings=2
    ),
    "nothing-but-commas": values(" , ,", "\t,", settings=0),
    "quoted": values(r'a; b="\c\d"; e=f, g'),
    "quotes-that-never-end": values('a; b="c'),
    "semicolons-without-end": values("a" + ";" * 50),
    "a-header-of-the-user": values("X-Token: abc"),
    "a-header-that-is-ours": values("Upgrade: h2c"),
    "a-header-that-breaks-the-head": values("X: a\r\nEvil: b"),
    "a-header-with-spaces-around": values("X: a "),
    "a-header-beyond-latin-1": values("X:€"),
    "a-header-in-latin-1": values("X:é"),
    "a-host": values("Host:other"),
    "the-name-of-a-subprotocol": values("graphql-transport-ws"),
    "a-name-with-a-delete": values("a\x7f"),
}

URIS = {
    "http-instead": b"https://example.com",
    "nothing": b"",
    "plain": b"example.com/chat?room=1",
    "tls": b"wss://example.com",
    "a-port": b"h:8080/",
    "the-default-port": b"wss://h:443/x",
    "port-0": b"h:0",
    "a-port-too-large": b"h:65536",
    "user-and-password": b"wss://al%40ice:s%C3%A9same@example.com/x",
    "a-colon-in-the-user": b"a%3Ab:c@h",
    "a-password-with-an-at": b"@c@h/?d@e",
    "a-fragment": b"h/#top",
    "a-space": b"h/a b",
    "an-address": b"[::1]:9/x",
    "an-address-with-a-zone": b"[fe80::1%25eth0]/",
    "an-address-of-the-future": b"[v1.x]",
    "brackets-around-nothing": b"[]",
    "beyond-ascii": "bücher.de/ü?ä=€".encode(),
    "letters-that-look-like-others": "\uff45\uff58\uff0e\u217dom".encode(),
    "an-ideographic-full-stop": "例え。テスト".encode(),
    "letters-from-right-to-left": "אב.com".encode(),
    "a-host-too-long": b"a" * 64,
    "dots-in-a-row": b"a..b",
    "a-query-and-no-path": b"h?x=1",
    "a-path-of-dots": b"h/../..//",
    "percent-signs": b"h/%zz%41%2f%",
    "a-backslash": b"h\\@other/",
    "a-surrogate": b"h/\xed\xb2\x80",
    "not-utf-8": b"h/\xff",
}

SEEDS: dict[str, dict[str, bytes]] = {
    "deflate": COMPRESSED,
    "frames": FRAMES,
    "handshake_client": ANSWERS,
    "handshake_server": REQUESTS,
    "headers": HEADERS,
    "uris": URIS,
}


def main() -> None:
    """Write the seeds anew; what was found stays."""
    for target, seeds in SEEDS.items():
        folder = CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            if not path.name.startswith("found-"):
                path.unlink()
        for name, seed in seeds.items():
            (folder / name).write_bytes(seed)


if __name__ == "__main__":
    main()
