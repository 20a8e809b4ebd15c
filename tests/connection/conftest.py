"""Everything here runs in virtual time, over pushed and over pulled wires."""

from __future__ import annotations

from typing import Any

import pytest

from wsclient.testing.clock import virtual_backend

from .peer import Certificates

# The backend, and whether our wire is fed by itself or must be pumped.
KINDS = {
    "asyncio-pushed": ("asyncio", True),
    "asyncio-pulled": ("asyncio", False),
    "trio": ("trio", False),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def anyio_backend(kind: str) -> tuple[str, dict[str, Any]]:
    return virtual_backend(KINDS[kind][0])


@pytest.fixture
def pushed(kind: str) -> bool:
    return KINDS[kind][1]


@pytest.fixture(scope="session")
def certificates() -> Certificates:
    return Certificates()


@pytest.fixture
def backend(kind: str) -> str:
    return KINDS[kind][0]
