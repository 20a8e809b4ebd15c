"""The simulated network."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from wsclient.testing.clock import VIRTUAL_BACKENDS, virtual_backend
from wsclient.testing.contract import WIRE_CHECKS, WireCheck
from wsclient.testing.wires import wire_pair
from wsclient.wire import Wire


@pytest.fixture(params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return virtual_backend(request.param)


@asynccontextmanager
async def _held_to_it(left: Wire, right: Wire) -> AsyncIterator[tuple[Wire, Wire]]:
    yield left, right


@pytest.mark.parametrize("check", WIRE_CHECKS, ids=lambda check: str(check.__name__))
@pytest.mark.parametrize("latency", [0.0, 0.005])
@pytest.mark.parametrize("capacity", [65536, 1_000_000])
async def test_pulled_simulated_wires_keep_the_contract(
    check: WireCheck, latency: float, capacity: int
) -> None:
    await check(*wire_pair(latency=latency, capacity=capacity))


@pytest.mark.parametrize("anyio_backend", [virtual_backend("asyncio")])
@pytest.mark.parametrize("check", WIRE_CHECKS, ids=lambda check: str(check.__name__))
@pytest.mark.parametrize("pushed", [True, (True, False), (False, True)])
@pytest.mark.parametrize("latency", [0.0, 0.005])
async def test_pushed_simulated_wires_keep_the_contract(
    check: WireCheck, latency: float, pushed: bool | tuple[bool, bool]
) -> None:
    await check(*wire_pair(latency=latency, pushed=pushed))
