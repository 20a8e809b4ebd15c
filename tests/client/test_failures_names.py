"""What a resolver that hangs holds up: nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from functools import partial

import anyio
import pytest

import wsclient
from wsclient import Phase
from wsclient.transport import dial
from wsclient.transport.resolver import AddressInfo, Resolver

from .inv import invariants

pytestmark = pytest.mark.real

LOOKUP = "wsclient resolver"


class Hung:
    """A lookup that answers only after the test, and a dial that asks it."""

    def __init__(self) -> None:
        self.asked, self.released = threading.Event(), threading.Event()
        self.dial = partial(dial, resolve=Resolver(ask=self._ask).getaddrinfo)

    def _ask(
        self, host: str | None, port: int, *, type: int, flags: int
    ) -> list[AddressInfo]:
        self.asked.set()
        self.released.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "released")


@pytest.fixture
def hung() -> Iterator[Hung]:
    hung = Hung()
    yield hung
    hung.released.set()
    for thread in lookups():
        thread.join(30)


def lookups() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == LOOKUP]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_s16_a_hung_resolver_holds_up_neither_a_cancel_nor_the_end_of_the_run(
    hung: Hung, backend: str
) -> None:
    order: list[str] = []

    async def enter() -> None:
        async with wsclient.Client(
            "ws://name.that.hangs.test/", open_timeout=60, dial=hung.dial
        ):
            raise AssertionError("it cannot be open")

    async def main() -> None:
        async with invariants(hanging=(LOOKUP, "AnyIO worker thread")):
            with anyio.fail_after(20):
                async with anyio.create_task_group() as group:
                    group.start_soon(enter)
                    await anyio.to_thread.run_sync(hung.asked.wait)
                    order.append("asked")
                    group.cancel_scope.cancel()
        order.append("cancelled")

    anyio.run(main, backend=backend)
    order.append("run returned")
    # The lookup still hangs: nobody has waited for it.
    assert len(lookups()) == 1
    assert order == ["asked", "cancelled", "run returned"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_s16_a_hung_resolver_is_left_at_open_timeout_in_phase_dns(
    hung: Hung, backend: str
) -> None:
    async def main() -> None:
        async with invariants(hanging=(LOOKUP,)):
            with pytest.raises(wsclient.AttemptTimeout) as caught, anyio.fail_after(20):
                async with wsclient.Client(
                    "ws://name.that.hangs.test/",
                    open_timeout=0.1,
                    first="raise",
                    dial=hung.dial,
                ):
                    raise AssertionError("it cannot be open")
        assert caught.value.phase == Phase.DNS
        assert hung.asked.is_set()

    anyio.run(main, backend=backend)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_s16_each_attempt_asks_anew_while_an_old_lookup_hangs(
    hung: Hung, backend: str
) -> None:
    async def main() -> None:
        async with invariants(hanging=(LOOKUP,)):
            with anyio.fail_after(20):
                async with wsclient.Client(
                    "ws://name.that.hangs.test/",
                    open_timeout=0.02,
                    first="background",
                    wait=lambda state: 0.0,
                    dial=hung.dial,
                ) as client:
                    with pytest.raises(wsclient.AttemptTimeout):
                        await client.wait_open(timeout=0.3)
        assert len(lookups()) > 1

    anyio.run(main, backend=backend)
