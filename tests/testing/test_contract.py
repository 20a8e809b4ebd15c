"""The contract finds what it is there to find."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from wsclient.testing.clock import VIRTUAL_BACKENDS, virtual_backend
from wsclient.testing.contract import check_wire
from wsclient.testing.wires import wire_pair
from wsclient.wire import Feed, Lost, Wire


@pytest.fixture(params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return virtual_backend(request.param)


class _Faulty:
    """A good wire with one fault; everything else is handed on."""

    def __init__(self, wire: Wire, **faults: Any) -> None:
        self._wire = wire
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        return self._faults.get(name) or getattr(self._wire, name)


def _loses_the_eof(wire: Wire) -> Any:
    def start(feed: Feed, lost: Lost, drained: Callable[[], None]) -> None:
        def fed(chunk: memoryview | None) -> None:
            if chunk is None:
                lost(EOFError())
            else:
                feed(chunk)

        wire.start(fed, lost, drained)

    return _Faulty(wire, start=start)


def _swaps_bytes(wire: Wire) -> Any:
    return _Faulty(wire, write=lambda data: wire.write(bytes(data[::-1])))


def _does_not_pause(wire: Wire) -> Any:
    return _Faulty(wire, pause=lambda: None)


def _raises_at_the_end(wire: Wire) -> Any:
    aborted: list[bool] = []

    def abort() -> None:
        aborted.append(True)
        wire.abort()

    def write(data: bytes) -> bool:
        if aborted:
            raise ConnectionError("over")
        return wire.write(data)

    return _Faulty(wire, abort=abort, write=write)


def _flushes_too_early(wire: Wire) -> Any:
    async def flush() -> None:
        return

    return _Faulty(wire, flush=flush)


def _shuts_both_directions(wire: Wire) -> Any:
    return _Faulty(wire, shutdown=wire.finish)


@pytest.mark.parametrize(
    "fault",
    [
        _loses_the_eof,
        _swaps_bytes,
        _does_not_pause,
        _raises_at_the_end,
        _flushes_too_early,
        _shuts_both_directions,
    ],
)
async def test_a_wire_that_breaks_the_contract_is_found_out(
    fault: Callable[[Wire], Any],
) -> None:
    @asynccontextmanager
    async def pair() -> AsyncIterator[tuple[Wire, Wire]]:
        left, right = wire_pair()
        yield fault(left), fault(right)

    with pytest.raises((AssertionError, ConnectionError, ExceptionGroup)) as caught:
        await check_wire(pair)
    errors: list[BaseException] = [caught.value]
    while isinstance(errors[0], BaseExceptionGroup):
        errors = [*errors[0].exceptions]
    assert isinstance(errors[0], AssertionError | ConnectionError)
