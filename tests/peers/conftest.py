"""Fixtures: each real peer once for the whole run; NATS once for each test."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from .certificates import Certificates
from .nats import Nats, nats_server
from .servers import Server, node_server, websockets_server


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates.issue(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def node(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Iterator[Server]:
    with node_server(tmp_path_factory.mktemp("node"), certificates) as server:
        yield server


@pytest.fixture(scope="session")
def websockets(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Iterator[Server]:
    with websockets_server(
        tmp_path_factory.mktemp("websockets"), certificates
    ) as server:
        yield server


@pytest.fixture(params=["node", "websockets"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each of the third-party servers in turn."""
    chosen = request.getfixturevalue(request.param)
    assert isinstance(chosen, Server)
    return chosen


@pytest.fixture(params=["ws", "wss"])
def scheme(request: pytest.FixtureRequest) -> str:
    """Plain, then over TLS."""
    return str(request.param)


@pytest.fixture
def tls(scheme: str, certificates: Certificates) -> ssl.SSLContext | None:
    return certificates.client_context() if scheme == "wss" else None


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Nats]:
    with nats_server(tmp_path) as broker:
        yield broker


@pytest.fixture
def nats_tls(tmp_path: Path, certificates: Certificates) -> Iterator[Nats]:
    with nats_server(tmp_path, certificates) as broker:
        yield broker
