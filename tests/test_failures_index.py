"""Every failure we know of: the tests that prove what happens, or what it waits for."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
NAME = re.compile(r"test_((?:s\d+_)+)")

# What a test is given, or decorated with, that runs it over TLS.
SECURE = frozenset(
    {"WORLDS", "NETS", "BARE", "SecureLoopback", "SecureNet", "TLS"}
    | {"authority", "issued", "secrets", "secure", "tls"}
)


@dataclass(frozen=True, slots=True)
class Row:
    """
    Where a row is proved. True: it is, a reason: why it need not be.

    ``whole``: with the whole client, on both backends, with INV. ``tls``: over TLS as
    well as plain. ``kernel``: in network namespaces as well as in memory or on
    loopback. ``also``: tests that are named for their room's words. ``lacks``: a part
    of the row that the product does not have yet.

    """

    about: str
    whole: bool | str = True
    tls: bool | str = True
    kernel: bool | str = True
    also: tuple[str, ...] = ()
    lacks: str = ""


# Why an axis does not apply.

EARLY = "it is over before TLS begins"
HTTP = "decided from a status and its fields, whatever has carried them"
OURS = "decided from what our own functions and queues say: no byte is involved"
CLOCK = "decided from times alone"
SERVING = "a promise of the server: shown with it, without a client around it"
SAID = "the peer says it: no packet is lost, so loopback shows all there is to see"

ROWS = {
    1: Row("half-open: everything is lost on the way"),
    4: Row("an upgrade that is never answered"),
    5: Row("an upgrade byte by byte, and one without end", kernel=SAID),
    6: Row("a TLS handshake that stops", kernel=SAID),
    8: Row("FIN in answer to the request", kernel=SAID),
    9: Row("an application's hello that never comes", kernel=SAID),
    10: Row("accepted, then Close(1008), for ever", kernel=SAID),
    11: Row("503 with Retry-After", tls=HTTP, kernel=SAID),
    12: Row("429 with any Retry-After", tls=HTTP, kernel=SAID),
    13: Row("401: the token has expired", kernel=SAID),
    14: Row("providers that raise, hang, are late", tls=OURS, kernel=OURS),
    15: Row("no name, no route, at boot", tls=EARLY),
    16: Row("a resolver that hangs", tls=EARLY),
    17: Row(
        "an IPv6 path that answers nothing",
        whole="shown with the whole client where there are namespaces",
        tls=EARLY,
        also=("test_an_address_that_answers_nothing_does_not_keep_the_next_waiting",),
    ),
    18: Row("certificates that prove nothing", kernel=SAID),
    19: Row("a thousand clients are told 1012 at once", tls=CLOCK, kernel=SAID),
    20: Row("something between forgets idle flows"),
    21: Row("Close without the end of TCP", kernel=SAID),
    22: Row("a peer that talks on, or is out of reach, while we close"),
    23: Row("a mute peer and an outer deadline", kernel=SAID),
    24: Row("unread messages while leaving", kernel=SAID),
    25: Row("unread bytes in the kernel while leaving", kernel=SAID),
    26: Row("sends cancelled at any moment", kernel=SAID),
    27: Row("the same with TLS records and compression contexts", kernel=SAID),
    28: Row("fifty tasks that send at once", kernel=SAID),
    29: Row("connecting, cancelled at every point", kernel=SAID),
    30: Row("a peer that stops reading"),
    31: Row("a slow consumer", kernel=SAID),
    32: Row("a cancelled receive, and nobody reads", kernel=SAID),
    33: Row("our own loop is blocked", kernel=SAID),
    34: Row("a large frame that comes slowly", kernel=SAID),
    35: Row("compression bombs, and limits to the byte", kernel=SAID),
    36: Row("floods of pings and pongs", kernel=SAID),
    37: Row("endless fragments", kernel=SAID),
    38: Row("pings that may, and may not, be", kernel=SAID),
    39: Row("drops in the midst of the replay", kernel=SAID),
    40: Row("replay waits for the login", kernel=SAID),
    41: Row(
        "what was missed is told in order",
        kernel=SAID,
        lacks="resuming from a position: so far positions are routed and lead nowhere",
    ),
    42: Row(
        "sending in every state, with every policy",
        tls=OURS,
        kernel=OURS,
        also=("test_a_full_queue_is_told_at_the_call_and_takes_nothing",),
    ),
    43: Row("what the kernel has taken, and then the connection dies", kernel=SAID),
    44: Row("what an old connection still brings"),
    45: Row("two that reconnect at once", kernel=SAID),
    46: Row(
        "a thousand lives, a thousand failed dials",
        tls="so many handshakes cost too much; INV counts after every test over TLS",
        kernel=SAID,
    ),
    47: Row("the user's own code raises, breaks, returns, forgets", kernel=OURS),
    48: Row("SIGINT and SIGTERM in every state", kernel=OURS),
    49: Row("hooks, classifiers, waits that raise", tls=OURS, kernel=OURS),
    50: Row("an orderly end and a reset"),
    51: Row("broken in the midst of closing"),
    52: Row("refusals whose body does not end", kernel=SAID),
    54: Row("a server that keeps a half-open registration"),
    55: Row(
        "a server's clients that vanish",
        whole=SERVING,
        tls="what TLS makes of a torn stream is S51, the same code for both sides",
    ),
    56: Row(
        "a server's end with mute clients",
        whole=SERVING,
        tls="it waits for Close frames, not for what carries them",
        kernel=SAID,
    ),
    57: Row("a server's clients that say nothing", whole=SERVING, kernel=SAID),
}

# What the product does not have yet.
WAITING = {
    2: "wake-up events: the wall clock against the monotonic one",
    3: "wake-up events: the wall clock against the monotonic one",
    7: "proxies",
    53: "redirects",
}


@dataclass(frozen=True, slots=True)
class Proof:
    """A test of the suite that is named for one or more rows."""

    name: str
    file: str
    secure: bool

    @property
    def room(self) -> str:
        return self.file.partition("/")[0]


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield str(path.relative_to(TESTS)), node


def words(function: ast.AST) -> set[str]:
    """Names that a function uses, or is decorated with, and its parameters."""
    nodes = list(ast.walk(function))
    return {node.id for node in nodes if isinstance(node, ast.Name)} | {
        node.arg for node in nodes if isinstance(node, ast.arg)
    }


NAMES: set[str] = set()
PROOFS: dict[int, list[Proof]] = defaultdict(list)
for _file, _function in functions():
    NAMES.add(_function.name)
    if _match := NAME.match(_function.name):
        _proof = Proof(_function.name, _file, bool(words(_function) & SECURE))
        for _number in re.findall(r"s(\d+)_", _match[1]):
            PROOFS[int(_number)].append(_proof)

EACH = pytest.mark.parametrize("number", sorted(ROWS))


@pytest.mark.parametrize("number", range(1, 58))
def test_every_row_is_proved_or_says_what_it_waits_for(number: int) -> None:
    assert (number in ROWS) != (number in WAITING)
    if number in WAITING:
        assert number not in PROOFS, f"no longer waits for {WAITING[number]}"
        return
    assert PROOFS[number], f"no test is named for S{number}"
    missing = set(ROWS[number].also) - NAMES
    assert not missing, f"S{number} was proved by {missing} too"


@EACH
def test_rows_are_proved_with_the_whole_client_and_with_inv(number: int) -> None:
    """In modules that run on both backends and see what each test leaves behind."""
    files = {proof.file for proof in PROOFS[number] if proof.room == "client"}
    if ROWS[number].whole is not True:
        assert not files, f"S{number} is proved so, in {files}"
        return
    texts = [(TESTS / file).read_text(encoding="utf-8") for file in files]
    pattern = r"from \.inv import .*\binv(ariants)?\b"
    assert any(re.search(pattern, text) for text in texts), f"S{number} lacks INV"


@EACH
def test_rows_are_proved_over_tls_where_it_applies(number: int) -> None:
    secure = [proof.name for proof in PROOFS[number] if proof.secure]
    applies = ROWS[number].tls is True
    assert bool(secure) == applies, (ROWS[number].tls, secure)


@EACH
def test_rows_of_lost_packets_are_proved_with_a_kernel_and_without(number: int) -> None:
    """Namespaces are root's; what they show is shown to everybody in another way."""
    rooms = {proof.room for proof in PROOFS[number]}
    applies = ROWS[number].kernel is True
    assert ("namespaces" in rooms) == applies, (ROWS[number].kernel, rooms)
    assert rooms != {"namespaces"} or ROWS[number].also


def test_no_test_is_named_for_a_row_that_does_not_exist() -> None:
    assert set(PROOFS) <= set(range(1, 58))
