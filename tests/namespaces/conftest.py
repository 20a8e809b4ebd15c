"""Stories told inside the client's host: on both backends, with INV, plain and TLS."""

from __future__ import annotations

import inspect
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import anyio
import pytest
import trustme

from ..client.inv import invariants
from .lab import SERVER, Lab
from .lab import lab as built

HANG = 30.0
"""Seconds after which a story has come to a standstill."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What each side needs for TLS; nothing for a plain conversation."""

    server: ssl.SSLContext | None = None
    client: ssl.SSLContext | None = None


@cache
def issued() -> Secrets:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(SERVER).configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return Secrets(server, client)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["ws", "wss"])
def secrets(request: pytest.FixtureRequest) -> Secrets:
    """Plain, then over TLS."""
    return issued() if request.param == "wss" else Secrets()


@pytest.fixture
def lab() -> Iterator[Lab]:
    with built() as made:
        yield made


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """
    Run a coroutine in a thread of its own that is inside the client's host.

    So no thread that outlives the test, such as those trio keeps, has been there.

    """
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    fixtures: dict[str, Any] = pyfuncitem.funcargs
    names = inspect.signature(pyfuncitem.obj).parameters
    story = partial(pyfuncitem.obj, **{name: fixtures[name] for name in names})
    lab: Lab = fixtures["lab"]

    async def guarded() -> None:
        async with invariants():
            with anyio.fail_after(HANG):
                await story()

    def inside() -> None:
        with lab.client.inside():
            anyio.run(guarded, backend=fixtures["anyio_backend"])

    with ThreadPoolExecutor(1) as thread:
        thread.submit(inside).result()
    return True
