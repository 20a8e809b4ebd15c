"""One client at the door: its request, our answer, and how it comes to nothing."""

from __future__ import annotations

import logging
import re
import ssl
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import pytest
import trustme

from wsclient.connection import Connection
from wsclient.errors import ArgumentError, NotSent
from wsclient.protocol import Request
from wsclient.server.admission import Admission
from wsclient.server.http import HTTPResponse, cookies
from wsclient.server.reception import LINGER
from wsclient.testing.clock import VIRTUAL_BACKENDS, virtual_backend
from wsclient.testing.wires import wire_pair
from wsclient.transport.stream import WireStream
from wsclient.transport.tls import TLSWire

from .support import KEY, Answer, request, rest, until, upgrade
from .visits import made, visiting


@pytest.fixture(params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return virtual_backend(request.param)


@pytest.fixture
def errors(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What was logged as an error, each once with its traceback."""

    def logged() -> list[str]:
        records = [r for r in caplog.records if r.levelno > logging.INFO]
        assert all(record.exc_info for record in records)
        return [str(record.exc_info[1]) for record in records if record.exc_info]

    return logged


async def told(data: bytes, **options: Any) -> Answer:
    """Say it all, and return the answer."""
    async with visiting(made(**options)) as visit:
        await visit.stream.send(data)
        if data.startswith(b"GET") and b"\r\nUpgrade: " in data:
            head = await until(visit.stream, b"\r\n\r\n")
            if b" 101 " in head:
                return Answer.of(head)
            return Answer.of(head + await rest(visit.stream))
        return Answer.of(await rest(visit.stream))


# -- yes --------------------------------------------------------------------------


async def test_a_good_request_is_accepted() -> None:
    async with visiting(made()) as visit:
        await visit.stream.send(upgrade(target="/feed?a=1"))
        answer = Answer.of(await until(visit.stream, b"\r\n\r\n"))
        await visit.over.wait()
    assert answer.status == 101
    assert answer.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert visit.connection is not None
    assert visit.connection.request is not None
    assert visit.connection.request.target == "/feed?a=1"


async def test_headers_of_ones_own_go_into_the_answer() -> None:
    for headers in ({"Set-Cookie": "a=b"}, [("Set-Cookie", "a=b")]):
        answer = await told(upgrade(), headers=headers)
        assert answer.headers["set-cookie"] == "a=b"


async def test_what_a_client_says_before_the_answer_is_not_lost() -> None:
    async with visiting(made()) as visit:
        await visit.stream.send(upgrade() + b"\x81\x82\0\0\0\0hi")
        await visit.over.wait()
        assert visit.connection is not None
        assert await visit.connection.recv() == "hi"


# -- subprotocols -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [("a, b", "b"), ("a", "a"), ("c", None), (None, None)],
)
async def test_of_our_subprotocols_the_first_that_is_offered_is_taken(
    offered: str | None, chosen: str | None
) -> None:
    lines = [f"Sec-WebSocket-Protocol: {offered}"] if offered else []
    answer = await told(upgrade(*lines), subprotocols=["b", "a"])
    assert answer.status == 101
    assert answer.headers.get("sec-websocket-protocol") == chosen


async def test_a_function_chooses_the_subprotocol() -> None:
    asked: list[Sequence[str]] = []

    def choose(offered: Sequence[str]) -> str | None:
        asked.append(offered)
        return offered[-1] if offered else None

    answer = await told(upgrade("Sec-WebSocket-Protocol: a, b"), subprotocols=choose)
    assert answer.headers["sec-websocket-protocol"] == "b"
    answer = await told(upgrade(), subprotocols=choose)
    assert answer.status == 101
    assert asked == [("a", "b"), ()]


async def test_choosing_what_was_not_offered_is_500_and_told_to_the_log(
    errors: Callable[[], list[str]],
) -> None:
    answer = await told(
        upgrade("Sec-WebSocket-Protocol: a"), subprotocols=lambda offered: "other"
    )
    assert answer.status == 500
    assert errors() == [
        "subprotocols chose 'other' of ('a',): choose one of them, or None"
    ]


async def test_a_choice_that_raises_is_500_and_told_to_the_log(
    errors: Callable[[], list[str]],
) -> None:
    def choose(offered: Sequence[str]) -> str:
        raise LookupError("no idea")

    assert (await told(upgrade(), subprotocols=choose)).status == 500
    assert errors() == ["no idea"]


# -- origins ----------------------------------------------------------------------

OURS = ["https://a.example", re.compile(r"https://[a-z]+\.b\.example")]


@pytest.mark.parametrize(
    ("origin", "origins", "status"),
    [
        ("https://a.example", OURS, 101),
        ("https://x.b.example", OURS, 101),
        ("https://x.b.example.evil", OURS, 403),
        ("https://c.example", OURS, 403),
        ("null", OURS, 403),
        (None, OURS, 403),
        (None, [None, *OURS], 101),
        (None, [re.compile(".*")], 403),
        ("https://a.example", [None], 403),
        ("https://a.example", [], 403),
        ("https://a.example", None, 101),
    ],
)
async def test_only_pages_of_known_origins_may_connect(
    origin: str | None, origins: Any, status: int
) -> None:
    lines = [f"Origin: {origin}"] if origin else []
    assert (await told(upgrade(*lines), origins=origins)).status == status


# -- no ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"hello\r\n\r\n", 400),
        (upgrade(Connection="keep-alive"), 400),
        (upgrade(Upgrade="h2c"), 400),
        (upgrade(Sec_WebSocket_Key=None), 400),
        (upgrade(Sec_WebSocket_Key="c2hvcnQ="), 400),
        (upgrade("Sec-WebSocket-Extensions: ;;"), 400),
        (upgrade("Sec-WebSocket-Protocol: a b"), 400),
        (upgrade("Content-Length: 5"), 400),
        (upgrade("Transfer-Encoding: chunked"), 400),
        (upgrade(target="*"), 400),
        (request("Host: a", "Content-Length: 2", method="POST") + b"hi", 405),
        (request("Host: a", method="HEAD"), 405),
        (upgrade(target="/" + "a" * 8192), 414),
        (request("Host: a"), 426),
        (upgrade(Sec_WebSocket_Version="8"), 426),
        (upgrade(*[f"X-{n}: 1" for n in range(130)]), 431),
        (upgrade("X: " + "a" * 8192), 431),
        (upgrade(*[f"X-{n}: {'a' * 8000}" for n in range(9)]), 431),
        (upgrade().replace(b"HTTP/1.1", b"HTTP/2.0"), 505),
    ],
)
async def test_a_bad_request_is_told_what_is_bad(
    said: bytes, status: int, errors: Callable[[], list[str]]
) -> None:
    """The answer arrives whole, although the client may go on talking."""
    async with visiting(made()) as visit:
        await visit.stream.send(said + b"and so on")
        data = await rest(visit.stream)
    answer = Answer.of(data)
    assert answer.status == status
    assert int(answer.headers["content-length"]) > 0
    connection = "close, Upgrade" if status == 426 else "close"
    assert answer.headers["connection"] == connection
    assert visit.connection is None
    assert not errors()


async def test_in_http_1_0_an_upgrade_is_none() -> None:
    """So does a proxy ask that was told of no upgrades (RFC 9110, 7.8)."""
    answer = await told(upgrade().replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert answer.status == 426
    assert answer.body == b"the request asks for no upgrade\n"


async def test_426_says_which_version_would_do() -> None:
    answer = await told(upgrade(Sec_WebSocket_Version="8"))
    assert answer.headers["sec-websocket-version"] == "13"
    assert answer.headers["upgrade"] == "websocket"


async def test_a_refused_client_that_stays_is_sent_away_after_a_while() -> None:
    async with visiting(made()) as visit:
        await visit.stream.send(request("Host: a"))
        await rest(visit.stream)
        await visit.over.wait()
        assert visit.over_at == LINGER


async def test_a_refused_client_that_hangs_up_is_not_waited_for() -> None:
    async with visiting(made()) as visit:
        await visit.stream.send(request("Host: a"))
        await until(visit.stream, b"\r\n\r\n")
        await visit.stream.aclose()
        await visit.over.wait()
        assert visit.over_at == 0


async def test_a_large_answer_reaches_a_client_that_talks_on() -> None:
    def refuse(connection: Connection, request: Request) -> HTTPResponse:
        return HTTPResponse(200, b"x" * 300_000)

    async with visiting(made(process_request=refuse), capacity=1000) as visit:
        await visit.stream.send(upgrade() + b"\x81\x80\0\0\0\0" * 100)
        answer = Answer.of(await rest(visit.stream))
    assert answer.body == b"x" * 300_000


# -- process_request --------------------------------------------------------------


def health(connection: Connection, request: Request) -> HTTPResponse | None:
    return HTTPResponse(200, "fine\n") if request.target == "/health" else None


async def slow_health(connection: Connection, request: Request) -> HTTPResponse | None:
    await anyio.sleep(1)
    return health(connection, request)


class Health:
    """A callable need not be a function."""

    async def __call__(
        self, connection: Connection, request: Request
    ) -> HTTPResponse | None:
        return await slow_health(connection, request)


@pytest.mark.parametrize("process_request", [health, slow_health, Health()])
async def test_plain_http_and_websocket_share_a_port(process_request: Any) -> None:
    plain = request("Host: a", target="/health")
    answer = await told(plain, process_request=process_request)
    assert (answer.status, answer.body) == (200, b"fine\n")
    assert answer.headers["content-length"] == "5"
    head = request("Host: a", target="/health", method="HEAD")
    answer = await told(head, process_request=process_request)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-length"] == "5"
    answer = await told(upgrade(), process_request=process_request)
    assert answer.status == 101


async def test_a_health_check_in_http_1_0_is_answered() -> None:
    """As haproxy asks unless told otherwise: without a Host."""
    answer = await told(b"GET /health HTTP/1.0\r\n\r\n", process_request=health)
    assert (answer.status, answer.body) == (200, b"fine\n")


async def test_plain_http_that_nobody_answers_is_asked_to_upgrade() -> None:
    answer = await told(request("Host: a"), process_request=health)
    assert answer.status == 426
    assert answer.headers["upgrade"] == "websocket"


async def test_other_methods_are_not_for_us() -> None:
    answer = await told(request("Host: a", method="PUT"), process_request=health)
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD"


async def test_a_websocket_request_can_be_answered_with_plain_http() -> None:
    def refuse(connection: Connection, request: Request) -> HTTPResponse:
        return HTTPResponse(401, "who?", {"WWW-Authenticate": "Bearer"})

    answer = await told(upgrade(), process_request=refuse)
    assert (answer.status, answer.body) == (401, b"who?")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_it_sees_headers_cookies_and_the_client() -> None:
    seen: list[object] = []

    def look(connection: Connection, request: Request) -> None:
        seen.append(dict(request.headers)["x-token"])
        seen.append(cookies(request))
        seen.append(connection.remote_address)

    await told(upgrade("X-Token: t", "Cookie: a=1; b=2"), process_request=look)
    assert seen == ["t", {"a": "1", "b": "2"}, ("192.0.2.1", 40_000)]


async def test_when_it_raises_the_client_gets_500_and_the_log_the_traceback(
    errors: Callable[[], list[str]],
) -> None:
    def fail(connection: Connection, request: Request) -> None:
        raise ZeroDivisionError("oh no")

    async def fail_later(connection: Connection, request: Request) -> None:
        fail(connection, request)

    for process_request in (fail, fail_later):
        answer = await told(upgrade(), process_request=process_request)
        assert answer.status == 500
        assert b"oh no" not in answer.body
    assert errors() == ["oh no", "oh no"]


@pytest.mark.parametrize("nonsense", [200, "fine", (200, [], b"fine"), True])
async def test_when_it_returns_nonsense_the_client_gets_500_and_the_log_the_remedy(
    nonsense: object, errors: Callable[[], list[str]]
) -> None:
    answer = await told(upgrade(), process_request=lambda c, r: nonsense)
    assert answer.status == 500
    assert "return an HTTPResponse, or None" in errors()[0]


# -- time -------------------------------------------------------------------------


async def test_a_client_that_says_nothing_is_dropped_after_open_timeout() -> None:
    async with visiting(made(open_timeout=7)) as visit:
        assert await rest(visit.stream) == b""
        await visit.over.wait()
    assert visit.over_at == 7


async def test_a_byte_every_second_does_not_buy_more_time() -> None:
    async with visiting(made(open_timeout=7)) as visit:
        for byte in upgrade():
            await visit.stream.send(bytes([byte]))
            with anyio.move_on_after(0.9):
                await visit.over.wait()
                break
    assert visit.over_at == 7


async def test_process_request_is_within_the_same_budget() -> None:
    async def dawdle(connection: Connection, request: Request) -> None:
        await anyio.sleep_forever()

    async with visiting(made(open_timeout=7, process_request=dawdle)) as visit:
        await visit.stream.send(upgrade())
        assert await rest(visit.stream) == b""
        await visit.over.wait()
    assert visit.over_at == 7


async def test_a_client_that_does_not_read_the_answer_is_dropped_too() -> None:
    def refuse(connection: Connection, request: Request) -> HTTPResponse:
        return HTTPResponse(200, b"x" * 1_000_000)

    reception = made(open_timeout=7, process_request=refuse)
    async with visiting(reception, capacity=1000) as visit:
        visit.pipe.out.stall()
        await visit.stream.send(upgrade())
        await visit.over.wait()
    assert visit.over_at == 7


async def test_without_open_timeout_a_client_may_take_its_time() -> None:
    async with visiting(made(open_timeout=None)) as visit:
        await anyio.sleep(80_000)
        await visit.stream.send(upgrade())
        await visit.over.wait()
        assert visit.connection is not None


# -- the client goes away ---------------------------------------------------------


async def test_a_client_that_hangs_up_before_its_request_is_whole_is_nothing(
    errors: Callable[[], list[str]],
) -> None:
    for length in (0, 1, 50, len(upgrade()) - 1):
        async with visiting(made()) as visit:
            await visit.stream.send(upgrade()[:length])
            await visit.stream.aclose()
            await visit.over.wait()
            assert visit.connection is None
            assert visit.over_at == 0
    assert not errors()


@pytest.mark.parametrize("answer", [None, HTTPResponse(200)])
@pytest.mark.parametrize("how", ["eof", "reset"])
async def test_a_client_that_goes_while_we_decide_is_nothing(
    how: str, answer: HTTPResponse | None, errors: Callable[[], list[str]]
) -> None:
    deciding, decide = anyio.Event(), anyio.Event()

    async def wait(connection: Connection, request: Request) -> HTTPResponse | None:
        deciding.set()
        await decide.wait()
        with pytest.raises(NotSent):
            await connection.send("too early, or too late")
        # On a pulled wire nobody has noticed yet.
        await connection.wait_ended()
        return answer

    async with visiting(made(process_request=wait)) as visit:
        await visit.stream.send(upgrade())
        await deciding.wait()
        if how == "eof":
            await visit.stream.aclose()
        else:
            visit.pipe.into.reset()
        decide.set()
        await visit.over.wait()
        assert visit.connection is None
    assert not errors()


async def test_a_client_that_floods_us_while_we_decide_is_told_and_nothing_more(
    errors: Callable[[], list[str]],
) -> None:
    deciding = anyio.Event()
    heard: list[bool] = []

    async def wait(connection: Connection, request: Request) -> None:
        deciding.set()
        with anyio.move_on_after(1):
            await connection.wait_ended()  # reads, on a pulled wire
        heard.append(connection.ended is None)

    async with visiting(made(process_request=wait)) as visit:
        await visit.stream.send(upgrade())
        await deciding.wait()
        await visit.stream.send(b"\x82\x80\0\0\0\0" * 20_000)
        answer = Answer.of(await rest(visit.stream))
        await visit.over.wait()
    assert heard == [True]
    assert answer.status == 400
    assert visit.connection is None
    assert not errors()


# -- shutting down ----------------------------------------------------------------


async def test_stopping_sends_away_who_has_said_nothing_yet() -> None:
    reception = made(open_timeout=None)
    async with visiting(reception) as visit:
        await visit.stream.send(upgrade()[:40])
        await anyio.wait_all_tasks_blocked()
        stopped_at = anyio.current_time()
        reception.stop()
        await visit.over.wait()
        assert visit.connection is None
        assert visit.over_at == stopped_at


async def test_after_stopping_nobody_is_received() -> None:
    reception = made(open_timeout=None)
    reception.stop()
    async with visiting(reception) as visit:
        await visit.over.wait()
        assert visit.connection is None


async def test_who_has_asked_still_gets_an_answer() -> None:
    asked, stopped = anyio.Event(), anyio.Event()

    async def wait(connection: Connection, request: Request) -> HTTPResponse:
        asked.set()
        await stopped.wait()
        return HTTPResponse(200, "here you are")

    reception = made(process_request=wait)
    async with visiting(reception) as visit:
        await visit.stream.send(request("Host: a"))
        await asked.wait()
        reception.stop()
        stopped.set()
        assert Answer.of(await rest(visit.stream)).body == b"here you are"


# -- TLS --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


async def test_over_tls_a_request_is_accepted(
    authority: trustme.CA, tls: ssl.SSLContext
) -> None:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    client, wire = wire_pair()
    reception = made(tls=tls)
    received: list[Connection | None] = []

    async def receive() -> None:
        guest = Admission().arrive("")
        assert guest is not None
        received.append(await reception.receive(wire, guest, host="peer:1", name="#1"))

    async with anyio.create_task_group() as group:
        group.start_soon(receive)
        secured = TLSWire(client, trusting, "localhost")
        await secured.handshake()
        stream = WireStream(secured)
        await stream.send(upgrade())
        assert b" 101 " in await until(stream, b"\r\n\r\n")
    assert received[0] is not None
    wire.abort()


@pytest.mark.parametrize(
    "said",
    [b"", b"\x16\x03\x01", upgrade()],
    ids=["nothing", "a part of a record", "no TLS at all"],
)
async def test_a_client_that_does_not_get_through_tls_is_nothing(
    tls: ssl.SSLContext, said: bytes, errors: Callable[[], list[str]]
) -> None:
    async with visiting(made(tls=tls, open_timeout=7)) as visit:
        if said:
            await visit.stream.send(said)
        await visit.over.wait()
        assert visit.connection is None
        assert visit.over_at == (0 if said == upgrade() else 7)
    assert not errors()


async def test_a_client_that_hangs_up_within_tls_is_nothing(
    tls: ssl.SSLContext, errors: Callable[[], list[str]]
) -> None:
    async with visiting(made(tls=tls)) as visit:
        await visit.stream.send(b"\x16\x03\x01")
        await visit.stream.aclose()
        await visit.over.wait()
        assert visit.connection is None
        assert visit.over_at == 0
    assert not errors()


# -- at the call ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        ({"process_request": 5}, "give a function of"),
        ({"process_request": lambda request: None}, r"\(connection, request\)"),
        ({"subprotocols": "chat"}, r"write \['chat'\]"),
        ({"subprotocols": ["a", "a"]}, "twice"),
        ({"subprotocols": ["a b"]}, "use letters"),
        ({"subprotocols": lambda: None}, r"\(offered\)"),
        ({"origins": "https://a.example"}, "write it in a list"),
        ({"origins": re.compile("a")}, "write it in a list"),
        ({"origins": [re.compile(b"a")]}, r"str, re\.Pattern or None"),
        ({"origins": [5]}, r"str, re\.Pattern or None"),
        ({"headers": [("Upgrade", "x")]}, "remove it"),
        ({"headers": [("X", "a\r\nb: c")]}, "CR or LF"),
        ({"headers": ["X: a"]}, "pairs"),
        ({"tls": True}, r"ssl\.SSLContext"),
        ({"tls": ssl.create_default_context()}, "CLIENT_AUTH"),
        ({"open_timeout": -1}, "open_timeout"),
        ({"open_timeout": float("nan")}, "open_timeout"),
        ({"max_message_size": 0}, "max_message_size"),
    ],
)
def test_what_cannot_be_used_is_refused_at_the_call(
    options: dict[str, Any], remedy: str
) -> None:
    with pytest.raises(ArgumentError, match=remedy):
        made(**options)


def test_a_callable_that_does_not_tell_its_arguments_is_taken() -> None:
    made(subprotocols=max)


def test_the_key_of_the_tests_is_the_one_of_the_rfc() -> None:
    assert f"Sec-WebSocket-Key: {KEY}".encode() in upgrade()
